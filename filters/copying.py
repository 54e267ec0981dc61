"""Flags thinking that holds the answer verbatim: the cheapest way to win a search for low perplexity."""

from __future__ import annotations

from datatrove.data import Document

from deepwriting.filters.thinking import set_flag, thinking_of
from deepwriting.metrics.copying import MAX_COPIED_RUN, MAX_COPY_RATIO, MIN_RUN, copied
from deepwriting.steps import Annotator

FLAG = "copying"


class Copying(Annotator):
    """Writes ``copy_ratio`` and ``longest_copy`` and flags a document in which either is above its threshold.

    Args:
        min_run: shortest run that counts for the ratio (words; characters in Chinese).
        max_ratio: largest copied share of the answer that is not flagged (0 to 1).
        max_run: longest copied run that is not flagged (words; characters in Chinese).

    Raises:
        ValueError: if a threshold is out of range.
    """

    name = "📋 Copying"

    def __init__(
        self, min_run: int = MIN_RUN, max_ratio: float = MAX_COPY_RATIO, max_run: int = MAX_COPIED_RUN
    ) -> None:
        super().__init__()
        if min_run < 1:
            raise ValueError(f"min_run is {min_run}; at least 1 unit is allowed")
        if not 0 <= max_ratio <= 1:
            raise ValueError(f"max_ratio is {max_ratio}; 0 to 1 is allowed")
        if max_run < 0:
            raise ValueError(f"max_run is {max_run}; 0 or more units are allowed")
        self.min_run = min_run
        self.max_ratio = max_ratio
        self.max_run = max_run

    def annotate(self, doc: Document) -> None:
        """Measure how much of the answer of ``doc`` stands in its thinking, in place."""
        copying = copied(doc.text, thinking_of(doc), self.min_run)
        too_much = copying.ratio > self.max_ratio or copying.longest_run > self.max_run
        doc.metadata["copy_ratio"] = copying.ratio
        doc.metadata["longest_copy"] = copying.longest_run
        set_flag(doc, FLAG, too_much)
        self.stat_update("copying_flagged" if too_much else "copying_ok")
