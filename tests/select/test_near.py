from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.select import near
from deepwriting.select.near import Survivors, near_duplicates
from deepwriting.select.shingles import Hashes, jaccard

Sets = list[set[int]]


def hashes(items: set[int]) -> Hashes:
    return np.array(sorted(items), np.uint64)


def one_cluster(sets: Sets) -> Iterator[tuple[int, int, Hashes]]:
    return ((0, number, hashes(items)) for number, items in enumerate(sets))


def by_hand(sets: Sets, similarity: float) -> dict[int, tuple[int, float]]:
    """The same rule, text by text."""
    survivors: list[int] = []
    found = {}
    for number, items in enumerate(sets):
        for other in survivors:
            if (like := jaccard(hashes(items), hashes(sets[other]))) >= similarity:
                found[number] = other, like
                break
        else:
            survivors.append(number)
    return found


@given(
    st.lists(st.sets(st.integers(0, 12), min_size=1, max_size=9), max_size=25), st.sampled_from([0.3, 0.5, 0.8, 1.0])
)
def test_each_row_is_compared_with_every_survivor_before_it(sets: Sets, similarity: float) -> None:
    found = {number: (same, like) for number, same, like in near_duplicates(one_cluster(sets), similarity)}
    assert found == by_hand(sets, similarity)


def test_a_chain_of_unlike_texts_is_not_one_text() -> None:
    # Each has 8 of 10 in common with the next (0.67), and nothing with the sixth.
    sets = [set(range(2 * start, 2 * start + 10)) for start in range(6)]
    assert list(near_duplicates(one_cluster(sets), 0.8)) == []
    found = list(near_duplicates(one_cluster(sets), 0.6))
    assert [(number, same) for number, same, _ in found] == [(1, 0), (3, 2), (5, 4)]


def test_clusters_do_not_mix() -> None:
    rows = [(0, 3, hashes({1, 2})), (7, 1, hashes({1, 2})), (7, 5, hashes({1, 2}))]
    assert list(near_duplicates(iter(rows), 0.5)) == [(5, 1, 1.0)]


@pytest.mark.parametrize("latest", [1, 7, 1000])
@pytest.mark.parametrize("each", [0, near._OWNERS_PER_TEXT, 10**9])
@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.8, 1.0])
def test_the_first_similar_survivor_is_found_however_it_is_looked_for(
    latest: int, each: int, similarity: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts that share a template, compared one by one."""
    monkeypatch.setattr(near, "LATEST_SURVIVORS", latest)
    monkeypatch.setattr(near, "_OWNERS_PER_TEXT", each)
    rng = random.Random(3)
    survivors, texts, found = Survivors(), list[set[int]](), 0
    for place in range(150):
        text = set(rng.sample(range(12), rng.randint(1, 10))) | set(rng.sample(range(100, 400), rng.randint(0, 3)))
        if place % 5 == 4:
            text = rng.choice(texts) | set(rng.sample(range(400, 500), rng.randint(0, 2)))
        similarities = [len(text & other) / len(text | other) for other in texts]
        first = next((place for place, value in enumerate(similarities) if value >= similarity), None)
        expected = None if first is None else (10 * first, pytest.approx(similarities[first]))
        assert survivors.first_similar(hashes(text), similarity) == expected
        if first is None:
            survivors.add(10 * len(texts), hashes(text))
            texts.append(text)
        found += first is not None
    assert found > 5
    assert len(texts) > 5


def test_survivors_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "MAX_SURVIVORS", 3)
    survivors = Survivors()
    for number in range(4):
        survivors.add(number, hashes({number}))
    assert survivors.numbers == [3]
    assert survivors.first_similar(hashes({3}), 1.0) == (3, 1.0)


def test_planted_near_duplicates_are_found_and_nothing_else(
    tmp_path: Path,
    deduped: Callable[..., dict[str, tuple[str | None, str | None]]],
    row: Callable[..., dict[str, object]],
) -> None:
    """120 stories, 60 copies with 1 to 3 words changed (similar from 0.81 on), 30 half rewritten."""
    rng = random.Random(5)
    vocabulary = ["".join(rng.choices("abcdefghiklmnoprstuw", k=rng.randint(2, 7))) for _ in range(600)]
    rows = []
    for number in range(120):
        story = rng.choices(vocabulary, k=150)
        rows.append(row("own", f"s{number:03d}", f"Ask {vocabulary[number]}", " ".join(story)))
        if number < 60:
            copy = list(story)
            for place in rng.sample(range(150), rng.randint(1, 3)):
                copy[place] = "otherwise"
            rows.append(row("own", f"s{number:03d}copy", f"Want {vocabulary[number]}", " ".join(copy)))
        elif number < 90:
            rows.append(
                row("own", f"s{number:03d}half", f"Half {number}", " ".join(story[:75] + rng.choices(vocabulary, k=75)))
            )
    rng.shuffle(rows)
    verdicts = deduped(tmp_path, [rows[::2], rows[1::2]], tasks=2)
    removed = {name.split("/")[1]: (reason, detail) for name, (reason, detail) in verdicts.items() if reason}
    planted = {f"s{number:03d}copy" for number in range(60)}
    recall, precision = len(planted & removed.keys()) / 60, len(planted & removed.keys()) / len(removed)
    assert recall >= 0.98
    assert precision == 1
    assert all(reason == "near_duplicate_answer" for reason, _ in removed.values())
    assert all(str(detail).endswith(f" of own/{name[:4]}") for name, (_, detail) in removed.items())
