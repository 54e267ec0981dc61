"""The choice over all pairs of a run: which are searched, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from deepwriting.files import write_json
from deepwriting.recipe import SelectSection
from deepwriting.select.quality import quality
from deepwriting.select.quotas import Counts, cells_for, share_out, wanted
from deepwriting.select.report import report
from deepwriting.select.rows import (
    NO_SHARE,
    NOT_SELECTED,
    UNCLEAR,
    VERDICT_SCHEMA,
    table_name,
    write_table,
)
from deepwriting.select.taxonomy import CATEGORIES
from deepwriting.shards import shard_files


@dataclass(frozen=True)
class Plan:
    """How many pairs are taken from where.

    Attributes:
        wanted: by category, what was asked for; ``None`` if everything is kept.
        cells: (categories, sources), what is taken.
    """

    wanted: Counts | None
    cells: Counts


class Choose(PipelineStep):
    """Reads the tables of all shards, decides, and writes verdicts and a report; yields nothing. Runs as one task.

    It keeps about 150 bytes a pair in memory, in arrays (measured at a million pairs).

    Args:
        shards: folder of the shards that were classified.
        work: the stage's work folder.
        settings: the recipe's select section.
        sources: names of all sources in the recipe.
        tasks: tasks that the chosen pairs are dealt out to.
    """

    type = "⚖ - CHOOSE"
    name = "Choice"

    def __init__(self, shards: str, work: str, settings: SelectSection, *, sources: Sequence[str], tasks: int):
        super().__init__()
        self.shards = shards
        self.work = work
        self.settings = settings
        self.sources = sources
        self.tasks = tasks

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Decide about all pairs."""
        work = Path(self.work)
        files = [table_name(shard) for shard in shard_files(Path(self.shards))]
        tables = [pq.read_table(work / "classified" / file) for file in files]
        table = pa.concat_tables(tables)
        verdicts, facts = choose(table, self.settings, self.sources, self.tasks)
        at = 0
        for file, part in zip(files, tables, strict=True):
            write_table(work / "verdicts" / file, verdicts.slice(at, len(part)))
            at += len(part)
        write_json(work / "report.json", facts)
        yield from ()


def choose(
    table: pa.Table, settings: SelectSection, sources: Sequence[str], tasks: int
) -> tuple[pa.Table, dict[str, Any]]:
    """Decide about all pairs.

    Args:
        table: the pairs, see ``CLASSIFIED_SCHEMA``.
        settings: the recipe's select section.
        sources: names of all sources in the recipe; further ones in the table are put behind them.
        tasks: tasks that the chosen pairs are dealt out to, in turn.

    Returns:
        A verdict for each pair, see ``VERDICT_SCHEMA``, and the report.
    """
    names, source = _indexed(table["source"], sources)
    category = table["category"].to_numpy().astype(np.int32)
    probability = np.round(table["probability"].to_numpy().astype(np.float64), 6)
    chance = table["chance"].to_numpy()
    clear = probability >= settings.min_probability
    available = _counted(category[clear], source[clear], len(names))
    shared = available * _weights(settings.category_weights, CATEGORIES, settings)[:, None].astype(bool)
    shared = shared * _weights(settings.source_weights, names, settings)[None, :].astype(bool)

    value = quality(
        settings.quality, score=table["score"].to_numpy().astype(np.float64), chars=table["chars"].to_numpy(),
        probability=probability, chance=chance, source=source, preferred=settings.preferred_chars,
    )  # fmt: skip
    has_share = clear & (shared > 0)[category, source]
    plan = _plan(settings, names, shared, _best_first(category, value, chance, has_share), category, source)

    cell = category * len(names) + source
    order = np.lexsort((chance, -value, cell, ~has_share))[: int(has_share.sum())]
    place = np.zeros(len(category), dtype=np.int64)
    first = np.searchsorted(cell[order], cell[order], side="left")
    place[order] = np.arange(len(order)) - first
    chosen = has_share & (place < plan.cells[category, source])

    task = np.where(clear, np.where(has_share, NOT_SELECTED, NO_SHARE), UNCLEAR)
    task[chosen] = np.arange(int(chosen.sum())) % tasks
    verdicts = pa.table(
        {
            "category": table["category"], "by": table["by"], "probability": table["probability"],
            "task": task.astype(np.int32), "rank": (place + 1).astype(np.int32),
            "of": shared[category, source].astype(np.int32), "chosen": plan.cells[category, source].astype(np.int32),
        },
        schema=VERDICT_SCHEMA,
    )  # fmt: skip
    facts = report(
        settings, names, wanted=plan.wanted, available=available, chosen=plan.cells,
        unclear=np.bincount(category[~clear], minlength=len(CATEGORIES)),
        by=np.bincount(table["by"].to_numpy().astype(np.int64), minlength=2),
    )  # fmt: skip
    return verdicts, facts


def _indexed(column: pa.ChunkedArray, known: Sequence[str]) -> tuple[list[str], NDArray[np.int32]]:
    """Names of the sources, those of the recipe first, and each pair's index among them."""
    encoded = column.combine_chunks().dictionary_encode()
    found: list[str] = encoded.dictionary.to_pylist()
    names = [*known, *sorted(set(found) - set(known))]
    places = np.array([names.index(name) for name in found] or [0], dtype=np.int32)
    return names, places[encoded.indices.to_numpy()]


def _counted(category: NDArray[np.int32], source: NDArray[np.int32], sources: int) -> Counts:
    counts = np.bincount(category * sources + source, minlength=len(CATEGORIES) * sources)
    return counts.reshape(len(CATEGORIES), sources).astype(np.int64)


def _weights(given: dict[str, float], names: Sequence[str], settings: SelectSection) -> NDArray[np.float64]:
    weights = np.array([given.get(name, 1.0) for name in names])
    return weights if settings.pairs is not None else np.ones(len(names))


def _best_first(
    category: NDArray[np.int32], value: NDArray[np.float64], chance: NDArray[np.uint64], among: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The pairs of each category after those of the category before, best first."""
    order: NDArray[np.int64] = np.lexsort((chance, -value, category, ~among))[: int(among.sum())]
    return order


def _plan(
    settings: SelectSection,
    names: Sequence[str],
    shared: Counts,
    order: NDArray[np.int64],
    category: NDArray[np.int32],
    source: NDArray[np.int32],
) -> Plan:
    if settings.pairs is None:
        return Plan(None, shared)
    everything = int(shared.sum())
    limits = np.array([settings.source_limits.get(name, everything) for name in names], dtype=np.int64)
    targets = np.array([settings.category_targets.get(name, 0) for name in CATEGORIES], dtype=np.int64)
    weights = np.where(targets > 0, 0.0, _weights(settings.category_weights, CATEGORIES, settings))
    first = share_out(int(targets.sum()), targets.astype(np.float64), shared, limits, limits=targets)
    asked = targets + wanted(settings.pairs - int(targets.sum()), weights)
    most = None if settings.redistribute else asked
    rows = share_out(settings.pairs, weights, shared, limits, limits=most, fixed=first)

    # What the categories would take if every source could give all it has: their best.
    starts = np.searchsorted(category[order], np.arange(len(CATEGORIES)))
    taken = np.concatenate([order[start : start + count] for start, count in zip(starts, rows, strict=True)])
    preferred = _counted(category[taken], source[taken], len(names))
    if settings.source_weights:
        by_source = np.array([settings.source_weights.get(name, 1.0) for name in names])
        limits = share_out(int(rows.sum()), by_source, shared.T, rows, limits=limits)
    return Plan(asked, cells_for(rows, limits, shared, preferred))
