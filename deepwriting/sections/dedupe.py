"""Section about duplicates: which texts count as the same, and how many answers a query may have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from deepwriting.sections.base import Positive, Section

#: Part of two texts' shingles that both have.
Similarity = Annotated[float, Field(gt=0, le=1)]
#: Below this chance of being compared at all, a threshold is an empty promise.
MIN_FOUND = 0.5
#: Most hashes in a signature: a row's costs 8 bytes each while the stage works, and the time to compute it.
MAX_HASHES = 1024


def chance_of_comparison(similarity: float, buckets: int, hashes_per_bucket: int) -> float:
    """How likely two texts share a bucket, so that they are compared (MinHash with banding).

    Args:
        similarity: part of their shingles that both have (0 to 1).
        buckets: number of buckets.
        hashes_per_bucket: hashes that have to be equal in one bucket.
    """
    chance: float = 1 - (1 - similarity**hashes_per_bucket) ** buckets
    return chance


class DedupeSection(Section):
    """Duplicates: texts that are equal or nearly so, further answers to one query, and what was released before."""

    near_duplicate_answers: bool = Field(True, description="keep one of several answers that are equal or nearly so")
    answer_similarity: Similarity = Field(
        0.8, description="share of common shingles (Jaccard) from which two answers count as nearly equal"
    )
    answer_shingle: Positive = Field(5, description="length of an answer's shingles (words; Chinese characters)")
    max_answers_per_query: Positive | None = Field(
        4, description="keep the best this many answers to a query, by score where there is one; null for all"
    )
    near_duplicate_queries: bool = Field(
        True, description="count nearly equal queries as one query, for max_answers_per_query alone"
    )
    query_similarity: Similarity = Field(
        0.8, description="share of common shingles (Jaccard) from which two queries count as one"
    )
    query_shingle: Positive = Field(3, description="length of a query's shingles (words; Chinese characters)")
    buckets: Positive = Field(20, description="buckets of MinHash: more find more, and take longer")
    hashes_per_bucket: Positive = Field(6, description="hashes of a bucket: more compare fewer unlike texts")
    earlier_release: list[str] = Field(
        default_factory=list,
        description="datasets whose pairs are left out: folder, file or glob, local or hf://…; Parquet or JSON lines",
    )

    @field_validator("earlier_release")
    @classmethod
    def _named_once(cls, paths: list[str]) -> list[str]:
        if not all(path.strip() for path in paths):
            raise ValueError(f"an empty path stands in {paths}; allowed: folders, files and globs")
        if twice := sorted({path for path in paths if paths.count(path) > 1}):
            raise ValueError(f"{twice} stand twice in {paths}; name each release once")
        return paths

    @model_validator(mode="after")
    def _can_be_found(self) -> DedupeSection:
        if (hashes := self.buckets * self.hashes_per_bucket) > MAX_HASHES:
            raise ValueError(
                f"buckets {self.buckets} of hashes_per_bucket {self.hashes_per_bucket} are {hashes} hashes a text; "
                f"allowed: up to {MAX_HASHES}"
            )
        for what, used in (("answer", self.near_duplicate_answers), ("query", self.compares_queries)):
            similarity = self.answer_similarity if what == "answer" else self.query_similarity
            found = chance_of_comparison(similarity, self.buckets, self.hashes_per_bucket)
            if used and found < MIN_FOUND:
                raise ValueError(
                    f"buckets {self.buckets} of hashes_per_bucket {self.hashes_per_bucket} would find {found:.0%} of "
                    f"the pairs that are as similar as {what}_similarity {similarity}; allowed: settings that find "
                    f"{MIN_FOUND:.0%} (more buckets, fewer hashes_per_bucket)"
                )
        return self

    @property
    def compares_queries(self) -> bool:
        """Whether nearly equal queries have to be found: nothing but the number of answers depends on them."""
        return self.near_duplicate_queries and self.max_answers_per_query is not None
