from __future__ import annotations

import math

import numpy as np
import pytest

from deepwriting.select.quality import length_quality, quality, score_quality


def test_a_score_counts_by_its_place_within_its_source() -> None:
    score = np.array([5.0, 900.0, 7.0, 100.0, 7.0, math.nan, 3.0])
    source = np.array([0, 1, 0, 1, 0, 0, 2], dtype=np.int32)
    assert score_quality(score, source).tolist() == [0, 1, 0.75, 0, 0.75, 0.5, 0.5]


@pytest.mark.parametrize(("chars", "expected"), [(100, 1.0), (150, 1.0), (200, 1.0), (50, 0.5), (400, 0.5), (0, 0.01)])
def test_length(chars: int, expected: float) -> None:
    assert length_quality(np.array([chars], dtype=np.int32), [100, 200])[0] == pytest.approx(expected)


def test_the_mean_is_weighted() -> None:
    values = quality(
        {"length": 1.0, "probability": 3.0, "score": 0.0}, score=np.array([math.nan]),
        chars=np.array([50], dtype=np.int32), probability=np.array([0.9]), chance=np.array([7], dtype=np.uint64),
        source=np.array([0], dtype=np.int32), preferred=[100, 200],
    )  # fmt: skip
    assert values[0] == pytest.approx((0.5 + 3 * 0.9) / 4)
