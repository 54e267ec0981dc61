"""Tables as a whole: columns and types, numbers of rows, and whether `datasets` opens them."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deepwriting
from deepwriting.builders.features import feature
from deepwriting.builders.manifest import Manifest
from deepwriting.errors import BuildError
from deepwriting.hub.hashes import Table, opened, type_name
from deepwriting.hub.verify.report import Check
from deepwriting.schema import CONFIG_COLUMNS, REQUIRED_CONFIGS


def check_schema(folder: Path, manifest: Manifest) -> Check:
    """Compare the columns of every Parquet file with the manifest, and the manifest with this version's schema."""
    check = Check("schema", "do all tables have the columns and types that manifest and schema promise?")
    for config in REQUIRED_CONFIGS:
        if config not in manifest.configs:
            check.found("config missing", f"{config}: every dataset has it")
    for config, told in manifest.configs.items():
        promised = [(column.name, column.kind, column.nullable) for column in manifest.schema.get(config, ())]
        ours = [(column.name, column.kind, column.nullable) for column in CONFIG_COLUMNS.get(config, ())]
        if promised != ours:
            _other_schema(check, config, manifest)
        types = _types(check, config, promised)
        required = {name for name, _, nullable in promised if not nullable}
        for file in told.files:
            try:
                with opened(folder, file.path) as parquet:
                    found = {field.name: type_name(field.type) for field in parquet.schema_arrow}
                    if types is not None and list(found.items()) != list(types.items()):
                        check.found("columns differ", f"{file.path}: {_difference(types, found)}")
                    for column, count in _nulls(parquet).items():
                        if column in required:
                            check.found("values missing", f"{file.path}: {count} in column {column}", count)
            except BuildError as error:
                check.found("cannot be read", str(error))
    check.looked_at = f"{len(manifest.configs)} configs"
    return check


def _other_schema(check: Check, config: str, manifest: Manifest) -> None:
    if manifest.deepwriting_version == deepwriting.__version__:
        check.found("not the schema of deepwriting", f"{config}: the manifest promises other columns or types")
    else:
        check.notes.append(
            f"{config} was built by deepwriting {manifest.deepwriting_version} and has other columns than in "
            f"{deepwriting.__version__}"
        )


def _types(check: Check, config: str, promised: list[tuple[str, str, bool]]) -> dict[str, str] | None:
    """Column -> Arrow type that the manifest promises; ``None`` if it promises nothing that is known here."""
    from datasets import Features

    if not promised:
        check.found("no schema in the manifest", config)
        return None
    try:
        schema = Features({name: feature(kind) for name, kind, _ in promised}).arrow_schema  # type: ignore[arg-type]
    except KeyError as error:
        check.notes.append(
            f"{config}: columns of the kind {error} are not known to deepwriting {deepwriting.__version__}"
        )
        return None
    return {field.name: type_name(field.type) for field in schema}


def _difference(promised: dict[str, str], found: dict[str, str]) -> str:
    parts = [f"{name} is missing" for name in promised if name not in found]
    parts += [f"{name} is not in the schema" for name in found if name not in promised]
    parts += [
        f"{name} is {found[name]}, not {kind}" for name, kind in promised.items() if found.get(name, kind) != kind
    ]
    return "; ".join(parts) or "the columns stand in another order"


def _nulls(parquet: Any) -> dict[str, int]:
    """Plain column -> missing values, as the file's own statistics tell."""
    counts: Counter[str] = Counter()
    for group in range(parquet.metadata.num_row_groups):
        part = parquet.metadata.row_group(group)
        for at in range(part.num_columns):
            column = part.column(at)
            # Lists and records have no nulls of their own here: what they hold is looked at row by row.
            if "." not in column.path_in_schema and column.statistics is not None:
                counts[column.path_in_schema] += column.statistics.null_count or 0
    return {name: count for name, count in counts.items() if count}


def check_counts(folder: Path, manifest: Manifest) -> Check:
    """Count the rows of every file, split and config, the kept rows, and the reasons of the dropped ones."""
    check = Check("counts", "are there as many rows as the manifest says, kept and dropped?")
    total = 0
    for config, told in manifest.configs.items():
        splits = Counter(dict.fromkeys(told.splits, 0))
        for file in told.files:
            try:
                with opened(folder, file.path) as parquet:
                    rows = parquet.metadata.num_rows
            except BuildError:
                continue  # told by the check of the schema
            splits[file.split] += rows
            if rows != file.rows:
                check.found("rows of a file", f"{file.path}: {rows:,}, the manifest says {file.rows:,}")
        for split, rows in splits.items():
            said = told.splits[split].rows if split in told.splits else 0
            if rows != said:
                check.found("rows of a split", f"{config}, {split}: {rows:,}, the manifest says {said:,}")
        if (rows := splits.total()) != told.rows:
            check.found("rows of a config", f"{config}: {rows:,}, the manifest says {told.rows:,}")
        total += rows
    if "all" in manifest.configs:
        try:
            _decided(check, Table(folder, manifest.configs["all"].files), manifest)
        except BuildError as error:
            check.reason = f"kept and dropped rows were not counted: {error}"
    check.looked_at = f"{total:,} rows of {len(manifest.configs)} configs"
    return check


def _decided(check: Check, table: Table, manifest: Manifest) -> None:
    rows = kept = 0
    reasons: Counter[str] = Counter()
    for batch in table.batches(["keep", "drop_reasons"]):
        rows += len(batch)
        kept += sum(map(bool, batch.column(0).to_pylist()))
        for why in batch.column(1).to_pylist():
            reasons.update(set(why or ()))
    told = manifest.counts
    for name, found, said in (
        ("rows", rows, told.rows),
        ("kept", kept, told.kept),
        ("dropped", rows - kept, told.dropped),
    ):
        if found != said:
            check.found("counts", f"{name}: {found:,}, the manifest says {said:,}")
    for reason in sorted({*reasons, *told.dropped_by_reason}):
        if reasons[reason] != (said := told.dropped_by_reason.get(reason, 0)):
            check.found("counts", f"dropped for {reason}: {reasons[reason]:,}, the manifest says {said:,}")


def check_loading(folder: Path, manifest: Manifest) -> Check:
    """Load every config with `datasets`, as a reader would, into a cache that is thrown away."""
    check = Check("loading", "does load_dataset open every config?")
    with _quiet_datasets(), tempfile.TemporaryDirectory(prefix="deepwriting-verify-") as scratch:
        from datasets import get_dataset_config_names

        try:
            # A copy would hide it if the folder's name mattered: the folder itself is loaded.
            names = set(get_dataset_config_names(str(folder)))
        except Exception as error:  # whatever a damaged folder provokes in `datasets` is the finding
            check.found("cannot be opened", _said(error))
            return check
        for name in sorted(names ^ manifest.configs.keys()):
            where = "manifest" if name in names else "card"
            check.found("configs differ", f"{name} is not in the {where}")
        for name in sorted(names & manifest.configs.keys()):
            _load(check, folder, name, manifest, Path(scratch) / name)
        check.looked_at = f"{len(names)} configs"
    return check


def _load(check: Check, folder: Path, config: str, manifest: Manifest, cache: Path) -> None:
    from datasets import load_dataset

    told = manifest.configs[config]
    try:
        loaded: Any = load_dataset(str(folder), config, cache_dir=str(cache))
        found = {split: (rows.num_rows, list(rows.features)) for split, rows in loaded.items()}
        del loaded
    except Exception as error:  # as above
        check.found("cannot be loaded", f"{config}: {_said(error)}")
        return
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    said = {split: facts.rows for split, facts in told.splits.items()}
    if {split: rows for split, (rows, _) in found.items()} != said:
        shown = ", ".join(f"{split} {rows:,}" for split, (rows, _) in found.items())
        check.found("loaded otherwise", f"{config}: {shown} rows; the manifest says {said}")
    promised = [column.name for column in manifest.schema.get(config, ())]
    if promised and any(columns != promised for _, columns in found.values()):
        check.found("loaded otherwise", f"{config}: other columns than the manifest's")


def _said(error: BaseException) -> str:
    """The first line of the first error in a chain: `datasets` wraps what went wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """No progress bars and no chatter of `datasets` meanwhile."""
    import datasets
    from datasets.utils.logging import get_verbosity, set_verbosity

    bars, verbosity = datasets.are_progress_bars_disabled(), get_verbosity()
    datasets.disable_progress_bars()
    set_verbosity(50)
    try:
        yield
    finally:
        set_verbosity(verbosity)
        if not bars:
            datasets.enable_progress_bars()
