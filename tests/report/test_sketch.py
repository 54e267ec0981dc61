"""Sketches against numpy, in parts and as a whole."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepwriting.report.sketch import EXACT, Sketch

SHARES = (0.1, 0.5, 0.9)


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


def test_few_values_are_exact() -> None:
    mean, least, most, quantiles = sketch_of([3, 1, 2, 10]).summary(SHARES)
    assert (mean, least, most) == (4, 1, 10)
    assert quantiles == pytest.approx(np.percentile([3, 1, 2, 10], [10, 50, 90]))


def test_nothing_is_not_a_number() -> None:
    mean, _, _, quantiles = Sketch().summary(SHARES)
    assert math.isnan(mean)
    assert all(math.isnan(value) for value in quantiles)
    assert Sketch().histogram(10) == []


@pytest.mark.parametrize("shift", [0.0, -50.0])
def test_many_values_are_within_half_a_per_cent(shift: float) -> None:
    values = np.random.default_rng(4).lognormal(3, 1.5, 30_000) + shift
    sketch = sketch_of(values.tolist())
    mean, least, most, quantiles = sketch.summary(SHARES)
    assert mean == pytest.approx(values.mean())
    assert (least, most) == (values.min(), values.max())
    assert quantiles == pytest.approx(np.percentile(values, [10, 50, 90]), rel=0.0051)
    assert len(sketch.bins) < 3_000
    assert len(sketch.values) <= EXACT


def test_quantiles_of_whole_numbers_are_whole() -> None:
    *_, [median] = sketch_of([float(n % 40) for n in range(8_000)]).summary((0.5,))
    assert median in (19.0, 20.0)


def test_zeros_and_negatives_are_in_order() -> None:
    *_, quantiles = sketch_of([-5.0] * 2_000 + [0.0] * 2_000 + [7.0] * 2_000).summary((0.1, 0.5, 0.9))
    assert quantiles == [-5, 0, 7]


@pytest.mark.parametrize("count", [EXACT, EXACT + 1, 9_000])
@pytest.mark.parametrize("parts", [2, 7])
def test_parts_add_up_to_the_whole(count: int, parts: int) -> None:
    values = np.random.default_rng(5).integers(1, 60_000, count).astype(float).tolist()
    total = Sketch()
    for part in range(parts):
        total.merge(sketch_of(values[part::parts]))
    whole = sketch_of(values)
    assert total.count == whole.count == count
    assert total.summary(SHARES) == whole.summary(SHARES)
    assert total.histogram(10) == whole.histogram(10)


def test_histogram_has_one_set_of_edges() -> None:
    bins = sketch_of([0.0, 1, 9.99, 10, 12, 1000]).histogram(1)
    assert [(round(low), round(high), rows) for low, high, rows in bins] == [
        (1, 10, 3), (10, 100, 2), (100, 1000, 0), (1000, 10_000, 1),
    ]  # fmt: skip
