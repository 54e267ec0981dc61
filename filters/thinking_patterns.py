"""Counts the thinking patterns of a trajectory (paper, section B.2); flags nothing."""

from __future__ import annotations

from datatrove.data import Document

from deepwriting.filters.thinking import thinking_of
from deepwriting.metrics.thinking_patterns import count_patterns
from deepwriting.steps import Annotator


class ThinkingPatterns(Annotator):
    """Writes ``thinking_patterns``, the most frequent first, and their sum ``thinking_pattern_count``.

    Reflections and connectives both count here; only reflections count in the tail (``EndOfThinking``).
    """

    name = "💭 Thinking patterns"

    def annotate(self, doc: Document) -> None:
        """Count the patterns of the thinking of ``doc`` in place."""
        counts = count_patterns(thinking_of(doc))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        doc.metadata["thinking_patterns"] = [{"pattern": name, "count": count} for name, count in ranked]
        doc.metadata["thinking_pattern_count"] = sum(counts.values())
        self.stat_update("with_thinking_patterns" if counts else "without_thinking_patterns")
