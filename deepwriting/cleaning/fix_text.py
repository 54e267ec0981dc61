"""Repairing text that was broken by others: wrong encodings, HTML entities, control characters (ftfy)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from datatrove.data import Document

from deepwriting.cleaning.step import CleaningStep
from deepwriting.schema import GIVEN_THINKING
from deepwriting.sections.cleaning import CleaningSection

#: What ftfy changes under the settings below beside broken encodings: "&" begins an entity; control characters,
#: terminal escapes, C1 codes, surrogates, and invisible signs of direction and order are removed or replaced.
_WORK = re.compile(r"[&\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u206a-\u206f\ufeff\ufff9-\ufffd\ud800-\udfff]")


#: ftfy's categories of characters that no broken encoding consists of alone: where all characters beyond ASCII are of
#: these, and none of the named ones is there, its expression cannot match (a test takes the expression apart).
_NEVER_ALONE = ("common", "kaomoji", "start_punctuation", "end_punctuation", "upper_common", "lower_common")
_NAMED = "ŒœÂÃÎÐ×ØÙà√≈‚ВГРСвΒΓΞΟβā"


@cache
def _suspicious() -> re.Pattern[str]:
    """A character that broken encodings need: looked for five times as fast as broken encodings are."""
    from ftfy.badness import MOJIBAKE_CATEGORIES

    return re.compile("[" + _NAMED + "".join(v for k, v in MOJIBAKE_CATEGORIES.items() if k not in _NEVER_ALONE) + "]")


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
    import ftfy
    from ftfy.badness import is_bad

    # ftfy goes through a text line by line, and looks for a repair of each. It finds none where nothing is suspicious.
    if not _WORK.search(text) and (text.isascii() or not _suspicious().search(text) or not is_bad(text)):
        return text
    fixed: str = ftfy.fix_text(text, config=_config())
    return fixed


class FixText(CleaningStep):
    """Repairs answer and query, and the thinking that came with them.

    Counters: ``text_fixed``, ``text_fine``.
    """

    name = "🩹 Fix text"
    switch = "fix_text"

    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Repair one pair in place."""
        answer, doc.text = doc.text, fix_text(doc.text)
        changed = doc.text != answer
        for key in ("query", GIVEN_THINKING):
            if (text := doc.metadata.get(key)) is not None:
                doc.metadata[key] = fix_text(text)
                changed |= doc.metadata[key] != text
        self.count("text_fixed" if changed else "text_fine")
