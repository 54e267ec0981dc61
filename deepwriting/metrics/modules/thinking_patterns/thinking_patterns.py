"""`evaluate` module around ``deepwriting.metrics.count_patterns`` and ``count_patterns_in_tail``."""

from __future__ import annotations

from collections import Counter
from statistics import fmean
from typing import Any, ClassVar

from deepwriting.metrics import evaluation
from deepwriting.metrics.thinking_patterns import PATTERNS, TAIL_FRACTION, count_patterns, count_patterns_in_tail


class ThinkingPatterns(evaluation.RowMeasurement):
    """Phrases by which thinking shows itself, such as "hmm", "wait" or 也许, in all of it and in its last part.

    Thinking that still hesitates or turns back in its last tenth has not come to an end.
    """

    inputs = ("thinking",)
    settings: ClassVar[dict[str, Any]] = {"tail_fraction": TAIL_FRACTION}

    def check(self, *, tail_fraction: float) -> None:
        """Refuse a last part that is empty or more than everything."""
        count_patterns_in_tail("", tail_fraction)

    def measure(self, *, thinking: list[str], tail_fraction: float) -> dict[str, Any]:
        """Counts of every row; totals by pattern; means, and the share of rows with an open end."""
        counts = [count_patterns(z) for z in thinking]
        totals = sum((Counter(one) for one in counts), Counter[str]())
        whole = [sum(one.values()) for one in counts]
        tails = [count_patterns_in_tail(z, tail_fraction) for z in thinking]
        return {
            "thinking_patterns": {pattern.name: totals[pattern.name] for pattern in PATTERNS if totals[pattern.name]},
            "thinking_pattern_count": fmean(whole),
            "open_end_share": fmean(count > 0 for count in tails),
            "thinking_pattern_counts": whole,
            "end_pattern_counts": tails,
        }
