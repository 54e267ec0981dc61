"""Pairs that a benchmark asks for do not enter the dataset: a model trained on them could not be measured any more.

The step goes where the dedupe stage applies its verdicts:

    Decontaminate(recipe.decontaminate)
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from datatrove.data import Document

from deepwriting.schema import REJECT
from deepwriting.sections.decontaminate import DecontaminateSection
from deepwriting.select.benchmarks import BenchmarkQuery, benchmark_digest, benchmark_files, read_benchmark
from deepwriting.select.overlap import OverlapIndex
from deepwriting.steps import Annotator, reject


def decontamination_settings(section: DecontaminateSection) -> dict[str, Any]:
    """What decides the outcome, for a stage's ``settings``: the section, and a hash of each benchmark's files."""
    return {**section.model_dump(), "files": {entry.name: benchmark_digest(entry) for entry in section.benchmarks}}


class Decontaminate(Annotator):
    """Rejects pairs that overlap with a benchmark query (``contaminated``); the detail names benchmark and row.

    Without benchmarks it passes everything on.

    Args:
        section: the recipe's section.

    Raises:
        SourceError: if a benchmark's files are not there; when running, if they cannot be read.
    """

    name = "🧪 Decontaminate"

    def __init__(self, section: DecontaminateSection):
        super().__init__()
        self.section = section
        for benchmark in section.benchmarks:
            benchmark_files(benchmark)
        self._index: OverlapIndex | None = None

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Read the benchmarks, then look at every document."""
        contents = tuple(benchmark_digest(benchmark) for benchmark in self.section.benchmarks)
        self._index = load_index(self.section.model_dump_json(), contents)
        yield from super().run(data, rank, world_size)

    def annotate(self, doc: Document) -> None:
        """Compare one pair with the benchmarks."""
        assert self._index is not None
        found = self._index.find(doc.metadata["query"], doc.text if self.section.answers else None)
        if found is not None:
            reject(doc, "contaminated", found.sentence())
            self.stat_update(f"{doc.metadata[REJECT]}_{found.query.benchmark}", f"{found.place}_{found.kind}")


@functools.lru_cache(maxsize=1)
def load_index(section: str, contents: tuple[str, ...]) -> OverlapIndex:
    """The index of a section's benchmarks, built once in a process that runs several tasks.

    Args:
        section: the section as JSON.
        contents: hashes of the benchmarks' files: others need another index.

    Raises:
        SourceError: if a benchmark cannot be read.
    """
    settings = DecontaminateSection.model_validate_json(section)

    def queries() -> Iterator[BenchmarkQuery]:
        for benchmark in settings.benchmarks:
            yield from read_benchmark(benchmark)

    return OverlapIndex(
        queries(),
        min_run=settings.min_run,
        min_whole=settings.min_whole,
        min_similarity=settings.min_similarity,
    )
