"""What the annotating filters share: reading the thinking of a document, setting and clearing a flag."""

from __future__ import annotations

from datatrove.data import Document

from deepwriting.errors import StageMissingError


def thinking_of(doc: Document) -> str:
    """The trajectory z of a document; it may be empty, but it must be there.

    Raises:
        StageMissingError: if the document has no thinking, because no search came before.
    """
    thinking = doc.metadata.get("thinking")
    if not isinstance(thinking, str):
        raise StageMissingError(
            f"document {doc.id!r} has {thinking!r} as its thinking; the annotating filters need the text that the "
            "search stage writes"
        )
    return thinking


def set_flag(doc: Document, flag: str, noticed: bool) -> None:
    """Add ``flag`` to the document's flags or take it away, so that annotating a row again corrects it.

    Args:
        doc: the document; changed in place. ``flags`` is created if missing.
        flag: what the filter looks for.
        noticed: whether it was found.
    """
    others = [name for name in doc.metadata.get("flags") or [] if name != flag]
    doc.metadata["flags"] = [*others, flag] if noticed else others
