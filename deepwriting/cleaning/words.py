"""The words of a text, split once for all steps that count them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from deepwriting.metrics.units import units


@lru_cache(maxsize=4)
def words_of(text: str) -> Sequence[str]:
    """The units of a text (``metrics/units.py``); query and answer of the pair being cleaned stay at hand."""
    return tuple(units(text))
