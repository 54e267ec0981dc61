"""What the phases of the selection hand to each other: a few numbers for each pair, never its text.

work/
    classified/00003.parquet   by shard of the stage before: a line for each of its pairs, in its order
    verdicts/00003.parquet     the same, with what was decided
    moved/00001/00000.jsonl    pairs for task 1 that lie in task 0's shards
    report.json                what was asked and what could be had
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document

#: Who decided about a category.
CLASSIFIERS = ("fast", "likelihood")


@dataclass(frozen=True)
class Classified:
    """Pairs as the choice sees them, one array a column.

    Attributes:
        category: index of the category.
        by: index of who decided, in ``CLASSIFIERS``.
        probability: of the category (0 to 1).
        source: name of the source.
        score: the source's own measure of quality, such as upvotes; not a number where there is none.
        chars: length of the answer (characters).
        chance: a random number that follows from the seed and the pair's id.
    """

    category: pa.Array
    by: pa.Array
    probability: pa.Array
    source: pa.Array
    score: pa.Array
    chars: pa.Array
    chance: pa.Array


CLASSIFIED_SCHEMA = pa.schema(
    {
        "category": pa.int8(), "by": pa.int8(), "probability": pa.float32(), "source": pa.string(),
        "score": pa.float32(), "chars": pa.int32(), "chance": pa.uint64(),
    }
)  # fmt: skip
assert [field.name for field in fields(Classified)] == CLASSIFIED_SCHEMA.names

#: ``task`` is where a chosen pair goes, or one of these.
NOT_SELECTED, UNCLEAR, NO_SHARE = -1, -2, -3
VERDICT_SCHEMA = pa.schema(
    {
        "category": pa.int8(), "by": pa.int8(), "probability": pa.float32(), "task": pa.int32(), "rank": pa.int32(),
        "of": pa.int32(), "chosen": pa.int32(),
    }
)  # fmt: skip


def document(line: bytes) -> Document:
    """A row of a shard as a document."""
    data: dict[str, Any] = orjson.loads(line)
    return Document(text=data.get("text", ""), id=data["id"], metadata=data.get("metadata", {}))


def write_table(file: Path, table: pa.Table) -> None:
    """Write a Parquet file so that a reader sees all of it or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    pq.write_table(table, scratch)
    os.replace(scratch, file)


def table_name(shard: Path) -> str:
    """Name of the table that belongs to a shard."""
    return shard.name.removesuffix(".jsonl.gz") + ".parquet"


@dataclass(frozen=True)
class Verdicts:
    """What was decided about the pairs of one shard, in its order; see ``VERDICT_SCHEMA``."""

    category: np.ndarray[Any, np.dtype[np.int8]]
    by: np.ndarray[Any, np.dtype[np.int8]]
    probability: np.ndarray[Any, np.dtype[np.float32]]
    task: np.ndarray[Any, np.dtype[np.int32]]
    rank: np.ndarray[Any, np.dtype[np.int32]]
    of: np.ndarray[Any, np.dtype[np.int32]]
    chosen: np.ndarray[Any, np.dtype[np.int32]]


def read_verdicts(file: Path) -> Verdicts:
    """The verdicts of a shard."""
    table = pq.read_table(file)
    return Verdicts(**{name: table[name].to_numpy() for name in VERDICT_SCHEMA.names})
