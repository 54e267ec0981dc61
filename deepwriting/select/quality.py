"""What speaks for a pair among others of its category, each as a number from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
#: What a pair gets whose source gives no scores: neither better nor worse than others.
NEUTRAL = 0.5


def score_quality(score: Values, source: NDArray[np.int32]) -> Values:
    """The score's place among those of its source: 0 for the lowest, 1 for the highest, ties in the middle.

    Upvotes of one forum say nothing beside those of another, so only places are compared.
    """
    quality = np.full(len(score), NEUTRAL)
    known = np.isfinite(score)
    for one in np.unique(source[known]):
        mine = np.flatnonzero(known & (source == one))
        values = np.sort(score[mine])
        below = np.searchsorted(values, score[mine], side="left")
        up_to = np.searchsorted(values, score[mine], side="right")
        if len(mine) > 1:
            quality[mine] = (below + up_to - 1) / 2 / (len(mine) - 1)
    return quality


def length_quality(chars: NDArray[np.int32], preferred: Sequence[int]) -> Values:
    """1 inside the preferred range; a half for what is twice too short or twice too long, and so on."""
    length = np.maximum(chars.astype(np.float64), 1.0)
    quality: Values = np.minimum(1.0, np.minimum(length / preferred[0], preferred[1] / length))
    return quality


def quality(
    weights: Mapping[Any, float],
    *,
    score: Values,
    chars: NDArray[np.int32],
    probability: Values,
    chance: NDArray[np.uint64],
    source: NDArray[np.int32],
    preferred: Sequence[int],
) -> Values:
    """The weighted mean of what speaks for each pair.

    Args:
        weights: by name: ``score``, ``length``, ``probability``, ``chance``.
        score: the source's own measure; not a number where there is none.
        chars: length of the answer (characters).
        probability: of the category.
        chance: a random number of 64 bits.
        source: index of the source.
        preferred: the range of lengths that is best (characters).
    """
    parts: dict[str, Values] = {
        "score": score_quality(score, source),
        "length": length_quality(chars, preferred),
        "probability": probability,
        "chance": chance.astype(np.float64) / 2.0**64,
    }
    total = sum(weights.values())
    mean = np.zeros(len(chars))
    for name, weight in sorted(weights.items()):
        mean += weight / total * parts[name]
    # Sums of the same numbers may differ in their last digits, and ties are broken by chance.
    rounded: Values = np.round(mean, 9)
    return rounded
