"""From annotated shards to a complete dataset folder.

    out/README.md                                  the card; its YAML makes load_dataset("out") work
    out/data/<config>/train-00000-of-0000N.parquet
    out/assets/*.png                               plots of the card
    out/manifest.json                              settings, counts, schema, checksums

The same shards, settings and library versions give the same bytes in every file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepwriting.builders.features import features
from deepwriting.builders.manifest import manifest, plain_settings
from deepwriting.builders.parquet import MAX_SHARD_BYTES, TableFacts, file_facts, write_table
from deepwriting.builders.shards import SortedDocuments, find_shards
from deepwriting.builders.staging import MANIFEST_FILE, staged
from deepwriting.builders.tables import table
from deepwriting.dataset_cards.card import render_card
from deepwriting.dataset_cards.plots import write_plots
from deepwriting.dataset_cards.statistics import STATISTICS_COLUMNS, Statistics, summarise
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS

#: Most rows in one Parquet file. The paper's 20,000 trajectories become two files; the size limit of a shard
#: (``parquet.MAX_SHARD_BYTES``) may end one sooner.
ROWS_PER_SHARD = 10_000
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
        rows: rows by config.
        kept: rows of the default config.
        dropped_by_reason: dropped rows by reason; a row with two reasons counts twice.
        bytes: size of all Parquet files.
    """

    folder: Path
    name: str
    version: str
    rows: Mapping[str, int]
    kept: int
    dropped_by_reason: Mapping[str, int]
    bytes: int


def build_dataset(
    shards: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    name: str = "deepwriting-20k",
    version: str,
    settings: Mapping[str, Any],
    rows_per_shard: int = ROWS_PER_SHARD,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> BuildReport:
    """Build the dataset folder; an earlier build at ``out`` stays in place until the new one is complete.

    Args:
        shards: a folder of ``*.jsonl.gz`` shards, or the files.
        out: folder of the dataset; must be new, empty or an earlier build. It is replaced as a whole.
        name: name of the dataset, as on the Hub without the namespace.
        version: version of the dataset, such as ``1.0.0``.
        settings: facts about the run for manifest and card (recipe, models, hashes, seeds, counts). The card reads
            ``pretty_name``, ``repo_id``, ``source_datasets`` and ``changes`` from it where they are present.
        rows_per_shard: most rows in one Parquet file.
        max_shard_bytes: size in Arrow memory after which a Parquet file ends even with fewer rows.

    Returns:
        Where the dataset is and what it holds.

    Raises:
        BuildError: if the shards cannot be read, a row lacks a column or has a wrong value, no row is kept, or ``out``
            must not be replaced.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise BuildError(f"dataset name {name!r}: allowed are up to 96 letters, digits, '-', '_' and '.'")
    if not VERSION_PATTERN.fullmatch(version):
        raise BuildError(f"dataset version {version!r}: expected three numbers such as 1.0.0")
    files = find_shards(shards)
    out = Path(out).resolve()
    if any(out in file.resolve().parents for file in files):
        raise BuildError(f"the shards lie inside {out}, which the build would replace; choose another folder")
    facts = plain_settings(settings)
    with staged(out) as folder:
        with SortedDocuments(files, folder=folder) as documents:
            tables = _write_tables(documents, folder, rows_per_shard, max_shard_bytes)
        statistics = summarise(_published_rows(folder, tables["all"]))
        _require_kept_rows(statistics)
        _write_documents(folder, tables, statistics, facts, name, version)
    return BuildReport(
        folder=out,
        name=name,
        version=version,
        rows={config: facts_.rows for config, facts_ in tables.items()},
        kept=statistics.kept.rows,
        dropped_by_reason=statistics.drop_reasons,
        bytes=sum(facts_.file_bytes for facts_ in tables.values()),
    )


def _write_tables(
    documents: SortedDocuments, folder: Path, rows_per_shard: int, max_shard_bytes: int
) -> dict[str, TableFacts]:
    if not len(documents):
        raise BuildError("the shards hold no row at all")
    return {
        config: write_table(
            config, table(config, documents), folder, rows_per_shard=rows_per_shard, max_shard_bytes=max_shard_bytes
        )
        for config in CONFIG_COLUMNS
    }


def _published_rows(folder: Path, written: TableFacts) -> Iterator[dict[str, Any]]:
    """Rows as published: the card's numbers come from the files that readers get, float32 rounding included."""
    import pyarrow.parquet as pq

    for file in written.files:
        with pq.ParquetFile(folder / file.path) as parquet:
            for batch in parquet.iter_batches(columns=list(STATISTICS_COLUMNS)):
                yield from batch.to_pylist()


def _require_kept_rows(statistics: Statistics) -> None:
    if statistics.kept.rows:
        return
    reasons = ", ".join(f"{reason} {count}" for reason, count in statistics.drop_reasons.items())
    raise BuildError(f"none of the {statistics.everything.rows} rows is kept (dropped by reason: {reasons})")


def _write_documents(
    folder: Path,
    tables: Mapping[str, TableFacts],
    statistics: Statistics,
    settings: Mapping[str, Any],
    name: str,
    version: str,
) -> None:
    plots = write_plots(statistics, folder / "assets")
    card = render_card(
        statistics, settings, name=name, version=version, infos=_dataset_infos(tables.values()), plots=plots
    )
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    counts = {
        "rows": statistics.everything.rows,
        "kept": statistics.kept.rows,
        "dropped": statistics.everything.rows - statistics.kept.rows,
        "dropped_by_reason": statistics.drop_reasons,
    }
    documents = [file_facts(folder / "README.md", folder)]
    documents += [file_facts(folder / "assets" / plot.file, folder) for plot in plots]
    text = manifest(
        name=name, version=version, settings=settings, tables=tables.values(), documents=documents, counts=counts
    )
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8", newline="\n")


def _dataset_infos(tables: Any) -> Any:
    """What the card's YAML tells `datasets` about every config: features, rows and sizes."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict

    infos = {}
    for written in tables:
        splits = SplitDict()
        splits.add(SplitInfo(name="train", num_bytes=written.arrow_bytes, num_examples=written.rows))
        infos[written.config] = DatasetInfo(
            features=features(written.config),
            splits=splits,
            download_size=written.file_bytes,
            dataset_size=written.arrow_bytes,
            config_name=written.config,
        )
    return DatasetInfosDict(infos)
