"""What deduplication has to know about every row, in a few numbers: its place, its order, its hashes, its score.

The order of rows is that of the sources in the recipe, and inside a source that of the ids, numbers in them counted as
numbers. It is the same however many tasks read the sources.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.jsonl import JsonlWriter
from xxhash import xxh3_64_intdigest

from deepwriting.errors import SourceError
from deepwriting.schema import is_rejected
from deepwriting.select.released import ReleasedPairs
from deepwriting.select.shards import RELEASED, released_number, shards_of_task
from deepwriting.select.tables import TableWriter
from deepwriting.shards import read_shard

if TYPE_CHECKING:
    import pyarrow as pa

_DIGITS = re.compile(r"\d+")


def schema() -> pa.Schema:
    """Columns of the table of rows."""
    import pyarrow as pa

    return pa.schema(
        [
            ("own", pa.bool_()),  # false for a released row
            ("rank", pa.int32()),  # the source's place in the recipe, or the release's
            ("place", pa.string()),  # order inside the source
            ("name", pa.string()),  # source and id, for people
            ("id", pa.string()),
            ("file", pa.int32()),
            ("row", pa.int32()),
            ("origin", pa.uint64()),  # hash of source and id
            ("pair", pa.uint64()),  # hash of query and answer
            ("query", pa.uint64()),
            ("answer", pa.uint64()),
            ("content", pa.uint64()),  # hash of everything: orders rows that are equal in all else
            ("score", pa.float64()),
        ]
    )


def natural(text: str) -> str:
    """A text to order by: numbers sort by their value, as they do for people."""
    return _DIGITS.sub(_counted, text)


def _counted(match: re.Match[str]) -> str:
    digits = match.group().lstrip("0")
    return f"{len(digits):03d}{digits}"


def score_of(provenance: Any) -> float | None:
    """The quality proxy of a source (upvotes), or ``None``."""
    if not isinstance(provenance, str) or '"score"' not in provenance:
        return None
    try:
        score = orjson.loads(provenance).get("score")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        return None
    return float(score)


def facts(document: Mapping[str, Any], ranks: Mapping[str, int], file: int, row: int) -> tuple[Any, ...]:
    """One row of the table.

    Args:
        document: a pair as a shard holds it.
        ranks: the sources' places in the recipe.
        file: number of its shard.
        row: its place in the shard.
    """
    metadata = document["metadata"]
    source, source_id, own = str(metadata["source"]), str(metadata["source_id"]), file < RELEASED
    if own:
        rank, order, name = ranks.get(source, len(ranks)), natural(source_id), f"{source}/{source_id}"
    else:
        rank, number, place = metadata["place"]
        order, name = f"{number:09d} {place:012d}", f"{source_id} in {source}"
    return (
        own, rank, order, name, document["id"], file, row, _hash(f"{source}\0{source_id}"), _hash(document["id"]),
        _hash(metadata["query"]), _hash(document["text"]),
        _hash(f"{metadata.get('license')}\0{metadata.get('provenance')}"),
        score_of(metadata.get("provenance")) if own else None,
    )  # fmt: skip


def _hash(text: str) -> int:
    value: int = xxh3_64_intdigest(text.encode())
    return value


class TableOfRows(PipelineStep):
    """Phase 1: copies this task's share of the released rows, and writes the table of all rows of this task.

    Args:
        source: folder of the source stage's shards.
        work: the stage's work folder.
        sources: names of the sources in the order of the recipe.
        releases: paths of earlier releases.
    """

    type = "🫂 - DEDUP"
    name = "Table of rows"

    def __init__(self, source: Path, work: Path, sources: Sequence[str], releases: Sequence[str]):
        super().__init__()
        self.source, self.work = source, work
        self.ranks = {name: rank for rank, name in reversed(list(enumerate(sources)))}
        self.readers = [ReleasedPairs(path, position) for position, path in enumerate(releases)]

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        """Write the table."""
        copied = self.work / "released" / f"{rank:05d}.jsonl.gz"
        copied.unlink(missing_ok=True)
        self._copy(rank, world_size)
        shards = list(shards_of_task(self.source, None, rank, world_size))
        if copied.exists():
            shards.append((released_number(copied), copied))
        rows = 0
        with self.track_time(), TableWriter(self.work / "rows" / f"{rank:05d}.parquet", schema()) as table:
            for file, path in shards:
                for row, document in enumerate(read_shard(path)):
                    table.add(*facts(document, self.ranks, file, row))
                    rows += 1
        self.stat_update("rows", value=rows)

    def _copy(self, rank: int, world_size: int) -> None:
        if not self.readers:
            return
        with JsonlWriter(str(self.work / "released")) as copies:
            for reader in self.readers:
                try:
                    for doc in reader.run(None, rank, world_size):
                        if is_rejected(doc.metadata):
                            self.stat_update("unreadable_released_rows")
                        else:
                            copies.write(doc, rank)
                            self.stat_update("released_rows")
                except SourceError as error:
                    raise SourceError(f"dedupe.earlier_release: {error}") from error
