"""The choice on tables of numbers: quotas, weights, limits, quality, reasons."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from deepwriting.recipe import SelectSection
from deepwriting.select.choose import choose
from deepwriting.select.rows import CLASSIFIED_SCHEMA, NO_SHARE, NOT_SELECTED, UNCLEAR
from deepwriting.select.taxonomy import CATEGORIES

SOURCES = ("forum", "books")
ESSAYS, POEMS, LETTERS = (CATEGORIES.index(n) for n in ("Essay Writing", "Poetry & Lyrics", "Letters & Greetings"))


def pairs(*groups: tuple[int, str, int], seed: int = 0) -> pa.Table:
    """So many pairs of a category and source, with other values by chance."""
    rng, rows = np.random.default_rng(seed), []
    for category, source, count in groups:
        for _ in range(count):
            rows.append(
                {
                    "category": category, "by": 0, "probability": round(float(rng.uniform(0.3, 1)), 5),
                    "source": source, "score": float(rng.integers(1, 50)) if source == "forum" else math.nan,
                    "chars": int(rng.integers(50, 30_000)), "chance": int(rng.integers(2**63)),
                }
            )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=CLASSIFIED_SCHEMA)


def chosen(table: pa.Table, tasks: int = 1, **settings: Any) -> tuple[Counter[tuple[str, str]], dict[str, Any], Any]:
    """Pairs chosen by category and source, the report, and the verdicts."""
    verdicts, facts = choose(table, SelectSection.model_validate(settings), SOURCES, tasks)
    found = Counter(
        (CATEGORIES[category], source)
        for category, source, task in zip(*(verdicts["category"], table["source"], verdicts["task"]), strict=True)
        for category, source, task in [(category.as_py(), source.as_py(), task.as_py())]
        if task >= 0
    )
    assert facts["chosen"] == found.total()
    cells = {(c, s): n for c, sources in facts["cells"].items() for s, (_, n) in sources.items() if n}
    assert cells == dict(found)
    return found, facts, verdicts


def by_category(found: Counter[tuple[str, str]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for (category, _), count in found.items():
        total[category] += count
    return dict(total)


TABLE = pairs((ESSAYS, "forum", 40), (POEMS, "forum", 10), (POEMS, "books", 30), (LETTERS, "books", 5))


def test_without_a_number_all_are_kept() -> None:
    found, facts, verdicts = chosen(TABLE)
    assert found.total() == len(TABLE)
    assert facts["pairs"] is None
    assert all(entry["shortfall"] == 0 and "why" not in entry for entry in facts["categories"].values())
    assert set(verdicts["task"].to_pylist()) == {0}


def test_categories_get_equal_numbers_as_far_as_they_go() -> None:
    found, facts, _ = chosen(TABLE, pairs=45)
    assert by_category(found) == {"Essay Writing": 20, "Poetry & Lyrics": 20, "Letters & Greetings": 5}
    letters = facts["categories"]["Essay Writing"]
    assert letters == {"wanted": 2, "available": 40, "chosen": 20, "shortfall": 0}


def test_weights_and_targets() -> None:
    weights = dict.fromkeys(CATEGORIES, 0.0) | {"Essay Writing": 2.0, "Poetry & Lyrics": 1.0}
    found, facts, verdicts = chosen(TABLE, pairs=30, category_weights=weights)
    assert by_category(found) == {"Essay Writing": 20, "Poetry & Lyrics": 10}
    assert facts["categories"]["Essay Writing"]["wanted"] == 20
    assert verdicts["task"].to_pylist().count(NO_SHARE) == 5
    found, facts, _ = chosen(TABLE, pairs=30, category_targets={"Letters & Greetings": 20})
    assert by_category(found) == {"Essay Writing": 13, "Poetry & Lyrics": 12, "Letters & Greetings": 5}
    letters = {"wanted": 20, "available": 5, "chosen": 5, "shortfall": 15, "why": "there are only 5"}
    assert facts["categories"]["Letters & Greetings"] == letters


def test_without_redistribution_nobody_gets_more_than_its_share() -> None:
    weights = dict.fromkeys(CATEGORIES, 0.0) | {"Essay Writing": 1.0, "Letters & Greetings": 1.0}
    found, facts, _ = chosen(TABLE, pairs=30, category_weights=weights, redistribute=False)
    assert by_category(found) == {"Essay Writing": 15, "Letters & Greetings": 5}
    assert facts["categories"]["Letters & Greetings"]["shortfall"] == 10


def test_more_asked_than_there_are() -> None:
    found, facts, _ = chosen(TABLE, pairs=1000)
    assert found.total() == facts["available"] == len(TABLE)
    assert sum(entry["wanted"] for entry in facts["categories"].values()) == 1000
    assert facts["categories"]["Poetry & Lyrics"]["chosen"] == 40


def test_a_sources_limit_holds_and_the_categories_take_from_others() -> None:
    found, facts, _ = chosen(TABLE, pairs=50, source_limits={"forum": 20})
    assert found == {
        ("Essay Writing", "forum"): 20, ("Poetry & Lyrics", "books"): 25, ("Letters & Greetings", "books"): 5,
    }  # fmt: skip
    assert facts["sources"]["forum"] == {"available": 50, "chosen": 20, "limit": 20}
    found, facts, _ = chosen(pairs((ESSAYS, "forum", 40)), pairs=30, source_limits={"forum": 10})
    assert found.total() == 10
    essays = facts["categories"]["Essay Writing"]
    assert (essays["wanted"], essays["shortfall"]) == (2, 0)
    other = {name: 0.0 for name in CATEGORIES if name != "Essay Writing"}
    _, facts, _ = chosen(pairs((ESSAYS, "forum", 40)), pairs=30, source_limits={"forum": 10}, category_weights=other)
    assert facts["categories"]["Essay Writing"]["why"] == "source_limits reached: forum"


def test_weights_of_sources() -> None:
    table = pairs((ESSAYS, "forum", 50), (ESSAYS, "books", 50), (POEMS, "forum", 50), (POEMS, "books", 50))
    found, _, _ = chosen(table, pairs=40, source_weights={"books": 3.0})
    assert sum(count for (_, source), count in found.items() if source == "books") == 30
    assert by_category(found) == {"Essay Writing": 20, "Poetry & Lyrics": 20}
    found, _, _ = chosen(table, pairs=40, source_weights={"forum": 0.0})
    assert {source for _, source in found} == {"books"}


def test_all_in_one_category() -> None:
    found, facts, _ = chosen(pairs((POEMS, "books", 60)), pairs=25)
    assert found == {("Poetry & Lyrics", "books"): 25}
    assert [facts["categories"][name]["shortfall"] for name in CATEGORIES].count(1) == 24


def test_the_best_of_a_category_are_chosen_and_the_others_told_their_rank() -> None:
    table = pairs((POEMS, "forum", 30))
    _, _, verdicts = chosen(table, pairs=12, quality={"score": 1.0})
    rows = list(zip(table["score"].to_pylist(), verdicts["task"].to_pylist(), strict=True))
    taken = [score for score, task in rows if task >= 0]
    assert len(taken) == 12
    assert min(taken) >= max(score for score, task in rows if task == NOT_SELECTED)
    ranks = sorted(verdicts["rank"].to_pylist())
    assert ranks == list(range(1, 31))
    assert set(verdicts["of"].to_pylist()) == {30}
    assert set(verdicts["chosen"].to_pylist()) == {12}


@pytest.mark.parametrize(("name", "column"), [("probability", "probability"), ("chance", "chance")])
def test_other_qualities(name: str, column: str) -> None:
    table = pairs((POEMS, "books", 30))
    _, _, verdicts = chosen(table, pairs=5, quality={name: 1.0})
    best = sorted(table[column].to_pylist())[-5:]
    assert (
        sorted(v for v, t in zip(table[column].to_pylist(), verdicts["task"].to_pylist(), strict=True) if t >= 0)
        == best
    )


def test_unclear_categories() -> None:
    _, facts, verdicts = chosen(TABLE, min_probability=0.6)
    unclear = sum(probability < 0.6 for probability in TABLE["probability"].to_pylist())
    assert verdicts["task"].to_pylist().count(UNCLEAR) == facts["unclear"] == unclear > 0
    assert facts["chosen"] == facts["available"] == len(TABLE) - unclear


def test_the_choice_does_not_depend_on_the_order_of_rows_or_the_number_of_tasks() -> None:
    settings = {"pairs": 33, "source_limits": {"forum": 17}, "source_weights": {"books": 2.0}}
    kept = set()
    for seed, tasks in ((None, 1), (1, 2), (2, 5)):
        order = np.arange(len(TABLE)) if seed is None else np.random.default_rng(seed).permutation(len(TABLE))
        table = TABLE.take(order)
        _, _, verdicts = chosen(table, tasks, **settings)
        task = np.array(verdicts["task"])
        kept.add(frozenset(np.array(table["chance"])[task >= 0].tolist()))
        sizes = np.bincount(task[task >= 0], minlength=tasks)
        assert sizes.max() - sizes.min() <= 1
    assert len(kept) == 1
