"""Shingles: the overlapping runs of words by which two texts are compared, as 64-bit hashes.

The words are those of ``metrics.units`` but for apostrophes, which are dropped, and numbers, which are split at their
points: so plain ASCII, which most texts are, can be split by the interpreter's own routines. All shingles of a text are
hashed at once: the hash of a run of bytes is a difference of two prefix sums, a polynomial modulo 2^64.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from deepwriting.metrics.units import units

Hashes: TypeAlias = npt.NDArray[np.uint64]

#: Base of the polynomial: odd, so that it has an inverse modulo 2^64 (2^64 divided by the golden ratio).
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_SPACE = 32
#: Letters in lower case and digits stay, everything else separates words.
_ASCII = bytes(byte if chr(byte).isalnum() else _SPACE for byte in bytes(range(128)).lower()) + bytes([_SPACE]) * 128
#: The typographic signs of English texts, which would otherwise keep nearly every text out of the fast way.
_TYPOGRAPHY = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-",
     "\u2026": " ", "\u00a0": " "}
)  # fmt: skip


class _Powers:
    """Powers of the base and of its inverse, computed once for the longest text so far."""

    def __init__(self) -> None:
        self.base = self.inverse = np.ones(1, np.uint64)

    def reach(self, length: int) -> None:
        """Have the powers for texts of this length (bytes)."""
        if len(self.base) < length:
            size = 1 << (length - 1).bit_length()
            self.base, self.inverse = _powers(_BASE, size), _powers(_INVERSE, size)


def _powers(base: int, count: int) -> Hashes:
    factors = np.full(count, base, np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


_POWERS = _Powers()


def words(text: str) -> bytes:
    """The words of a text in lower case, with one space between two (UTF-8)."""
    plain = text.translate(_TYPOGRAPHY)
    if plain.isascii():
        split = plain.encode().translate(_ASCII, b"'").split()
    else:
        joined = " ".join(units(plain)).encode()
        # Bytes of other scripts are above 127 and none of the signs: only numbers and apostrophes are left to treat.
        split = joined.replace(b"'", b"").replace(b",", b" ").replace(b".", b" ").replace(b":", b" ").split()
    return b" ".join(split)


def shingles(text: str, size: int) -> Hashes:
    """The different shingles of a text.

    Args:
        text: any text.
        size: words in a shingle; a shorter text is one shingle.

    Returns:
        Sorted hashes, none twice; empty when the text holds no word.
    """
    joined = np.frombuffer(words(text), np.uint8)  # bytes of UTF-8
    length = len(joined)
    if not length:
        return np.empty(0, np.uint64)
    _POWERS.reach(length)
    spaces = np.flatnonzero(joined == _SPACE)
    size = min(size, len(spaces) + 1)
    starts = np.concatenate(([0], spaces + 1))[: len(spaces) + 2 - size]
    ends = np.concatenate((spaces, [length]))[size - 1 :]
    prefix = np.zeros(length + 1, np.uint64)
    np.multiply(joined.astype(np.uint64), _POWERS.base[:length], out=prefix[1:])
    np.cumsum(prefix, out=prefix)
    hashes = (prefix[ends] - prefix[starts]) * _POWERS.inverse[starts]
    # The low bits of a polynomial depend on little of the text: mix the high ones in.
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(_BASE)
    hashes ^= hashes >> np.uint64(29)
    hashes.sort()
    first = np.ones(len(hashes), np.bool_)
    np.not_equal(hashes[1:], hashes[:-1], out=first[1:])
    return hashes[first]  # np.unique takes three times as long


def jaccard(first: Hashes, second: Hashes) -> float:
    """Part of two texts' shingles that both have (0 to 1); 0 where one has none."""
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common) if common else 0.0
