from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.dataset_cards.statistics import STATISTICS_COLUMNS, Group, summarise
from deepwriting.errors import BuildError
from deepwriting.schema import ALL_COLUMNS

Row = Callable[..., dict[str, Any]]


def test_every_column_read_is_a_published_one(row: Row) -> None:
    assert set(STATISTICS_COLUMNS) <= {column.name for column in ALL_COLUMNS}
    assert set(STATISTICS_COLUMNS) == set(row(1))


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=30))
def test_mean_and_median_are_those_of_the_rows(values: list[float]) -> None:
    group = Group(rows=len(values))
    group.values["perplexity_after"].extend(values)
    found = group.distribution("perplexity_after")
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.median == pytest.approx(statistics.median(values))
    assert min(values) <= found.low <= found.median <= found.high <= max(values)


def test_kept_rows_and_all_rows_are_told_apart(row: Row) -> None:
    dropped = row(2, keep=False, drop_reasons=["copying"], perplexity_after=100.0, score_after=1.75)
    found = summarise([row(0), row(1), dropped])
    assert (found.kept.rows, found.everything.rows) == (2, 3)
    assert found.kept.distribution("perplexity_after").mean == 6.5
    assert (found.kept.lower_perplexity, found.everything.lower_perplexity) == (2, 2)
    assert (found.kept.lower_score, found.everything.lower_score) == (2, 2)
    assert (found.kept.edited, found.everything.edited) == (1, 2)


def test_equal_values_are_no_improvement(row: Row) -> None:
    found = summarise([row(1, perplexity_before=7.0, perplexity_after=7.0, perplexity_no_thinking=7.0)])
    assert (found.kept.lower_perplexity, found.kept.below_no_thinking) == (0, 0)


def test_rollouts_of_one_pair_count_once(row: Row) -> None:
    found = summarise([row(1, row_id="dw-aa-0"), row(2, row_id="dw-aa-1"), row(3, row_id="dw-bb-0")])
    assert (found.pairs, found.kept.rows) == (2, 3)


def test_reasons_count_rows_and_a_row_may_have_two(row: Row) -> None:
    rows = [
        row(1, keep=False, drop_reasons=["copying", "repetition"], flags=["copying"]),
        row(2, keep=False, drop_reasons=["repetition"], flags=["repetition", "repetition"]),
        row(3, flags=["language"]),
    ]
    found = summarise(rows)
    assert found.drop_reasons == {"repetition": 2, "copying": 1}
    assert found.flags == {"copying": 1, "language": 1, "repetition": 1}


def test_sources_models_and_first_segment(row: Row) -> None:
    rows = [row(1), row(2, license="mit", keep=False, drop_reasons=["pii"], first_segment_scored=True)]
    found = summarise(rows)
    assert found.sources == {("letters", "cc-by-4.0"): (1, 1), ("letters", "mit"): (1, 0)}
    assert found.models == {("generator", "tiny-writer", "r1"): 2, ("scorer", "tiny-reader", "r2"): 2}
    assert found.first_segment_scored == 1


def test_patterns_and_masked_data_are_counted_among_kept_rows(row: Row) -> None:
    more = [{"pattern": "wait", "count": 4}]
    rows = [row(1), row(2, thinking_patterns=more), row(5), row(10, keep=False, drop_reasons=["pii"])]
    found = summarise(rows)
    assert found.kept.ranked_patterns() == {"wait": (3, 8), "也许": (2, 2)}
    assert (found.kept.with_patterns, found.kept.pii_masked, found.everything.pii_masked) == (3, 1, 2)


def test_order_of_rows_does_not_matter(row: Row) -> None:
    rows = [row(n, language="en" if n % 2 else "zh", category=f"c{n % 5}") for n in range(20)]
    first = summarise(rows)
    random.Random(2).shuffle(rows)
    second = summarise(rows)
    assert list(first.categories.items()) == list(second.categories.items())
    assert first.kept.distribution("perplexity_after") == second.kept.distribution("perplexity_after")
    assert list(first.languages.items()) == [("en", 10), ("zh", 10)] == list(second.languages.items())


def test_group_without_rows_has_no_distribution() -> None:
    with pytest.raises(BuildError, match="no rows to summarise answer_tokens"):
        summarise([]).kept.distribution("answer_tokens")
