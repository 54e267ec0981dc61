"""Reading the shards of a single task with many tasks: document i goes to task i modulo the number of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers.jsonl import JsonlReader


class Spread(PipelineStep):
    """Every task reads all shards and keeps its own share.

    Args:
        shards: folder of the shards.
    """

    type = "📖 - READER"
    name = "Spread"

    def __init__(self, shards: str):
        super().__init__()
        self.shards = shards

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Yield this task's share."""
        reader = JsonlReader(self.shards, glob_pattern="*.jsonl.gz", add_file_path=False)
        for index, doc in enumerate(reader.run(None, 0, 1)):
            if index % world_size == rank:
                yield doc
