"""Looking at a stage's rows outside the pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deepwriting.remote.working import fetched
from deepwriting.rundir import RunFolder
from deepwriting.shards import read_shard, shard_files


def stage_documents(run: RunFolder, stage: str, folder: str = "shards") -> Iterator[dict[str, Any]]:
    """Yield the documents of a stage's shards or rejects, as datatrove wrote them: ``id``, ``text``, ``metadata``."""
    fetched(run.stage(stage).path / folder)
    for file in shard_files(run.stage(stage).path / folder):
        yield from read_shard(file)
