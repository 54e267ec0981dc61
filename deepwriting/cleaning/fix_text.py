"""Repairing text that was broken by others: wrong encodings, HTML entities, control characters (ftfy)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from datatrove.data import Document

from deepwriting.cleaning.step import CleaningStep
from deepwriting.sections.cleaning import CleaningSection

#: What ftfy could change in a text under the settings below. ASCII without these is left as it is by every one of its
#: steps: "&" begins an entity, and control characters and terminal escapes are removed.
_ASCII_WORK = re.compile(r"[&\x00-\x08\x0b\x0e-\x1f\x7f]")


@cache
def _config() -> Any:
    """The settings of datatrove's ``FTFYFormatter``: encodings are repaired, no style is enforced.

    Quotation marks stay curly, full-width punctuation of Chinese stays full-width, ligatures and line breaks stay.
    """
    from datatrove.pipeline.formatters import FTFYFormatter

    return FTFYFormatter().config


def fix_text(text: str) -> str:
    """The text as its author wrote it, as far as ftfy can tell.

        >>> fix_text("It wasnâ€™t there.")
        'It wasn’t there.'

    Args:
        text: any text.

    Returns:
        The repaired text; the same object when there is nothing to repair.
    """
    if text.isascii() and not _ASCII_WORK.search(text):
        return text
    import ftfy

    fixed: str = ftfy.fix_text(text, config=_config())
    return fixed


class FixText(CleaningStep):
    """Repairs answer and query.

    Counters: ``text_fixed``, ``text_fine``.
    """

    name = "🩹 Fix text"
    switch = "fix_text"

    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Repair one pair in place."""
        answer, query = doc.text, doc.metadata.get("query")
        doc.text = fix_text(answer)
        if query is not None:
            doc.metadata["query"] = fix_text(query)
        changed = doc.text != answer or doc.metadata.get("query") != query
        self.stat_update("text_fixed" if changed else "text_fine")
