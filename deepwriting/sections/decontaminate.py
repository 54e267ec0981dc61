"""Section about benchmarks whose requests must not come back as training pairs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from deepwriting.sections.base import Positive, Section

#: A run of so many words in common, boilerplate left out, stood in none of 12,000 pieces of documentation (3 million
#: words), 386 pages of books and 4,960 everyday requests, and finds more than the usual 13-grams (GPT-3, appendix C) do
#: among changed queries: ``benchmarks/contamination.py``.
MIN_RUN_WORDS = 8
#: A shorter benchmark query counts when all of it stands in a request, from this length on (words). Below it are topics
#: such as "The Walled City" that say nothing about where a request comes from; those count as the whole request only.
MIN_WHOLE_WORDS = 6
#: Least Jaccard similarity of near-duplicates; see ``benchmarks/contamination.py`` for what it finds.
MIN_SIMILARITY = 0.4


class BenchmarkSection(Section):
    """One benchmark: where its queries are."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="what rejects call it")
    path: str = Field(min_length=1, description="file, folder or glob; local, hf://… or any fsspec address")
    columns: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="columns with the queries; null recognises LongBench-Write, HelloBench, WritingBench and text"
    )


class DecontaminateSection(Section):
    """Which benchmarks the pairs are compared with, and what counts as contamination."""

    benchmarks: list[BenchmarkSection] = Field(
        default_factory=list, description="each with name, path and, if need be, columns; none: nothing is compared"
    )
    min_run: Positive = Field(
        MIN_RUN_WORDS,
        description="a run of words in common with a benchmark query condemns from this length; in answers 10",
    )
    min_whole: Positive = Field(
        MIN_WHOLE_WORDS, description="a shorter query that stands in a request as a whole does from this length (words)"
    )
    min_similarity: Annotated[float, Field(gt=0, le=1)] = Field(
        MIN_SIMILARITY, description="Jaccard similarity of a request and a benchmark query from which it is condemned"
    )
    answers: bool = Field(True, description="whether benchmark queries are looked for in answers too")

    @field_validator("benchmarks")
    @classmethod
    def _distinct(cls, benchmarks: list[BenchmarkSection]) -> list[BenchmarkSection]:
        names = [benchmark.name for benchmark in benchmarks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the names {twice} occur twice; give each benchmark its own name")
        return benchmarks
