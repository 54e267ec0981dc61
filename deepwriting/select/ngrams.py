"""Hashed n-grams of many texts at once, in numpy: a million queries would take a loop over characters an hour.

English texts give words, pairs of words, and 3 to 5 characters that do not reach across a space; Chinese ones, which
are written without spaces, give 1 to 3 characters. What is no letter and no digit counts as a space. An n-gram becomes
one of ``BUCKETS`` numbers; nothing has to be remembered to find the same number again.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Numbers that an n-gram can become: about 25,000 are in use, so few share one.
BITS = 18
BUCKETS = 1 << BITS

#: Lengths of character n-grams by language (characters).
CHARACTERS = {"en": (3, 4, 5), "zh": (1, 2, 3)}
#: Languages that separate words by spaces.
_HAS_WORDS = frozenset({"en"})

#: Odd numbers without a pattern: the golden ratio's, and one from the splitmix64 generator.
_BASE, _SCRAMBLE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
#: Longer words are told apart by their first characters only.
_LONGEST_WORD = 40
_SPACE = ord(" ")


@dataclass(frozen=True)
class NGrams:
    """The n-grams of one kind in many texts, in the order of the texts.

    Attributes:
        buckets: a number from 0 to ``BUCKETS`` for each n-gram.
        rows: the index of its text; rising.
    """

    buckets: NDArray[np.int64]
    rows: NDArray[np.int64]


def ngrams(texts: Sequence[str], language: str) -> list[NGrams]:
    """The n-grams of texts in ``en`` or ``zh``, one entry a kind of n-gram."""
    codes, rows = _characters(texts)
    inside = codes != _SPACE
    found = _words(codes, rows, inside) if language in _HAS_WORDS else []
    spaces = np.concatenate([[0], np.cumsum(~inside)])
    values = _mixed(codes.astype(np.uint64))
    hashes = np.zeros(len(codes), dtype=np.uint64)
    for length in range(1, max(CHARACTERS[language]) + 1):
        count = max(len(codes) - length + 1, 0)
        hashes = hashes[:count] * _BASE + values[length - 1 :]
        if length in CHARACTERS[language]:
            # A space may stand at either end, where it marks the end of a word, but for scripts without spaces.
            first, last = (1, length - 1) if language in _HAS_WORDS else (0, length)
            whole = spaces[last : count + last] == spaces[first : count + first]
            # The space before a text belongs to the one before it.
            found.append(NGrams(_bucket(hashes[whole], length), rows[first : count + first][whole]))
    return found


def _characters(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """All texts in one array of code points with one space around each and between words, and each one's text."""
    # Lower-casing a character can make two of it.
    lowered = [text.lower() for text in texts]
    joined = " " + " ".join(lowered) + " "
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    ends = np.cumsum([len(text) + 1 for text in lowered])  # the space behind a text is its own, as is the first one
    rows = np.searchsorted(ends, np.arange(len(codes)), side="left").astype(np.int64)
    codes = _folding()[np.minimum(codes, len(_folding()) - 1)]
    inside = codes != _SPACE
    keep = inside.copy()
    keep[1:] |= inside[:-1]
    keep[:1] = True
    return codes[keep], rows[keep]


@functools.cache
def _folding() -> NDArray[np.uint32]:
    """What a code point counts as: itself if it is a letter, ``0`` if it is a digit, a space otherwise.

    Everything beyond the first plane (rare Chinese characters, emoji) counts as its last entry, a space.
    """
    table = [ord("0") if c.isdigit() else ord(c) if c.isalpha() else _SPACE for c in map(chr, range(0x10000))]
    return np.array(table, dtype=np.uint32)


def _words(codes: NDArray[np.uint32], rows: NDArray[np.int64], inside: NDArray[np.bool_]) -> list[NGrams]:
    starts = np.flatnonzero(inside & ~np.concatenate([[False], inside[:-1]]))
    if not len(starts):
        return []
    place = np.arange(len(codes)) - starts[np.maximum(np.searchsorted(starts, np.arange(len(codes)), "right") - 1, 0)]
    powers = np.multiply.accumulate(np.full(_LONGEST_WORD + 1, _BASE, dtype=np.uint64))
    powers[-1] = 0
    parts = np.where(inside, _mixed(codes.astype(np.uint64)), np.uint64(0)) * powers[np.clip(place, 0, _LONGEST_WORD)]
    words = np.add.reduceat(parts, starts)
    of = rows[starts]
    pairs = words[:-1] * _BASE + words[1:]
    same = of[:-1] == of[1:]
    return [NGrams(_bucket(words, 101), of), NGrams(_bucket(pairs[same], 102), of[:-1][same])]


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (values + np.uint64(1)) * _SCRAMBLE
    return mixed ^ (mixed >> np.uint64(31))


def _bucket(hashes: NDArray[np.uint64], kind: int) -> NDArray[np.int64]:
    mixed = _mixed(hashes + np.uint64(kind * int(_BASE) % 2**64))
    return ((mixed * _BASE) >> np.uint64(64 - BITS)).astype(np.int64)
