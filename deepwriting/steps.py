"""The small base classes that every stage is made of, on top of datatrove.

A document that cannot go on is not dropped where that is noticed: it gets a reject mark and travels to the end of the
stage, where ``WriteShard`` puts it into ``rejects/`` with its reason. Therefore rows in = rows out + rejects can be
checked from the outside.

    Reader → Annotator → Annotator → … → WriteShard
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from deepwriting.schema import REJECT, REJECT_DETAIL, is_rejected

#: Rejected raw text longer than this is cut in the rejects (characters): a giant record must not fill the disk twice.
REJECT_TEXT_LIMIT = 20_000


def reject(doc: Document, reason: str, detail: str = "") -> Document:
    """Mark a document as rejected; the first reason stays.

    Args:
        doc: the document; changed in place.
        reason: short snake_case reason, counted in the run's report.
        detail: one sentence that helps to find and repair the record.

    Returns:
        The same document.
    """
    if not is_rejected(doc.metadata):
        doc.metadata[REJECT] = reason
        if detail:
            doc.metadata[REJECT_DETAIL] = detail
    return doc


def rejected_record(source: str, source_id: str, raw: str, reason: str, detail: str = "") -> Document:
    """A rejected document for a raw record that never became a pair (malformed JSON, missing columns, ...)."""
    text = raw if len(raw) <= REJECT_TEXT_LIMIT else raw[:REJECT_TEXT_LIMIT]
    doc = Document(text=text, id=f"{source}/{source_id}", metadata={"source": source, "source_id": source_id})
    return reject(doc, reason, detail)


class Annotator(PipelineStep):
    """A step that looks at one document at a time and adds metadata, or marks it as rejected.

    Subclasses implement ``annotate``; rejected documents pass by untouched.
    """

    type = "✎ - ANNOTATE"

    @abstractmethod
    def annotate(self, doc: Document) -> None:
        """Add metadata to ``doc`` in place, or mark it with ``reject``."""

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Annotate every document that is not rejected and pass all of them on."""
        for doc in data:
            if is_rejected(doc.metadata):
                self.stat_update("passed_rejected")
                yield doc
                continue
            with self.track_time():
                self.annotate(doc)
            self.stat_update("rejected" if is_rejected(doc.metadata) else "annotated")
            yield doc
