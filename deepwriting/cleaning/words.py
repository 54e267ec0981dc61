"""What several steps ask of a text, found out once: its words, whether it holds Chinese or Japanese, and digits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from string import digits

from deepwriting.metrics.units import CJK, units, without_typography

_CJK = re.compile(f"[{CJK}]")
_FIRST_CJK = CJK[0]
_DIGIT = re.compile(r"\d")


@lru_cache(maxsize=4)
def words_of(text: str) -> Sequence[str]:
    """The units of a text (``metrics/units.py``); query and answer of the pair being cleaned stay at hand."""
    return tuple(units(text))


@lru_cache(maxsize=4)
def has_cjk(text: str) -> bool:
    """Whether a text holds a Chinese or Japanese character."""
    # Most texts beyond ASCII hold quotation marks and accents only, and a class of such far ranges is slow to look for.
    if text.isascii() or (plain := without_typography(text)).isascii():
        return False
    return max(plain) >= _FIRST_CJK and _CJK.search(plain) is not None


@lru_cache(maxsize=4)
def has_digit(text: str) -> bool:
    """Whether a text holds a decimal digit of any script."""
    if any(digit in text for digit in digits):
        return True
    return not text.isascii() and _DIGIT.search(text) is not None
