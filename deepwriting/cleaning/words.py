"""What several steps ask of a text, found out once: its words, and whether it holds Chinese or Japanese characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from deepwriting.metrics.units import CJK, units

_CJK = re.compile(f"[{CJK}]")
_FIRST_CJK = CJK[0]


@lru_cache(maxsize=4)
def words_of(text: str) -> Sequence[str]:
    """The units of a text (``metrics/units.py``); query and answer of the pair being cleaned stay at hand."""
    return tuple(units(text))


@lru_cache(maxsize=4)
def has_cjk(text: str) -> bool:
    """Whether a text holds a Chinese or Japanese character."""
    # Most texts beyond ASCII hold quotation marks and accents only, and a class of such far ranges is slow to look for.
    return not text.isascii() and max(text) >= _FIRST_CJK and _CJK.search(text) is not None
