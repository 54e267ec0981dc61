"""Lengths, symbols and the shape of lines: the rules of Gopher's quality filter with thresholds for writing.

Gopher's own values (Rae et al. 2021, "Scaling Language Models", appendix A1.1) are for web pages. What differs here:

- 10 words instead of 50: notes, poems and slogans are short;
- mean word length from 2.5 instead of 3: dialogue for children;
- hash signs and ellipses up to 0.3 for each word instead of 0.1: posts end in hashtags, speakers break off;
- lines ending in an ellipsis up to one half instead of 0.3, for the same reason;
- letters are counted among all visible characters (0.6), since Chinese has no words between spaces to count;
- no stop words: a poem may lack them, and Chinese has its own; the language step does that work.

No bundled sample comes near a threshold: letters from 0.85, mean word length 3.6 to 5.2, at most 0.01 symbols a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from datatrove.data import Document

from deepwriting.cleaning.step import CleaningStep
from deepwriting.cleaning.words import has_digit, words_of
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.steps import reject

#: Shares of lines say little about a text of fewer lines.
MIN_LINES = 4
#: Signs that begin an item of a list. No dash: it opens direct speech in many traditions.
BULLETS = ("•", "-", "*", "·")
#: What ``str.split`` takes for white space in ASCII.
_ASCII_SPACE = bytes(code for code in range(128) if chr(code).isspace())
#: "……", the ellipsis of Chinese, is one.
_ELLIPSIS = re.compile(r"…+|\.{3,}")


def length_problem(words: int, settings: CleaningSection) -> tuple[str, str] | None:
    """Reason and detail why an answer of so many words is refused, or ``None``."""
    if words < settings.min_words:
        return "too_few_words", f"{words} words, {settings.min_words} are needed"
    if settings.max_words is not None and words > settings.max_words:
        return "too_many_words", f"{words} words, {settings.max_words} are allowed"
    return None


def shape_problem(text: str, words: Sequence[str], settings: CleaningSection) -> tuple[str, str] | None:
    """Reason and detail why a text does not look like writing, or ``None``.

    Args:
        text: the answer.
        words: its units.
        settings: the thresholds.
    """
    numbers = [word for word in words if word[0].isdigit()] if has_digit(text) else []
    joined = "".join(words)
    letters = len(joined) - len("".join(numbers))
    visible = _visible(text)
    if letters < settings.min_letters * visible:
        return "few_letters", f"{letters / visible:.2f} of the characters are letters; {settings.min_letters} is needed"
    # A Chinese character has no length.
    latin = len(words) if joined.isascii() else sum(map(str.isascii, words))
    if 2 * latin > len(words) > len(numbers):
        mean = letters / (len(words) - len(numbers))
        if not settings.min_word_length <= mean <= settings.max_word_length:
            allowed = f"{settings.min_word_length} to {settings.max_word_length}"
            return "odd_word_length", f"words have {mean:.1f} letters on average; {allowed} is allowed"
    return symbol_problem(text, len(words), settings) or line_problem(text, settings)


def _visible(text: str) -> int:
    """Number of characters that are no white space."""
    return len(text.encode().translate(None, _ASCII_SPACE)) if text.isascii() else len("".join(text.split()))


def symbol_problem(text: str, words: int, settings: CleaningSection) -> tuple[str, str] | None:
    """Reason and detail why a text has too many symbols, or ``None``."""
    allowed = settings.max_symbols * words
    if (count := text.count("#")) > allowed:
        return "many_hashes", f"{count} hash signs in {words} words; {settings.max_symbols} for each is allowed"
    if "…" in text or "..." in text:
        count = len(_ELLIPSIS.findall(text))
        if count > allowed:
            return "many_ellipses", f"{count} ellipses in {words} words; {settings.max_symbols} for each is allowed"
    return None


def line_problem(text: str, settings: CleaningSection) -> tuple[str, str] | None:
    """Reason and detail why a text's lines are not those of writing, or ``None``."""
    lines = [line.strip() for line in text.split("\n") if line and not line.isspace()]
    if len(lines) < MIN_LINES:
        return None
    bullets = sum(line.startswith(BULLETS) for line in lines)
    if bullets > settings.max_bullet_lines * len(lines):
        return "bullet_lines", f"{bullets} of {len(lines)} lines are items of a list"
    broken = sum(line.endswith(("…", "...")) for line in lines)
    if broken > settings.max_ellipsis_lines * len(lines):
        return "ellipsis_lines", f"{broken} of {len(lines)} lines end in an ellipsis"
    return None


class Quality(CleaningStep):
    """Rejects answers by length and shape, and queries by length.

    Reasons: ``too_few_words``, ``too_many_words``, ``short_query``, ``few_letters``, ``odd_word_length``,
    ``many_hashes``, ``many_ellipses``, ``bullet_lines``, ``ellipsis_lines``; each is counted, and ``quality_ok``.
    """

    name = "📏 Quality"
    switch = "quality"

    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Check one pair. An empty answer or query is left to the check at the end of the stage, which names it so."""
        query = doc.metadata.get("query")
        problem = None
        if doc.text.strip():
            words = words_of(doc.text)
            problem = length_problem(len(words), settings) or shape_problem(doc.text, words, settings)
        if problem is None and query is not None and query.strip():
            length = len(words_of(query))
            if length < settings.min_query_words:
                problem = "short_query", f"{length} words, {settings.min_query_words} are needed"
        if problem:
            reject(doc, *problem)
        self.count(problem[0] if problem else "quality_ok")
