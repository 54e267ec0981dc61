"""`evaluate` module around ``deepwriting.metrics.top_ngram_share``."""

from __future__ import annotations

from statistics import fmean
from typing import Any, ClassVar

from deepwriting.metrics import evaluation
from deepwriting.metrics.repetition import NGRAM_SIZE, TOP_NGRAMS, top_ngram_share


class Repetition(evaluation.RowMeasurement):
    """Loops in the thinking: the share of its n-grams that the most frequent ones take.

    N-grams of words (characters in Chinese); only those that occur at least three times are added up.
    """

    inputs = ("thinking",)
    settings: ClassVar[dict[str, Any]] = {"n": NGRAM_SIZE, "top": TOP_NGRAMS}

    def check(self, *, n: int, top: int) -> None:
        """Refuse sizes and counts below one."""
        top_ngram_share("", n, top)

    def measure(self, *, thinking: list[str], n: int, top: int) -> dict[str, Any]:
        """The share of every row, and their mean."""
        shares = [top_ngram_share(z, n, top) for z in thinking]
        return {"repetition": fmean(shares), "repetitions": shares}
