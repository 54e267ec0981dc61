"""What was asked of the selection and what could be had, in JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepwriting.recipe import SelectSection
from deepwriting.select.quotas import Counts
from deepwriting.select.rows import CLASSIFIERS
from deepwriting.select.taxonomy import CATEGORIES


def report(
    settings: SelectSection,
    sources: Sequence[str],
    *,
    wanted: Counts | None,
    available: Counts,
    chosen: Counts,
    unclear: Counts,
    by: Counts,
) -> dict[str, Any]:
    """The report.

    Args:
        settings: the recipe's select section.
        sources: names of the sources.
        wanted: by category, what was asked for; ``None`` if everything is kept.
        available: (categories, sources), pairs whose category is clear enough.
        chosen: (categories, sources), pairs that were chosen.
        unclear: by category, pairs below ``min_probability``.
        by: pairs by who decided about their category.

    Returns:
        ``pairs`` (asked), ``available``, ``chosen``, ``unclear``, ``classified_by``; ``categories``: for each name
        ``wanted``, ``available``, ``chosen``, ``shortfall`` and ``why``; ``sources``: for each name ``available``,
        ``chosen`` and ``limit``; ``cells``: for each category with pairs, by source, [available, chosen].
    """
    categories: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(CATEGORIES):
        has, got = int(available[index].sum()), int(chosen[index].sum())
        asked = has if wanted is None else int(wanted[index])
        categories[name] = {"wanted": asked, "available": has, "chosen": got, "shortfall": max(0, asked - got)}
        if asked > got:
            full = [source for place, source in enumerate(sources) if _is_full(settings, source, chosen[:, place])]
            categories[name]["why"] = _why(has, got, int(unclear[index]), full)
    return {
        "pairs": settings.pairs,
        "available": int(available.sum()),
        "chosen": int(chosen.sum()),
        "unclear": int(unclear.sum()),
        "classified_by": {name: int(count) for name, count in zip(CLASSIFIERS, by, strict=True)},
        "categories": categories,
        "sources": {
            name: {
                "available": int(available[:, place].sum()),
                "chosen": int(chosen[:, place].sum()),
                "limit": settings.source_limits.get(name),
            }
            for place, name in enumerate(sources)
        },
        "cells": {
            name: {
                source: [int(available[index, place]), int(chosen[index, place])]
                for place, source in enumerate(sources)
                if available[index, place]
            }
            for index, name in enumerate(CATEGORIES)
            if available[index].any()
        },
    }


def _is_full(settings: SelectSection, source: str, chosen: Counts) -> bool:
    return int(np.sum(chosen)) >= settings.source_limits.get(source, np.inf)


def _why(available: int, chosen: int, unclear: int, full: Sequence[str]) -> str:
    if available == chosen:
        more = f", and {unclear} more below min_probability" if unclear else ""
        return f"there are only {available}{more}"
    if full:
        return f"source_limits reached: {', '.join(full)}"
    return "sources of weight 0 are left out"
