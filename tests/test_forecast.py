from __future__ import annotations

import json
import random
import statistics

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deepwriting.forecast import CONFIDENCE, Estimate, Prices, forecast, share, t_quantile, total
from deepwriting.pilot import Pilot, PilotRow, draw
from deepwriting.tally import Tally

VALUES = st.lists(st.floats(0, 1e6), min_size=2, max_size=30)


@pytest.mark.parametrize(
    ("freedom", "table"), [(1, 3.0777), (2, 1.8856), (3, 1.6377), (7, 1.4149), (15, 1.3406), (120, 1.2886)]
)
def test_quantiles_are_those_of_the_tables(freedom: int, table: float) -> None:
    assert t_quantile(freedom) == pytest.approx(table, rel=0.004)


@given(VALUES, st.integers(0, 1000))
def test_the_interval_holds_the_estimate_and_what_was_seen(values: list[float], unseen: int) -> None:
    found = total(values, len(values) + unseen)
    assert found.low is not None
    assert found.high is not None
    assert found.holds(found.value)
    assert found.low >= sum(values) - 1e-6
    assert found.value == pytest.approx(statistics.fmean(values) * (len(values) + unseen))


@given(VALUES)
def test_a_pilot_of_everything_is_certain(values: list[float]) -> None:
    found = total(values, len(values))
    assert found.low == pytest.approx(sum(values))
    assert found.high == pytest.approx(sum(values))


@given(VALUES, st.floats(0.001, 1000))
def test_units_do_not_matter(values: list[float], factor: float) -> None:
    one, other = total(values, 100) * factor, total([value * factor for value in values], 100)
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), rel=1e-6, abs=1e-6)


def test_one_pair_shows_no_spread() -> None:
    assert total([5.0], 10) == Estimate(50.0, None, None)
    assert total([5.0], 1) == Estimate(5.0, 5.0, 5.0)
    assert not total([5.0], 10).holds(50.0)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = random.Random(4)
    people = [rng.gauss(100, 30) for _ in range(60)]
    held = sum(total(rng.sample(people, 8), len(people)).holds(sum(people)) for _ in range(2000)) / 2000
    assert held == pytest.approx(CONFIDENCE, abs=0.04)


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 500))
def test_a_share_stays_possible(hits: int, drawn: int, unseen: int) -> None:
    assume(hits <= drawn)
    population = drawn + unseen
    found = share(hits, drawn, population)
    assert found.low is not None
    assert found.high is not None
    assert hits - 1e-9 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= population - (drawn - hits) + 1e-9
    if not unseen:
        assert found.low == pytest.approx(hits)
        assert found.high == pytest.approx(hits)


def test_no_skipped_row_in_the_pilot_leaves_some_possible() -> None:
    found = share(0, 8, 1000)
    assert found.value == 0
    assert found.high is not None
    assert 100 < found.high < 250


def row(sampled: int, *, seconds: float = 10.0, skipped: str | None = None) -> PilotRow:
    tallies = {"generator": Tally(100, sampled, 0), "generator 2": Tally(50, 7, 0), "scorer": Tally(0, 0, 1000)}
    return PilotRow(500, tallies, seconds, 0 if skipped else 4, skipped, True)


@pytest.fixture
def pilot() -> Pilot:
    rows = {"a": row(40), "b": row(60), "c": row(50, skipped="initial_one_segment"), "d": row(50, seconds=30.0)}
    return Pilot(rows, 2300, 4, ["cuda:0", "cuda:1"])


def test_a_forecast_is_the_mean_times_all_rows(pilot: Pilot) -> None:
    found = forecast(pilot, pairs=100, rollouts=2)
    assert (found.rows, found.drawn) == (200, 4)
    assert found.sampled_tokens.value == pytest.approx(200 * 57)
    assert found.tokens["generator"]["sampled_tokens"].value == pytest.approx(200 * 50)
    assert found.prompt_tokens.value == pytest.approx(200 * 150)
    assert found.scored_tokens.value == pytest.approx(200 * 1000)
    assert found.seconds.value == pytest.approx(200 * 15)
    assert found.steps.value == pytest.approx(200 * 3)
    assert (found.skipped.value, found.reasons) == (pytest.approx(50), {"initial_one_segment": 1})
    assert found.reused_share == pytest.approx(2300 / 4600)
    assert found.tokens_in_per_second == pytest.approx(4600 / 60)
    assert found.gpu_hours is not None
    assert found.gpu_hours.value == pytest.approx(3000 * 2 / 3600)
    assert found.usd == {}
    assert json.loads(json.dumps(found.as_dict()))["seconds"]["value"] == pytest.approx(3000)


def test_workers_share_the_time_and_multiply_the_gpus(pilot: Pilot) -> None:
    one, four = (forecast(pilot, pairs=100, rollouts=1, workers=workers) for workers in (1, 4))
    assert four.seconds.value == pytest.approx(one.seconds.value / 4)
    assert (one.gpus, four.gpus) == (2, 8)
    assert one.gpu_hours is not None
    assert four.gpu_hours is not None
    assert four.gpu_hours.value == pytest.approx(one.gpu_hours.value)


def test_gpus_and_tokens_cost_what_they_cost(pilot: Pilot) -> None:
    prices = Prices(gpu_hour=2.0, million_in=3.0, million_out=10.0)
    found = forecast(pilot, pairs=1000, rollouts=1, gpus=1, hosted=["generator 2"], prices=prices)
    assert found.usd["GPUs"].value == pytest.approx(1000 * 15 / 3600 * 2)
    assert found.usd["hosted generators"].value == pytest.approx(1000 * (50 * 3 + 7 * 10) / 1e6)
    without = forecast(Pilot(pilot.rows, 0, 4, ["cpu"]), pairs=1000, rollouts=1, prices=prices)
    assert (without.gpus, without.gpu_hours, without.usd) == (0, None, {})


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=80), st.integers(1, 90), st.integers(0, 2**32))
def test_a_larger_draw_holds_the_smaller(lengths: list[int], count: int, seed: int) -> None:
    sizes = [(f"p{index}", length) for index, length in enumerate(lengths)]
    smaller, larger = draw(sizes, count, seed), draw(sizes, count + 5, seed)
    assert len(set(smaller)) == len(smaller) == min(count, len(sizes))
    assert larger[: len(smaller)] == smaller
    assert draw(list(reversed(sizes)), count, seed) == smaller


def test_every_pair_is_as_likely_and_the_lengths_are_spread() -> None:
    sizes = [(f"p{index}", 100 * index) for index in range(40)]
    times: dict[str, int] = {}
    for seed in range(2000):
        drawn = draw(sizes, 8, seed)
        ranks = sorted(int(key[1:]) for key in drawn)
        assert max(b - a for a, b in zip([0, *ranks], [*ranks, 39], strict=True)) <= 12
        for key in drawn:
            times[key] = times.get(key, 0) + 1
    assert len(times) == 40
    assert min(times.values()) > 300  # 400 are expected
    assert max(times.values()) < 500
