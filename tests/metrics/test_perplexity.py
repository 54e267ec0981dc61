from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.metrics import clipped_mean_nll, perplexity

logprob_lists = st.lists(st.floats(min_value=-50, max_value=0), min_size=1, max_size=50)


def test_search_score_clips_each_token_before_the_mean() -> None:
    assert clipped_mean_nll([-0.5, -30.0, -1.5]) == pytest.approx((0.5 + 2.0 + 1.5) / 3)


def test_perplexity_does_not_clip() -> None:
    assert perplexity([-0.5, -30.0, -1.5]) == pytest.approx(math.exp(32 / 3))


def test_the_floor_can_be_lowered() -> None:
    assert clipped_mean_nll([-0.5, -30.0], floor=-40.0) == pytest.approx(15.25)


def test_certain_tokens_score_zero_without_a_sign() -> None:
    assert math.copysign(1.0, clipped_mean_nll([0.0, 0.0])) == 1.0
    assert perplexity([0.0, 0.0]) == 1.0


def test_rounding_above_zero_counts_as_certain() -> None:
    assert clipped_mean_nll([1e-6, -1.0]) == pytest.approx(0.5)


def test_impossible_tokens() -> None:
    assert clipped_mean_nll([-math.inf]) == 2.0
    assert perplexity([-math.inf]) == math.inf
    assert perplexity([-1e9]) == math.inf


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numpy_arrays_are_read(dtype: type[np.floating]) -> None:
    assert clipped_mean_nll(np.asarray([-0.5, -4.0], dtype=dtype)) == pytest.approx(1.25)


def test_float32_is_summed_in_double_precision() -> None:
    values = np.full(1_000_000, -0.1, dtype=np.float32)
    assert perplexity(values) == pytest.approx(math.exp(float(np.float32(0.1))), rel=1e-12)


@pytest.mark.parametrize("measure", [clipped_mean_nll, perplexity])
@pytest.mark.parametrize("empty", [[], (), np.empty(0)])
def test_no_tokens_is_an_error(measure: object, empty: object) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        measure(empty)  # type: ignore[operator]


@pytest.mark.parametrize("measure", [clipped_mean_nll, perplexity])
def test_missing_values_and_wrong_shapes_are_errors(measure: object) -> None:
    with pytest.raises(ValueError, match="log-probability 1 of 2 is not a number"):
        measure([-1.0, math.nan])  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        measure(np.asarray([[-1.0, -2.0]]))  # type: ignore[operator]


@pytest.mark.parametrize("floor", [0.0, 1.0, math.nan])
def test_a_floor_that_clips_everything_is_an_error(floor: float) -> None:
    with pytest.raises(ValueError, match="below 0"):
        clipped_mean_nll([-1.0], floor=floor)


@given(logprob_lists)
def test_the_search_score_is_bounded_and_never_above_the_log_perplexity(logprobs: list[float]) -> None:
    score = clipped_mean_nll(logprobs)
    assert 0 <= score <= 2
    assert score <= math.log(perplexity(logprobs)) + 1e-9
