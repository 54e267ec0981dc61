"""Flags thinking that loops (paper, section 2.3.2, repetition filtering)."""

from __future__ import annotations

from datatrove.data import Document

from deepwriting.filters.thinking import set_flag, thinking_of
from deepwriting.metrics.repetition import MAX_TOP_SHARE, NGRAM_SIZE, top_ngram_share
from deepwriting.steps import Annotator

FLAG = "repetition"


class Repetition(Annotator):
    """Writes ``repetition`` and flags a share above the threshold.

    Args:
        n: units in an n-gram (words; characters in Chinese).
        max_share: largest share of the three most frequent n-grams that is not flagged (0 to 1).

    Raises:
        ValueError: if ``n`` is below 1 or ``max_share`` is not between 0 and 1.
    """

    name = "🔁 Repetition"

    def __init__(self, n: int = NGRAM_SIZE, max_share: float = MAX_TOP_SHARE) -> None:
        super().__init__()
        if n < 1:
            raise ValueError(f"n is {n}; at least 1 unit is allowed")
        if not 0 <= max_share <= 1:
            raise ValueError(f"max_share is {max_share}; 0 to 1 is allowed")
        self.n = n
        self.max_share = max_share

    def annotate(self, doc: Document) -> None:
        """Measure the thinking of ``doc`` in place."""
        share = top_ngram_share(thinking_of(doc), n=self.n)
        looping = share > self.max_share
        doc.metadata["repetition"] = share
        set_flag(doc, FLAG, looping)
        self.stat_update("repetition_flagged" if looping else "repetition_ok")
