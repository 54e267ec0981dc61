"""Texts that repeat themselves: the measures of Gopher's table A1, read so that verse and dialogue pass.

The measures are datatrove's functions (``find_duplicates``, ``find_top_duplicate``, ``find_all_duplicate``); its filter
would split words with spaCy, we count the units of all our metrics. Table A1 (Rae et al. 2021) was made for web pages,
where a repeated line is a menu. In writing it can be the point of the piece, so:

- *lines and paragraphs*: up to 0.55 instead of 0.2 and 0.3. A villanelle repeats 0.32 of its lines, a pantoum one
  half; what a generator that is caught in a loop leaves is far beyond (0.8). Lines under 20 characters (8 Chinese ones)
  do not count as repeated: "Yes." and "他没说话。" are dialogue.
- *phrases*: the table's thresholds, but every line that repeats an earlier one is left out first. A refrain has been
  judged with the lines; what is left has to be free of loops like any other text.
- *Chinese*: 1.6 characters count as one word, so that a run of 5 words is one of 8 characters. Runs of 5 characters
  ("在这个时候") recur in any text.
- *short texts*: phrases are counted from 50 words on, the length of Gopher's shortest document.

Calibrated on the bundled samples and on the cases of ``tests/cleaning/test_repetition.py``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from operator import itemgetter

from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import (
    find_all_duplicate,
    find_duplicates,
    find_top_duplicate,
    get_n_grams,
)

from deepwriting.cleaning.step import CleaningStep
from deepwriting.cleaning.words import has_cjk, words_of
from deepwriting.metrics.units import CJK, units
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.steps import reject

#: Words in a phrase -> share of characters that the most frequent phrase of this length may take (Gopher, table A1).
TOP_NGRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
#: Words in a phrase -> share of characters that may stand in phrases said before (Gopher, table A1).
DUPLICATE_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
#: Characters of Chinese that count as one word.
CHARACTERS_A_WORD = 1.6
#: Shortest line that counts as repeated (characters); Chinese says the same in fewer.
MIN_LINE_CHARS, MIN_LINE_CHARS_CHINESE = 20, 8
#: Shortest text whose phrases are counted (words), and fewest lines or paragraphs of which a share is taken.
MIN_WORDS, MIN_PARTS = 50, 4

_CHINESE = re.compile(f"[{CJK}]")
_PARAGRAPHS = re.compile(r"\n\s*\n")


def repetition_problem(text: str, words: Sequence[str], settings: CleaningSection) -> tuple[str, str] | None:
    """Reason and detail why a text repeats itself too much, or ``None``.

    Args:
        text: the answer.
        words: its units.
        settings: the thresholds.
    """
    chinese = has_cjk(text) and _is_chinese(words)
    lines = [line.strip() for line in text.split("\n") if line and not line.isspace()]
    counted = _long(lines, chinese)
    repeated = len(set(counted)) < len(counted)
    if repeated:
        problem = _parts_problem("lines", counted, lines, settings.max_duplicate_lines)
        if problem is None:
            paragraphs = [part.strip() for part in _PARAGRAPHS.split(text) if part.strip()]
            counted = _long(paragraphs, chinese)
            problem = _parts_problem("paragraphs", counted, paragraphs, settings.max_duplicate_paragraphs)
        if problem is not None:
            return problem
        words = units("\n".join(_without_repeated(lines, chinese)))
    return phrase_problem(words, chinese, settings.repetition_scale)


def _is_chinese(words: Sequence[str]) -> bool:
    return 2 * len(_CHINESE.findall("".join(words))) > len(words)


def _long(parts: list[str], chinese: bool) -> list[str]:
    least = MIN_LINE_CHARS_CHINESE if chinese else MIN_LINE_CHARS
    return [part for part in parts if len(part) >= least]


def _without_repeated(lines: list[str], chinese: bool) -> list[str]:
    """The lines without those that repeat an earlier one; short ones stay, their repetition is no refrain."""
    least = MIN_LINE_CHARS_CHINESE if chinese else MIN_LINE_CHARS
    seen: set[str] = set()
    kept = []
    for line in lines:
        if line not in seen:
            kept.append(line)
        if len(line) >= least:
            seen.add(line)
    return kept


def _parts_problem(name: str, counted: list[str], parts: list[str], allowed: float) -> tuple[str, str] | None:
    if len(parts) < MIN_PARTS:
        return None
    number, characters = find_duplicates(counted)
    share = max(number / len(parts), characters / sum(map(len, parts)))
    if share > allowed:
        return f"repeated_{name}", f"{share:.2f} of the {name} repeat an earlier one; {allowed} is allowed"
    return None


def phrase_problem(words: Sequence[str], chinese: bool, scale: float) -> tuple[str, str] | None:
    """Reason and detail why phrases recur too often, or ``None``.

    Nearly all texts are let through by bounds (``RepeatBounds``) that cost a tenth of Gopher's measures and are never
    below them.

    Args:
        words: the units.
        chinese: whether they are Chinese characters.
        scale: multiplies the thresholds.
    """
    factor = CHARACTERS_A_WORD if chinese else 1.0
    if len(words) < MIN_WORDS * factor:
        return None
    listed = list(words)
    bounds = RepeatBounds(listed)
    spaced = bounds.characters + len(listed) - 1
    for n, threshold in TOP_NGRAMS.items():
        size, allowed = round(n * factor), scale * threshold
        if bounds.top(size, allowed * spaced) > allowed * spaced:
            share = find_top_duplicate(get_n_grams(listed, size)) / spaced
            if share > allowed:
                detail = f"one phrase of {size} words takes {share:.2f} of the text; {allowed:.2f} is allowed"
                return "repeated_phrase", detail
    sizes = {round(n * factor): scale * threshold for n, threshold in DUPLICATE_NGRAMS.items()}
    if bounds.duplicate(min(sizes)) > min(sizes.values()) * bounds.characters:
        for size, allowed in sizes.items():
            share = find_all_duplicate(listed, size) / bounds.characters
            if share > allowed:
                detail = f"{share:.2f} of the text is in phrases of {size} words said before; {allowed:.2f} is allowed"
                return "repeated_phrases", detail
    return None


class RepeatBounds:
    """Upper bounds of Gopher's measures of phrases, found in steps from the cheapest on.

    A phrase occurs no more often than its rarest word, nor than the most frequent pair of words: that lets most texts
    through.

    Args:
        words: the units of a text.
    """

    def __init__(self, words: list[str]):
        self._words = words
        counts = Counter(words)
        longest: dict[int, int] = {}
        for count, length in set(zip(counts.values(), map(len, counts), strict=True)):
            longest[count] = max(length, longest.get(count, 0))
        #: How often words occur, and the longest that occurs so often.
        self._longest = [*longest.items()]
        self.characters = len("".join(words))

    def top(self, n: int, enough: float = 0.0) -> int:
        """No less than the characters that the most frequent phrase of ``n`` words takes, spaces included.

        Args:
            n: words in a phrase; 2 or more, and no more than there are.
            enough: a bound up to this one need not be made tighter.
        """
        if (bound := self._top(n, len(self._words))) <= enough or (bound := self._top(n, self._most_pairs)) <= enough:
            return bound
        phrase, count = max(Counter(_phrases(self._words, n)).items(), key=itemgetter(1))
        return len(phrase) * count

    def _top(self, n: int, most: int) -> int:
        # A phrase that occurs k times consists of words that occur k times or more, and k is at most ``most``.
        return max(min(count, most) * (n * (length + 1) - 1) for count, length in self._longest)

    @cached_property
    def _pairs(self) -> tuple[list[str], Counter[str]]:
        pairs = list(_phrases(self._words, 2))
        return pairs, Counter(pairs)

    @property
    def _most_pairs(self) -> int:
        """How often the most frequent pair of words occurs: no longer phrase occurs more often."""
        return max(self._pairs[1].values(), default=0)

    def duplicate(self, n: int) -> int:
        """The characters of all words that stand in some phrase of ``n`` words said before.

        A longer phrase said before consists of such phrases only, so this bounds the measure for every longer one.
        """
        words, (pairs, counts) = self._words, self._pairs
        # A phrase that recurs is a row of pairs that recur, wherever it stands.
        recur, row = bytes(map((1).__lt__, map(counts.__getitem__, pairs))), b"\1" * (n - 1)
        seen: set[str] = set()
        characters = end = 0
        at = recur.find(row)
        while at >= 0:
            phrase = " ".join(words[at : at + n])
            if phrase in seen:
                characters += sum(map(len, words[max(at, end) : at + n]))
                end = at + n
            seen.add(phrase)
            at = recur.find(row, at + 1)
        return characters


def _phrases(words: list[str], n: int) -> Iterator[str]:
    # Strings: as many tuples as a text has words would have Python look for garbage at each text.
    return map(" ".join, zip(*(words[start:] for start in range(n)), strict=False))


class Repetition(CleaningStep):
    """Rejects answers that repeat lines, paragraphs or phrases.

    Reasons: ``repeated_lines``, ``repeated_paragraphs``, ``repeated_phrase``, ``repeated_phrases``; each is counted,
    and ``repetition_ok``.
    """

    name = "🔂 Repetition"
    switch = "repetition"

    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Check one answer."""
        problem = repetition_problem(doc.text, words_of(doc.text), settings)
        if problem:
            reject(doc, *problem)
        self.count(problem[0] if problem else "repetition_ok")
