from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from deepwriting.recipe import parse_recipe
from deepwriting.rundir import RunFolder
from deepwriting.schema import pair_id
from deepwriting.stages import StageContext
from deepwriting.stages.dedupe import DedupeStage
from deepwriting.stages.rows import stage_documents

#: Verdict about a row: kept rows have neither reason nor detail.
Verdicts = dict[str, tuple[str | None, str | None]]


@pytest.fixture(scope="session")
def prose() -> Callable[..., str]:
    """A text of words that no other seed's text shares runs of: ``prose(seed, words)``."""

    def make(seed: int | str, words: int = 60) -> str:
        rng = random.Random(f"prose {seed}")
        return " ".join("".join(rng.choices("abcdefghiklmnoprstuw", k=rng.randint(2, 8))) for _ in range(words)) + "."

    return make


@pytest.fixture(scope="session")
def row() -> Callable[..., dict[str, Any]]:
    """A pair as the source stage leaves it: ``row("own", "a1", query, answer, score=3)``."""

    def make(source: str, source_id: str, query: str, answer: str, **provenance: Any) -> dict[str, Any]:
        metadata = {
            "query": query, "source": source, "source_id": source_id, "license": "CC0-1.0", "language": "en",
            "provenance": json.dumps(provenance),
        }  # fmt: skip
        return {"id": pair_id(query, answer), "text": answer, "metadata": metadata}

    return make


@pytest.fixture(scope="session")
def write_shards() -> Callable[..., None]:
    """Writes rows as shards of the source stage; ``None`` stands for a task that left no file."""

    def write(run: Path, shards: Sequence[Sequence[dict[str, Any]] | None]) -> None:
        folder = run / "source" / "shards"
        folder.mkdir(parents=True, exist_ok=True)
        for number, rows in enumerate(shards):
            if rows is not None:
                with gzip.open(folder / f"{number:05d}.jsonl.gz", "wt", encoding="utf-8") as file:
                    file.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in rows)

    return write


@pytest.fixture(scope="session")
def dedupe_context() -> Callable[..., StageContext]:
    """A recipe with the sources own, other and third: ``dedupe_context(run, tasks=2, max_answers_per_query=1)``."""

    def make(run: Path, *, tasks: int = 1, **settings: Any) -> StageContext:
        sources = ", ".join(f"{{kind: pairs, path: in, name: {name}}}" for name in ("own", "other", "third"))
        text = f"""
name: mine
sources: [{sources}]
engines: {{generator: {{model: none}}}}
dedupe: {json.dumps(settings)}
execution: {{tasks: {tasks}}}
"""
        return StageContext(parse_recipe(text), RunFolder(run), "hash")

    return make


@pytest.fixture(scope="session")
def deduped(write_shards: Callable[..., None], dedupe_context: Callable[..., StageContext]) -> Callable[..., Verdicts]:
    """Runs the phases of the stage on rows, without the executor: ``deduped(folder, [rows, rows], tasks=2, ...)``."""

    def run(folder: Path, shards: Sequence[Sequence[dict[str, Any]] | None], **settings: Any) -> Verdicts:
        write_shards(folder, shards)
        context = dedupe_context(folder, **settings)
        for phase in DedupeStage().phases(context):
            for rank in range(phase.tasks):
                data: Any = None
                for step in deepcopy(phase.steps):
                    data = step(data, rank, phase.tasks)
                list(data or [])
        verdicts: Verdicts = {}
        for part in ("shards", "rejects"):
            for doc in stage_documents(context.run, "dedupe", part):
                name = f"{doc['metadata']['source']}/{doc['metadata']['source_id']}/{doc['id'][-4:]}"
                while name in verdicts:
                    name += "+"
                verdicts[name] = doc["metadata"].get("reject"), doc["metadata"].get("reject_detail")
        assert len(verdicts) == sum(len(rows) for rows in shards if rows), "no row is lost"
        return verdicts

    return run
