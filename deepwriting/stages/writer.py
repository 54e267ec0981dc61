"""The last step of every stage: rows that go on, rejects with their reasons, counts, and progress."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.jsonl import JsonlWriter

from deepwriting.files import write_json
from deepwriting.rundir import PROGRESS_SECONDS
from deepwriting.schema import REJECT, is_rejected


class WriteShard(PipelineStep):
    """Writes one shard and one file of rejects a task, and counts both.

    Args:
        folder: the stage's folder.
        multiplies: whether the stage makes several rows of one (rollouts); the further ones are counted as extra.
    """

    type = "💽 - WRITER"
    name = "Shard and rejects"

    def __init__(self, folder: str, *, multiplies: bool = False):
        super().__init__()
        self.folder = folder
        self.multiplies = multiplies

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Write every document to where it belongs and pass it on."""
        root = Path(self.folder)
        reasons: Counter[str] = Counter()
        rows_out, extra, noted = 0, 0, 0.0
        progress = root / "progress" / f"{rank:05d}.json"
        # A task that was interrupted begins its files anew.
        shards, rejects = (JsonlWriter(str(root / name), adapter=_plain) for name in ("shards", "rejects"))
        with contextlib.ExitStack() as stack:
            if isinstance(data, Generator):
                # Where writing fails, the steps before end now, and not whenever Python collects what they hold.
                stack.callback(data.close)
            stack.enter_context(shards)
            stack.enter_context(rejects)
            for doc in data:
                if is_rejected(doc.metadata):
                    reasons[doc.metadata[REJECT]] += 1
                    rejects.write(doc, rank)
                else:
                    rows_out += 1
                    shards.write(doc, rank)
                extra += self.multiplies and doc.metadata.get("rollout", 0) > 0
                if time.monotonic() - noted > PROGRESS_SECONDS:
                    noted = time.monotonic()
                    write_json(progress, {"rows": rows_out + reasons.total()})
                yield doc
        write_json(progress, {"rows": rows_out + reasons.total()})
        write_json(
            root / "counts" / f"{rank:05d}.json",
            {"rows_out": rows_out, "extra": extra, "rejected": reasons.total(), "reasons": dict(reasons)},
        )


def _plain(writer: JsonlWriter, doc: Document) -> dict[str, Any]:
    """What datatrove's own adapter gives, without its deep copy of all values, which takes longer than writing them."""
    return {key: value for key, value in (("text", doc.text), ("id", doc.id), ("metadata", doc.metadata)) if value}
