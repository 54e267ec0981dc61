"""Looking at a stage's rows outside the pipeline."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import orjson

from deepwriting.rundir import RunFolder


def stage_documents(run: RunFolder, stage: str, folder: str = "shards") -> Iterator[dict[str, Any]]:
    """Yield the documents of a stage's shards or rejects, as datatrove wrote them: ``id``, ``text``, ``metadata``."""
    for file in sorted((run.stage(stage).path / folder).glob("*.jsonl.gz")):
        with gzip.open(file, "rb") as lines:
            for line in lines:
                yield orjson.loads(line)
