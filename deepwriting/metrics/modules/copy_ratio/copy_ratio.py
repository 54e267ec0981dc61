"""`evaluate` module around ``deepwriting.metrics.copied``."""

from __future__ import annotations

from statistics import fmean
from typing import Any, ClassVar

from deepwriting.metrics import evaluation
from deepwriting.metrics.copying import MIN_RUN, copied


class CopyRatio(evaluation.RowMeasurement):
    """How much of the answer stands verbatim in the thinking.

    The share of the answer's words (characters in Chinese) inside runs of at least ``min_run`` that the thinking holds
    word for word, and the longest such run.
    """

    inputs = ("thinking", "answer")
    settings: ClassVar[dict[str, Any]] = {"min_run": MIN_RUN}

    def check(self, *, min_run: int) -> None:
        """Refuse a shortest run below one word."""
        copied("", "", min_run)

    def measure(self, *, thinking: list[str], answer: list[str], min_run: int) -> dict[str, Any]:
        """Ratio and longest run of every row; mean and maximum of all."""
        found = [copied(y, z, min_run) for y, z in zip(answer, thinking, strict=True)]
        ratios, runs = [one.ratio for one in found], [one.longest_run for one in found]
        return {"copy_ratio": fmean(ratios), "longest_copy": max(runs), "copy_ratios": ratios, "longest_copies": runs}
