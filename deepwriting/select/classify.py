"""The step that gives every pair its category, and writes down what the choice needs to know about it."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from deepwriting.files import write_json
from deepwriting.recipe import EngineSection, SelectSection
from deepwriting.rundir import PROGRESS_SECONDS
from deepwriting.select.classifier import CategoryClassifier, Classification
from deepwriting.select.fast import fast_model
from deepwriting.select.rows import CLASSIFIED_SCHEMA, table_name, write_table
from deepwriting.select.taxonomy import CATEGORIES
from deepwriting.shards import shard_files, shard_lines

#: Pairs classified together.
_BATCH = 2048
#: Digits that probabilities keep: beyond them machines and thread counts may differ.
_DIGITS = 5

#: Category, who decided, probability.
Found = tuple[int, int, float]


class Classify(PipelineStep):
    """Reads its share of the shards of the stage before and writes a table of numbers for each; yields nothing.

    Args:
        shards: folder of the shards.
        work: the stage's work folder.
        scorer: the scoring engine's recipe section.
        settings: the recipe's select section.
        prompts: name or folder of the prompt set.
        concurrency: pairs that the scorer works on at the same time.
        seed: the recipe's seed.
    """

    type = "🗂 - CLASSIFY"
    name = "Categories"

    def __init__(
        self,
        shards: str,
        work: str,
        scorer: EngineSection,
        settings: SelectSection,
        *,
        prompts: str,
        concurrency: int,
        seed: int,
    ):
        super().__init__()
        self.shards = shards
        self.work = work
        self.scorer = scorer
        self.settings = settings
        self.prompts = prompts
        self.concurrency = concurrency
        self.seed = seed

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Classify this task's share."""
        work, rows, noted = Path(self.work), 0, 0.0
        with asyncio.Runner() as runner:
            classify = self._classifier(runner)
            for shard in shard_files(Path(self.shards))[rank::world_size]:
                tables = []
                for batch in _batches(shard_lines(shard)):
                    tables.append(self._table(batch, classify))
                    rows += len(batch)
                    if time.monotonic() - noted > PROGRESS_SECONDS:
                        noted = time.monotonic()
                        write_json(work.parent / "progress" / f"{rank:05d}.json", {"rows": rows})
                write_table(work / "classified" / table_name(shard), pa.concat_tables([_no_rows(), *tables]))
        yield from ()

    def _table(self, batch: Sequence[bytes], classify: Callable[[list[str], str], list[Found]]) -> pa.Table:
        rows = [orjson.loads(line) for line in batch]
        found: list[Found] = [(0, 0, 0.0)] * len(rows)
        languages = [row["metadata"]["language"] for row in rows]
        for language in sorted(set(languages)):
            places = [place for place, one in enumerate(languages) if one == language]
            queries = [rows[place]["metadata"]["query"][: self.settings.max_query_chars] for place in places]
            for place, result in zip(places, classify(queries, language), strict=True):
                found[place] = result
        for category, count in Counter(category for category, _, _ in found).items():
            self.stat_update(f"category_{CATEGORIES[category]}", value=count)
        columns = {
            "category": [category for category, _, _ in found],
            "by": [by for _, by, _ in found],
            "probability": [round(probability, _DIGITS) for _, _, probability in found],
            "source": [row["metadata"]["source"] for row in rows],
            "score": [_score(row["metadata"].get("provenance")) for row in rows],
            "chars": [len(row.get("text", "")) for row in rows],
            "chance": [_chance(self.seed, row["id"]) for row in rows],
        }
        return pa.table(columns, schema=CLASSIFIED_SCHEMA)

    def _classifier(self, runner: asyncio.Runner) -> Callable[[list[str], str], list[Found]]:
        if self.settings.classifier == "fast":
            return _fast
        from deepwriting.engines import get_engine
        from deepwriting.reer.prompts import load_prompts

        slow = CategoryClassifier(
            get_engine(self.scorer),
            load_prompts(self.prompts),
            calibrate=self.settings.calibrate,
            max_query_chars=self.settings.max_query_chars,
        )

        async def all_of(queries: Sequence[str], language: str) -> list[Classification]:
            gate = asyncio.Semaphore(self.concurrency)

            async def one(query: str) -> Classification:
                async with gate:
                    return await slow.classify(query, language)

            return await asyncio.gather(*map(one, queries))

        def classify(queries: list[str], language: str) -> list[Found]:
            if self.settings.classifier == "likelihood":
                found, unsure = [(0, 0, 0.0)] * len(queries), list(range(len(queries)))
            else:
                found = _fast(queries, language)
                unsure = [place for place, (_, _, p) in enumerate(found) if p < self.settings.sure_probability]
            results = runner.run(all_of([queries[place] for place in unsure], language))
            for place, result in zip(unsure, results, strict=True):
                found[place] = (CATEGORIES.index(result.category), 1, result.probability)
            return found

        return classify


def _fast(queries: list[str], language: str) -> list[Found]:
    probabilities = fast_model(language).probabilities(queries, language)
    best = probabilities.argmax(axis=1)
    likeliest = probabilities[np.arange(len(queries)), best]
    return [(category, 0, probability) for category, probability in zip(best.tolist(), likeliest.tolist(), strict=True)]


def _score(provenance: str | None) -> float:
    """The source's own score, if it gave one."""
    if provenance and '"score"' in provenance:
        score = orjson.loads(provenance).get("score")
        if isinstance(score, int | float):
            return float(score)
    return math.nan


def _chance(seed: int, pair: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{pair}".encode(), digest_size=8).digest(), "big")


def _no_rows() -> pa.Table:
    return CLASSIFIED_SCHEMA.empty_table()


def _batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
