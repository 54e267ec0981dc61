from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwriting.select.quotas import cells_for, share_out, wanted

MANY = np.array([10**6])


def poured(total: int, weights: list[float], has: list[int], **options: list[int]) -> list[int]:
    """Categories of one source."""
    arrays = {key: np.array(value) for key, value in options.items()}
    return share_out(total, np.array(weights, dtype=float), np.array(has)[:, None], MANY, **arrays).tolist()


@pytest.mark.parametrize(
    ("total", "weights", "has", "expected"),
    [
        (30, [1, 1, 1], [50, 50, 50], [10, 10, 10]),
        (30, [1, 2, 3], [50, 50, 50], [5, 10, 15]),
        (30, [1, 1, 1], [4, 50, 50], [4, 13, 13]),
        (30, [1, 1, 4], [4, 50, 50], [4, 5, 21]),  # in proportion: 5.2 and 20.8
        (30, [1, 1, 1], [4, 6, 50], [4, 6, 20]),
        (30, [1, 1, 0], [4, 50, 50], [4, 26, 0]),
        (100, [1, 1, 1], [4, 6, 7], [4, 6, 7]),
        (10, [1, 1, 1], [50, 50, 50], [4, 3, 3]),
        (10, [1, 1, 1], [0, 0, 50], [0, 0, 10]),
        (0, [1, 1, 1], [5, 5, 5], [0, 0, 0]),
        (5, [0, 0, 0], [5, 5, 5], [0, 0, 0]),
    ],
)
def test_what_one_cannot_take_goes_to_the_others_in_proportion(
    total: int, weights: list[float], has: list[int], expected: list[int]
) -> None:
    assert poured(total, weights, has) == expected


def test_a_limit_without_redistribution_leaves_the_rest() -> None:
    assert poured(30, [1, 1, 1], [4, 50, 50], limits=[10, 10, 10]) == [4, 10, 10]


def test_fixed_pairs_count_and_stay() -> None:
    assert poured(30, [0, 1, 1], [20, 50, 50], fixed=[12, 0, 0]) == [12, 9, 9]


def test_a_limited_source_is_shared_fairly_and_not_in_the_order_of_the_list() -> None:
    # Both live on the first source alone, the third has one of its own.
    cells = np.array([[100, 0], [100, 0], [0, 100]])
    assert share_out(90, np.ones(3), cells, np.array([20, 100])).tolist() == [10, 10, 70]


def test_a_category_makes_way_where_it_can_take_from_elsewhere() -> None:
    cells = np.array([[100, 100], [100, 0]])
    totals = share_out(60, np.ones(2), cells, np.array([30, 40]))
    assert totals.tolist() == [30, 30]
    assert cells_for(totals, np.array([30, 40]), cells, np.array([[20, 10], [30, 0]])).tolist() == [[0, 30], [30, 0]]


def test_a_source_over_its_limit_gives_all_categories_the_same_share() -> None:
    cells = np.array([[100, 100], [100, 100]])
    taken = cells_for(np.array([40, 20]), np.array([30, 100]), cells, np.array([[40, 0], [20, 0]]))
    assert taken.tolist() == [[20, 20], [10, 10]]


def test_whole_shares() -> None:
    assert wanted(20_000, np.ones(25)).tolist() == [800] * 25
    assert wanted(10, np.array([1.0, 1.0, 1.0])).tolist() == [4, 3, 3]
    assert wanted(10, np.array([1.0, 1.0, 2.0])).tolist() == [3, 2, 5]
    assert wanted(10, np.zeros(2)).tolist() == [0, 0]


WEIGHT = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.7])


@st.composite
def problems(draw: st.DrawFn) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    cells = draw(st.lists(st.integers(0, 12), min_size=rows * columns, max_size=rows * columns))
    limits = draw(st.lists(st.integers(0, 25), min_size=columns, max_size=columns))
    weights = draw(st.lists(WEIGHT, min_size=rows, max_size=rows))
    return draw(st.integers(0, 60)), np.array(weights), np.array(cells).reshape(rows, columns), np.array(limits)


def possible(totals: np.ndarray, cells: np.ndarray, columns: np.ndarray) -> bool:
    """Hall's condition: every set of rows finds room, computed without any flow."""
    rows = len(totals)
    for chosen in range(1, 2**rows):
        inside = [row for row in range(rows) if chosen >> row & 1]
        if totals[inside].sum() > best_room(cells[inside], columns, totals[inside]):
            return False
    return True


def best_room(cells: np.ndarray, columns: np.ndarray, totals: np.ndarray) -> int:
    """The least cut of rows that want ``totals``: over all sets of columns."""
    count = len(columns)
    cuts = []
    for chosen in range(2**count):
        cut = np.array([bool(chosen >> column & 1) for column in range(count)])
        cuts.append(columns[cut].sum() + np.minimum(cells[:, ~cut].sum(axis=1), totals).sum())
    return int(min(cuts))


@given(problems())
@settings(max_examples=60)
def test_water_filling(problem: tuple[int, np.ndarray, np.ndarray, np.ndarray]) -> None:
    total, weights, cells, columns = problem
    got = share_out(total, weights, cells, columns)
    assert got.sum() <= total
    assert (got[weights == 0] == 0).all()
    assert possible(got, cells, columns)
    for row in range(len(weights)):
        if weights[row] == 0:
            continue
        more = got.copy()
        more[row] += 1
        if got.sum() < total:
            assert not possible(more, cells, columns), "pairs were left over that somebody could have had"
        for other in range(len(weights)):
            # Who has more for its weight by more than a pair could not have given one of them.
            if (
                other != row
                and got[other] > 0
                and (got[other] - 1) / max(weights[other], 1e-9) > (got[row] + 1) / weights[row] + 1e-6
            ):
                swapped = more.copy()
                swapped[other] -= 1
                assert not possible(swapped, cells, columns), (row, other, got)


@given(problems(), st.data())
@settings(max_examples=60)
def test_cells_add_up_and_stay_within_what_there_is(
    problem: tuple[int, np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    total, weights, cells, columns = problem
    got = share_out(total, weights, cells, columns)
    free = share_out(int(got.sum()), np.ones(len(got)), cells, np.full(len(columns), 10**6), limits=got)
    preferred = np.zeros_like(cells)
    for row, left in enumerate(free.tolist()):
        for column in data.draw(st.permutations(range(len(columns)))):
            preferred[row, column] = min(left, cells[row, column])
            left -= preferred[row, column]
    sent = cells_for(got, columns, cells, preferred)
    assert (sent >= 0).all()
    assert (sent <= cells).all()
    assert sent.sum(axis=1).tolist() == got.tolist()
    assert (sent.sum(axis=0) <= columns).all()
