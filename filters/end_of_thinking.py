"""Flags thinking that does not come to an end (paper, section 2.3.2, end-of-thinking filtering)."""

from __future__ import annotations

from datatrove.data import Document

from deepwriting.filters.thinking import set_flag, thinking_of
from deepwriting.metrics.thinking_patterns import TAIL_FRACTION, count_patterns_in_tail
from deepwriting.steps import Annotator

FLAG = "end_of_thinking"

#: Reflection patterns that the tail may hold. The paper discards trajectories whose final tenth still holds any.
MAX_END_PATTERNS = 0


class EndOfThinking(Annotator):
    """Writes ``end_pattern_count`` and flags thinking that still reflects in its last part.

    Args:
        tail_fraction: size of the last part, in characters of the thinking (above 0, at most 1).
        max_patterns: most reflection patterns in the last part that are not flagged.

    Raises:
        ValueError: if ``tail_fraction`` or ``max_patterns`` is out of range.
    """

    name = "🏁 End of thinking"

    def __init__(self, tail_fraction: float = TAIL_FRACTION, max_patterns: int = MAX_END_PATTERNS) -> None:
        super().__init__()
        if not 0 < tail_fraction <= 1:
            raise ValueError(f"tail_fraction is {tail_fraction}; above 0 and at most 1 is allowed")
        if max_patterns < 0:
            raise ValueError(f"max_patterns is {max_patterns}; 0 or more is allowed")
        self.tail_fraction = tail_fraction
        self.max_patterns = max_patterns

    def annotate(self, doc: Document) -> None:
        """Count the reflection patterns in the tail of the thinking of ``doc`` in place."""
        count = count_patterns_in_tail(thinking_of(doc), self.tail_fraction)
        open_ended = count > self.max_patterns
        doc.metadata["end_pattern_count"] = count
        set_flag(doc, FLAG, open_ended)
        self.stat_update("end_of_thinking_flagged" if open_ended else "end_of_thinking_ok")
