"""Checks of the rows, in one pass over the Parquet files: schema, categories, licences, and what texts hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepwriting.builders.features import RECORD_FIELDS, SCALAR_KINDS, SINGLE_RECORDS, feature
from deepwriting.builders.manifest import Manifest, ManifestColumn
from deepwriting.builders.parquet import FileFacts
from deepwriting.hub.preflight.base import Check, some
from deepwriting.hub.preflight.files import run_of
from deepwriting.hub.preflight.licences import refused_licences
from deepwriting.hub.preflight.texts import TextScan
from deepwriting.schema import REQUIRED_CONFIGS
from deepwriting.select.taxonomy import DOMAIN_OF

#: Rows read at a time; a memory limit.
_BATCH_ROWS = 500
_KINDS = frozenset((*SCALAR_KINDS, "strings", *RECORD_FIELDS, *SINGLE_RECORDS))


@dataclass
class Rows:
    """What one pass over the rows has found.

    Attributes:
        schema: problems with columns, types, nulls and numbers of rows.
        categories: (category, domain) -> rows, those that are not in the taxonomy.
        licences: licences of the rows.
        scan: personal data and secrets in their texts.
    """

    schema: list[str] = field(default_factory=list)
    categories: dict[tuple[str, str | None], int] = field(default_factory=dict)
    licences: set[str] = field(default_factory=set)
    scan: TextScan = field(default_factory=TextScan)


def read_rows(folder: Path, manifest: Manifest, watch: Callable[[int], None] | None = None) -> Rows:
    """Look at every row of every config.

    Args:
        folder: the dataset folder.
        manifest: its manifest.
        watch: told the bytes of each file that was read.
    """
    rows = Rows()
    for config, found in manifest.configs.items():
        columns = manifest.schema.get(config)
        if columns is None or any(column.kind not in _KINDS for column in columns):
            rows.schema.append(f"the manifest has no schema for config {config} that this version understands")
            continue
        if sum(file.rows for file in found.files) != found.rows:
            rows.schema.append(f"config {config}: its files hold other than {found.rows} rows in the manifest")
        for file in found.files:
            _read_file(folder, config, columns, file, rows)
            if watch:
                watch(file.bytes)
    return rows


def _read_file(folder: Path, config: str, columns: tuple[ManifestColumn, ...], file: FileFacts, rows: Rows) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(folder / file.path) as parquet:
            if problem := _type_problem(parquet.schema_arrow, columns):
                rows.schema.append(f"{file.path}: {problem}")
                return
            if parquet.metadata.num_rows != file.rows:
                rows.schema.append(f"{file.path} holds {parquet.metadata.num_rows} rows, the manifest says {file.rows}")
            for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
                _look_at(batch, config, columns, file, rows)
    except (OSError, pa.ArrowException) as error:
        rows.schema.append(f"{file.path} cannot be read: {str(error).splitlines()[0]}")


def _type_problem(found: Any, columns: tuple[ManifestColumn, ...]) -> str:
    from datasets import Features

    kinds: Mapping[str, Any] = {column.name: column.kind for column in columns}
    wanted = Features({name: feature(kind) for name, kind in kinds.items()}).arrow_schema
    if found.names != wanted.names:
        odd = sorted(set(found.names) ^ set(wanted.names))
        return f"columns {some(odd)} differ from the manifest's" if odd else "the columns stand in another order"
    wrong = [
        f"{one.name} is {one.type}, not {two.type}"
        for one, two in zip(found, wanted, strict=True)
        if not one.type.equals(two.type)
    ]
    return some(wrong)


def _look_at(batch: Any, config: str, columns: tuple[ManifestColumn, ...], file: FileFacts, rows: Rows) -> None:
    names = {column.name for column in columns}
    for column in columns:
        if not column.nullable and batch.column(column.name).null_count:
            problem = f"{file.path}: column {column.name} has rows without a value"
            if problem not in rows.schema:
                rows.schema.append(problem)
    if "license" in names:
        rows.licences.update(value or "" for value in batch.column("license").unique().to_pylist())
    if "category" in names:
        categories = batch.column("category").to_pylist()
        domains = batch.column("domain").to_pylist() if "domain" in names else [None] * len(categories)
        for pair in zip(categories, domains, strict=True):
            if DOMAIN_OF.get(pair[0]) is None or pair[1] not in (None, DOMAIN_OF[pair[0]]):
                rows.categories[pair] = rows.categories.get(pair, 0) + 1
    rows.scan.add(config, _ids(batch, names), _strings(batch, columns))


def _ids(batch: Any, names: Collection[str]) -> list[str]:
    if "row_id" in names:
        return [str(value) for value in batch.column("row_id").to_pylist()]
    if "extra_info" in names:
        return [str((value or {}).get("index")) for value in batch.column("extra_info").to_pylist()]
    return ["?"] * batch.num_rows


def _strings(batch: Any, columns: tuple[ManifestColumn, ...]) -> Iterator[tuple[str, list[list[str]]]]:
    """Column -> the texts of every row, whatever the column's kind."""
    for column in columns:
        if column.kind in ("bool", "int32", "float32"):
            continue
        values = batch.column(column.name).to_pylist()
        yield column.name, [list(_flat(value)) for value in values]


def _flat(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _flat(item)
    elif isinstance(value, list):
        for item in value:
            yield from _flat(item)


def check_rows(folder: Path, manifest: Manifest, rows: Rows, allowed_licences: Collection[str]) -> list[Check]:
    """The verdicts on schema, categories, default config and licences."""
    return [
        _schema_check(folder, manifest, rows),
        _default_check(folder, manifest),
        _category_check(folder, rows),
        _licence_check(rows, allowed_licences),
    ]


def _schema_check(folder: Path, manifest: Manifest, rows: Rows) -> Check:
    if rows.schema:
        return Check(
            "schema", "refused", some(rows.schema), f"deepwriting build {run_of(folder)} {folder} makes the tables anew"
        )
    count = sum(found.rows for found in manifest.configs.values())
    return Check("schema", "ok", f"{count} rows have the columns and types of the manifest")


def _default_check(folder: Path, manifest: Manifest) -> Check:
    missing = [name for name in REQUIRED_CONFIGS if name not in manifest.configs or not manifest.configs[name].rows]
    if missing:
        run = f"deepwriting run {run_of(folder)}/recipe.yaml --redo annotate"
        repair = f"loosen `build` or `filters` in the recipe, then: {run}"
        return Check("default config", "refused", f"without rows: {', '.join(missing)}", repair)
    return Check("default config", "ok", f"{manifest.configs[REQUIRED_CONFIGS[0]].rows} rows")


def _category_check(folder: Path, rows: Rows) -> Check:
    if not rows.categories:
        return Check("categories", "ok", "every one is in the taxonomy")
    found = [
        f"{category!r}{f' in the domain {domain!r}' if category in DOMAIN_OF else ''} ({count} rows)"
        for (category, domain), count in rows.categories.items()
    ]
    repair = f"deepwriting run {run_of(folder)}/recipe.yaml --redo select; docs/taxonomy.md lists the 25 categories"
    return Check("categories", "refused", f"not in the taxonomy: {some(found)}", repair)


def _licence_check(rows: Rows, allowed: Collection[str]) -> Check:
    refused = refused_licences(rows.licences, allowed)
    if refused:
        detail = some(f"{name!r} {why}" for name, why in refused.items())
        options = " ".join(f'--allow-licence "{name}"' for name in refused)
        return Check(
            "licences",
            "refused",
            detail,
            f"leave the source out of the recipe, or, if you have the right to pass its texts on, add {options}",
        )
    shown = some(sorted(rows.licences)) or "none named"
    if answered := sorted(rows.licences & set(allowed)):
        return Check("licences", "warning", f"{shown}; passed on at your word: {some(answered)}")
    return Check("licences", "ok", shown)
