"""Numbers for the card, computed from the rows of config ``all`` in one pass.

Only numbers and short labels are kept in memory, never texts. No number depends on the order of the rows.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from deepwriting.errors import BuildError
from deepwriting.schema import pair_of

#: Columns whose distribution the card shows; units are in ``schema.py``.
MEASURES = (
    "score_no_thinking",
    "score_before",
    "score_after",
    "perplexity_no_thinking",
    "perplexity_before",
    "perplexity_after",
    "thinking_tokens_before",
    "thinking_tokens_after",
    "answer_tokens",
    "steps",
    "accepted_edits",
    "repetition",
    "thinking_pattern_count",
    "end_pattern_count",
    "copy_ratio",
    "longest_copy",
)
#: Columns that are counted by value.
_LABELS = (
    "row_id",
    "category",
    "domain",
    "language",
    "source",
    "license",
    "generator",
    "generator_revision",
    "scorer",
    "scorer_revision",
    "first_segment_scored",
    "stop_reason",
    "thinking_patterns",
    "pii_masked",
    "flags",
)
#: Columns of the decision about a row, which config ``all`` alone has.
DECISION = ("keep", "drop_reasons")
Key = TypeVar("Key", str, tuple[str, str], tuple[str, str, str])

#: Every column that ``summarise`` reads; a reader may leave out all others, above all the texts.
STATISTICS_COLUMNS = MEASURES + _LABELS + DECISION


@dataclass(frozen=True)
class Distribution:
    """Summary of one measure, in the measure's own unit.

    Attributes:
        mean: arithmetic mean.
        median: middle value.
        low: 10th percentile.
        high: 90th percentile.
    """

    mean: float
    median: float
    low: float
    high: float


@dataclass
class Group:
    """Measures and counts of some of the rows: of all, or of the kept ones.

    Attributes:
        rows: number of rows.
        values: measure -> its value in every row.
        stop_reasons: why searches ended -> rows.
        lower_score: rows whose clipped search score fell from the initial to the final thinking.
        lower_perplexity: rows whose true perplexity fell from the initial to the final thinking.
        below_no_thinking: rows whose true perplexity with the final thinking is below that without thinking.
        edited: rows with at least one accepted edit.
        patterns: thinking pattern -> (rows in which it occurs, occurrences).
        with_patterns: rows with at least one thinking pattern.
        pii_masked: rows in which personal data was replaced by placeholders.
    """

    rows: int = 0
    values: dict[str, array[float]] = field(default_factory=lambda: {name: array("d") for name in MEASURES})
    stop_reasons: Counter[str] = field(default_factory=Counter)
    lower_score: int = 0
    lower_perplexity: int = 0
    below_no_thinking: int = 0
    edited: int = 0
    patterns: dict[str, tuple[int, int]] = field(default_factory=dict)
    with_patterns: int = 0
    pii_masked: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row."""
        self.rows += 1
        for name in MEASURES:
            self.values[name].append(row[name])
        self.stop_reasons[row["stop_reason"]] += 1
        self.lower_score += row["score_after"] < row["score_before"]
        self.lower_perplexity += row["perplexity_after"] < row["perplexity_before"]
        self.below_no_thinking += row["perplexity_after"] < row["perplexity_no_thinking"]
        self.edited += row["accepted_edits"] > 0
        self.with_patterns += row["thinking_pattern_count"] > 0
        self.pii_masked += row["pii_masked"] > 0
        for found in row["thinking_patterns"]:
            rows, occurrences = self.patterns.get(found["pattern"], (0, 0))
            self.patterns[found["pattern"]] = (rows + 1, occurrences + found["count"])

    def distribution(self, measure: str) -> Distribution:
        """Summary of one measure over the rows of the group.

        Args:
            measure: one of ``MEASURES``.

        Raises:
            BuildError: if the group has no rows.
        """
        import numpy as np

        if not self.rows:
            raise BuildError(f"no rows to summarise {measure} over")
        values = self.values[measure]
        low, median, high = (float(value) for value in np.percentile(np.asarray(values), (10, 50, 90)))
        return Distribution(mean=math.fsum(values) / len(values), median=median, low=low, high=high)

    def ranked_patterns(self) -> dict[str, tuple[int, int]]:
        """Thinking patterns in the order of how many rows hold them."""
        return dict(sorted(self.patterns.items(), key=lambda item: (-item[1][0], -item[1][1], item[0])))


@dataclass
class Statistics:
    """Everything the card says in numbers.

    Attributes:
        everything: all rows.
        kept: rows of the default config.
        pairs: number of different query-answer pairs among the kept rows.
        drop_reasons: reason -> dropped rows; a row with two reasons counts in both.
        flags: flag -> rows, of all rows.
        categories: (domain, category) -> kept rows.
        languages: language -> kept rows.
        sources: (source, licence) -> (all rows, kept rows).
        models: (role, name, revision) -> all rows; role is ``generator`` or ``scorer``.
        first_segment_scored: rows whose first answer paragraph counts in the scores, of all rows.
    """

    everything: Group
    kept: Group
    pairs: int
    drop_reasons: dict[str, int]
    flags: dict[str, int]
    categories: dict[tuple[str, str], int]
    languages: dict[str, int]
    sources: dict[tuple[str, str], tuple[int, int]]
    models: dict[tuple[str, str, str], int]
    first_segment_scored: int


def ranked(counts: Counter[Key]) -> dict[Key, int]:
    """Most frequent first; equal counts in order of the key, so that the card does not depend on row order."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def summarise(rows: Iterable[Mapping[str, Any]]) -> Statistics:
    """Statistics of a dataset.

    Args:
        rows: rows of config ``all``; only ``STATISTICS_COLUMNS`` are read.

    Returns:
        The statistics; counts are ordered by frequency.
    """
    everything, kept = Group(), Group()
    pairs: set[str] = set()
    drop_reasons: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    categories: Counter[tuple[str, str]] = Counter()
    languages: Counter[str] = Counter()
    sources: Counter[tuple[str, str]] = Counter()
    kept_sources: Counter[tuple[str, str]] = Counter()
    models: Counter[tuple[str, str, str]] = Counter()
    first_segment_scored = 0
    for row in rows:
        everything.add(row)
        drop_reasons.update(set(row["drop_reasons"]))
        flags.update(set(row["flags"]))
        sources[row["source"], row["license"]] += 1
        for role in ("generator", "scorer"):
            models[role, row[role], row[f"{role}_revision"]] += 1
        first_segment_scored += row["first_segment_scored"]
        if row["keep"]:
            kept.add(row)
            pairs.add(pair_of(row["row_id"]))
            categories[row["domain"], row["category"]] += 1
            languages[row["language"]] += 1
            kept_sources[row["source"], row["license"]] += 1
    return Statistics(
        everything=everything,
        kept=kept,
        pairs=len(pairs),
        drop_reasons=ranked(drop_reasons),
        flags=ranked(flags),
        categories=ranked(categories),
        languages=ranked(languages),
        sources={key: (count, kept_sources[key]) for key, count in ranked(sources).items()},
        models=ranked(models),
        first_segment_scored=first_segment_scored,
    )
