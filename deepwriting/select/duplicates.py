"""Exact deduplication of pairs (paper, section 2.3.1).

Pair ids are derived from the normalised texts, so equal ids are equal pairs. The first of several is kept; every
removal names what it duplicates. The step sees all pairs of a run and therefore runs as one task; it keeps one entry
of about 200 bytes a pair in memory.
"""

from __future__ import annotations

from datatrove.data import Document

from deepwriting.steps import Annotator, reject


class MarkDuplicates(Annotator):
    """Rejects pairs that occurred before.

    Reasons: ``duplicate_pair``, and ``duplicate_source_id`` for a second text under one id of the same source.
    """

    name = "🫂 Exact duplicates"

    def __init__(self) -> None:
        super().__init__()
        self._origin: dict[str, str] = {}
        self._pair_of: dict[str, str] = {}

    def annotate(self, doc: Document) -> None:
        """Compare one pair with all before it."""
        origin = f"{doc.metadata['source']}/{doc.metadata['source_id']}"
        if first := self._origin.get(doc.id):
            reject(doc, "duplicate_pair", f"duplicate of {first}")
            return
        if origin in self._pair_of:
            reject(doc, "duplicate_source_id", f"{origin} stands for pair {self._pair_of[origin]} already")
            return
        self._origin[doc.id] = origin
        self._pair_of[origin] = doc.id
