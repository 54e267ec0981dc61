"""Carrying out the choice: chosen pairs spread evenly over the tasks, the others to the rejects with their reason.

Every task reads its own shards of the stage before. Chosen pairs that another task is to search are put into that
task's folder first (``Move``); rejected ones never move. So a million pairs are read twice in all, by whatever number
of tasks, and only what is chosen is written twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from deepwriting.select.rows import (
    CLASSIFIERS,
    NO_SHARE,
    UNCLEAR,
    Verdicts,
    document,
    read_verdicts,
    table_name,
)
from deepwriting.select.taxonomy import CATEGORIES, DOMAIN_OF
from deepwriting.shards import shard_files, shard_lines
from deepwriting.steps import reject

#: Text kept for other tasks before it is written (bytes).
_BUFFER = 16 * 2**20


class _OwnShards(PipelineStep):
    """What both steps share.

    Args:
        shards: folder of the shards of the stage before.
        work: the stage's work folder.
        min_probability: the recipe's, for the reason of a rejection.
    """

    def __init__(self, shards: str, work: str, *, min_probability: float = 0.0):
        super().__init__()
        self.shards = shards
        self.work = work
        self.min_probability = min_probability

    def _own(self, rank: int, world_size: int) -> Iterator[tuple[bytes, Verdicts, int, int]]:
        """A task's rows: the line, its shard's verdicts, its place in the shard, and where it goes."""
        for shard in shard_files(Path(self.shards))[rank::world_size]:
            verdicts = read_verdicts(Path(self.work) / "verdicts" / table_name(shard))
            tasks = verdicts.task.tolist()
            for place, (line, task) in enumerate(zip(shard_lines(shard), tasks, strict=True)):
                yield line, verdicts, place, task

    def _described(self, line: bytes, verdicts: Verdicts, place: int) -> Document:
        doc, name = document(line), CATEGORIES[int(verdicts.category[place])]
        doc.metadata |= {
            "category": name,
            "domain": DOMAIN_OF[name],
            "category_probability": float(verdicts.probability[place]),
            "category_by": CLASSIFIERS[int(verdicts.by[place])],
        }
        return doc


class Move(_OwnShards):
    """Puts chosen pairs that belong to other tasks where these find them; yields nothing."""

    type = "🚚 - MOVE"
    name = "Spread over tasks"

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Move what others are to search."""
        for begun in Path(self.work).glob(f"moved/*/{rank:05d}.jsonl"):  # by an interrupted try
            begun.unlink()
        buffers: dict[int, list[bytes]] = defaultdict(list)
        held = 0
        for line, verdicts, place, task in self._own(rank, world_size):
            if task < 0 or task == rank:
                continue
            doc = self._described(line, verdicts, place)
            buffers[task].append(orjson.dumps({"text": doc.text, "id": doc.id, "metadata": doc.metadata}))
            held += len(buffers[task][-1])
            if held > _BUFFER:
                self._write(buffers, rank)
                held = 0
        self._write(buffers, rank)
        yield from ()

    def _write(self, buffers: dict[int, list[bytes]], rank: int) -> None:
        for task, lines in buffers.items():
            file = Path(self.work) / "moved" / f"{task:05d}" / f"{rank:05d}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as out:
                out.writelines(line + b"\n" for line in lines)
        buffers.clear()


class Apply(_OwnShards):
    """Yields a task's own rejects and the chosen pairs that it has been dealt, with their categories."""

    type = "📖 - READER"
    name = "Chosen pairs"

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Yield this task's documents."""
        for line, verdicts, place, task in self._own(rank, world_size):
            if task >= 0 and task != rank:
                continue
            doc = self._described(line, verdicts, place)
            if task < 0:
                self._reject(doc, verdicts, place, task)
            yield doc
        for file in sorted((Path(self.work) / "moved" / f"{rank:05d}").glob("*.jsonl")):
            with file.open("rb") as lines:
                yield from map(document, lines)

    def _reject(self, doc: Document, verdicts: Verdicts, place: int, task: int) -> None:
        category = doc.metadata["category"]
        if task == UNCLEAR:
            probability = doc.metadata["category_probability"]
            detail = f"{category} with probability {probability:.3g}, below {self.min_probability:g}"
            reject(doc, "unclear_category", detail)
            return
        where = f"{category} from {doc.metadata['source']}"
        if task == NO_SHARE:
            reject(doc, "not_selected", f"{where} has weight 0")
            return
        rank, of, chosen = (int(column[place]) for column in (verdicts.rank, verdicts.of, verdicts.chosen))
        reject(doc, "not_selected", f"rank {rank} of {of} in {where}; {chosen} were chosen")
