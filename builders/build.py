"""From annotated shards to a complete dataset folder.

    out/README.md                                    the card; its YAML makes load_dataset("out") work
    out/data/<config>/<split>-00000-of-0000N.parquet
    out/assets/*                                     plots of the card
    out/manifest.json                                settings, counts, schema, checksums

The same shards, settings and library versions give the same bytes in every file. `datasets` refuses a split without
rows unless it is streamed, so a config or a split without rows is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepwriting.builders.ablations import NO_REFLECTION_PROMPTS, searched_without_reflection
from deepwriting.builders.features import columns
from deepwriting.builders.manifest import manifest, parse_manifest, plain_settings
from deepwriting.builders.parquet import MAX_SHARD_BYTES, FileFacts, TableFacts, file_facts, write_split
from deepwriting.builders.selection import Choice, Selection
from deepwriting.builders.shards import SortedDocuments, find_shards
from deepwriting.builders.staging import MANIFEST_FILE, staged
from deepwriting.builders.tables import table
from deepwriting.dataset_cards.documents import published_rows, render_documents, write_documents
from deepwriting.dataset_cards.statistics import Statistics, summarise
from deepwriting.errors import BuildError, NothingKeptError
from deepwriting.schema import CONFIG_COLUMNS, REQUIRED_CONFIGS, VALIDATION
from deepwriting.sections.outcome import ROWS_PER_SHARD, FiltersSection

#: A table with several rows for each searched row has so many times more of them in a file: about as many files.
ROWS_OF_ONE = {"steps": 10}
#: Names that are also allowed as the last part of a repository id on the Hub.
NAME_PATTERN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")
#: Versions such as 1.0.0, the form that `datasets` accepts.
VERSION_PATTERN = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class BuildReport:
    """What a build made.

    Attributes:
        folder: the dataset folder.
        name: name of the dataset.
        version: version of the dataset.
        rows: rows by config; a config without rows is absent.
        kept: rows of the default config.
        validation: those of them that are in split ``validation``.
        dropped_by_reason: dropped rows by reason; a row with two reasons counts twice.
        bytes: size of all Parquet files.
    """

    folder: Path
    name: str
    version: str
    rows: Mapping[str, int]
    kept: int
    validation: int
    dropped_by_reason: Mapping[str, int]
    bytes: int


#: Annotated shards: a folder of them, or the files.
Shards = str | Path | Sequence[str | Path]


def build_dataset(
    shards: Shards,
    out: str | Path,
    *,
    name: str = "deepwriting-20k",
    version: str,
    settings: Mapping[str, Any],
    configs: Sequence[str] | None = None,
    choice: Choice | None = None,
    no_reflection: Shards | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    watch: Callable[[str], None] | None = None,
) -> BuildReport:
    """Build the dataset folder; an earlier build at ``out`` stays in place until the new one is complete.

        build_dataset("runs/mine/build/shards", "mine-v2", name="mine", version="1.1.0", settings={},
                      choice=Choice(validation_share=0.02))

    Args:
        shards: a folder of ``*.jsonl.gz`` shards, or the files: rows with the decision about each (stage ``build``).
        out: folder of the dataset; must be new, empty or an earlier build. It is replaced as a whole.
        name: name of the dataset, as on the Hub without the namespace.
        version: version of the dataset, such as ``1.0.0``.
        settings: facts about the run for manifest and card (recipe, models, hashes, seeds, counts). The card reads
            ``pretty_name``, ``repo_id``, ``source_datasets`` and ``changes`` from it where they are present; the build
            ``filters``, by whose thresholds config ``initial`` is measured, and ``search.prompts``.
        configs: configs to build, in any order; None means all of ``schema.CONFIG_COLUMNS``.
        choice: the validation split, and how much of a downsampled part stays; None means no validation split.
        no_reflection: shards of another run of the same pairs, searched with the prompts ``no-reflection``. Without
            them config ``no-reflection`` is there only if this run used those prompts.
        rows_per_shard: most rows in one Parquet file; ten times as many in one of config `steps`.
        max_shard_bytes: size in Arrow memory after which a Parquet file ends even with fewer rows.
        watch: is told the config whose table is about to be written.

    Returns:
        Where the dataset is and what it holds.

    Raises:
        BuildError: if the shards cannot be read, an argument is not possible, or ``out`` must not be replaced.
        SchemaError: if a row lacks a column, or has a wrong value or a category that does not exist.
        NothingKeptError: if no row is kept, or none for a split of the default config.
    """
    check_name(name)
    if not VERSION_PATTERN.fullmatch(version):
        raise BuildError(f"dataset version {version!r}: expected three numbers such as 1.0.0")
    wanted = _wanted_configs(configs)
    files, other_files = find_shards(shards), find_shards(no_reflection) if no_reflection is not None else []
    out = Path(out).resolve()
    if any(out in file.resolve().parents for file in (*files, *other_files)):
        raise BuildError(f"the shards lie inside {out}, which the build would replace; choose another folder")
    facts = plain_settings(settings)
    filters = _filters(facts)
    with staged(out) as folder:
        with ExitStack() as stack:
            documents = stack.enter_context(SortedDocuments(files, folder=folder))
            if not len(documents):
                raise BuildError("the shards hold no row at all")
            selection = Selection(documents, choice or Choice())
            others = stack.enter_context(SortedDocuments(other_files, folder=folder)) if other_files else None
            tables = _Tables(folder, selection, others, filters, searched_without_reflection(facts), rows_per_shard,
                             max_shard_bytes, watch)  # fmt: skip
            # First: it holds every row, so a build that cannot succeed fails here.
            everything = tables.write("all")
            statistics = summarise(published_rows(folder, "all", everything.files))
            _require_kept_rows(statistics)
            written = {config: everything if config == "all" else tables.write(config) for config in wanted}
        written = {config: written_table for config, written_table in written.items() if written_table.rows}
        if others is not None and NO_REFLECTION_PROMPTS not in written:
            raise BuildError("no kept row of the run without reflection belongs to a pair that is kept here")
        _write_documents(folder, written, statistics, facts, name, version)
    return BuildReport(
        folder=out,
        name=name,
        version=version,
        rows={config: written_table.rows for config, written_table in written.items()},
        kept=statistics.kept.rows,
        validation=sum(split.rows for split in written["default"].splits if split.name == VALIDATION),
        dropped_by_reason=statistics.drop_reasons,
        bytes=sum(written_table.file_bytes for written_table in written.values()),
    )


@dataclass(frozen=True)
class _Tables:
    """What the tables of one build are written from, and where to."""

    folder: Path
    selection: Selection
    others: SortedDocuments | None
    filters: FiltersSection
    without_reflection: bool
    rows_per_shard: int
    max_shard_bytes: int
    watch: Callable[[str], None] | None

    def write(self, config: str) -> TableFacts:
        """Write one table, split by split; a split without rows leaves nothing."""
        if self.watch is not None:
            self.watch(config)
        rows = self.rows_per_shard * ROWS_OF_ONE.get(config, 1)
        splits = [
            write_split(
                config, split, self._records(config, split), self.folder, rows_per_shard=rows,
                max_shard_bytes=self.max_shard_bytes,
            )
            for split in self.selection.splits
        ]  # fmt: skip
        return TableFacts(config, tuple(split for split in splits if split.rows))

    def _records(self, config: str, split: str) -> Iterator[dict[str, Any]]:
        documents = self.selection.documents(config, split)
        if config == NO_REFLECTION_PROMPTS and self.others is not None:
            documents = self.selection.others(self.others, split)
        elif config == NO_REFLECTION_PROMPTS and not self.without_reflection:
            documents = iter(())
        return table(config, documents, self.filters)


def check_name(name: str) -> None:
    """Refuse a dataset name that the Hub would refuse, or that leads to another folder.

    Raises:
        BuildError: if it is not possible.
    """
    if not NAME_PATTERN.fullmatch(name) or ".." in name or "--" in name or name.endswith(".git"):
        raise BuildError(
            f"dataset name {name!r}: allowed are up to 96 letters, digits, '-', '_' and '.', beginning and ending with "
            "a letter or digit, without '--' and '..'"
        )


def _wanted_configs(configs: Sequence[str] | None) -> list[str]:
    """The configs in the order of the schema."""
    wanted = set(CONFIG_COLUMNS if configs is None else configs)
    for config in sorted(wanted):
        columns(config)  # refuses an unknown one
    if missing := [config for config in REQUIRED_CONFIGS if config not in wanted]:
        raise BuildError(f"configs {sorted(wanted)} lack {', '.join(missing)}, which every dataset has")
    return [config for config in CONFIG_COLUMNS if config in wanted]


def _filters(settings: Mapping[str, Any]) -> FiltersSection:
    try:
        return FiltersSection.model_validate(settings.get("filters", {}))
    except ValueError as error:
        raise BuildError(f"settings.filters of the run cannot be read: {error}") from error


def _require_kept_rows(statistics: Statistics) -> None:
    if statistics.kept.rows:
        return
    reasons = ", ".join(f"{reason} {count}" for reason, count in statistics.drop_reasons.items())
    raise NothingKeptError(f"none of the {statistics.everything.rows} rows is kept (dropped by reason: {reasons})")


def _write_documents(
    folder: Path,
    tables: Mapping[str, TableFacts],
    statistics: Statistics,
    settings: Mapping[str, Any],
    name: str,
    version: str,
) -> None:
    counts = {
        "rows": statistics.everything.rows,
        "kept": statistics.kept.rows,
        "dropped": statistics.everything.rows - statistics.kept.rows,
        "dropped_by_reason": statistics.drop_reasons,
    }

    def described(documents: Sequence[FileFacts]) -> str:
        return manifest(
            name=name, version=version, settings=settings, tables=tables.values(), documents=documents, counts=counts
        )

    # The documents are made from the manifest without them, as an audit makes them from the manifest that names them.
    documents = render_documents(folder, parse_manifest(described([])), statistics)
    write_documents(folder, documents)
    text = described([file_facts(folder / path, folder) for path in documents])
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8", newline="\n")
