from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwriting.schema import pair_id

Verdicts = dict[str, tuple[str | None, str | None]]

EXACT = {"near_duplicate_answers": False, "max_answers_per_query": None}


@pytest.fixture
def marks(tmp_path: Path, deduped: Callable[..., Verdicts], row: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """Reasons and details of pairs with the query "q", each given as text, id and source."""

    def run(*pairs: tuple[str, ...], **changes: Any) -> list[tuple[str | None, str | None]]:
        rows = []
        for place, (text, source_id, *source) in enumerate(pairs):
            rows.append(row(source[0] if source else "own", source_id, "q", text, place=place))
        found = deduped(tmp_path / f"run{len(list(tmp_path.iterdir()))}", [rows], **EXACT | changes)
        names = [f"{item['metadata']['source']}/{item['metadata']['source_id']}/{item['id'][-4:]}" for item in rows]
        # Equal names are equal rows but for their provenance: in the order of the verdicts, kept first.
        return [found.pop(next(key for key in found if key.rstrip("+") == name)) for name in names]

    return run


def test_the_first_of_equal_pairs_stays_and_the_others_name_it(marks: Any) -> None:
    found = marks(("a", "1"), ("b", "2"), ("a", "3"), ("a", "1", "other"))
    assert [reason for reason, _ in found] == [None, None, "duplicate_pair", "duplicate_pair"]
    assert found[2][1] == found[3][1] == "duplicate of own/1"


def test_first_is_who_comes_first_in_the_recipe_and_has_the_lower_id_wherever_it_was_read(marks: Any) -> None:
    found = marks(("a", "x", "third"), ("a", "10"), ("a", "9"), ("a", "1", "other"))
    assert found == [("duplicate_pair", "duplicate of own/9")] * 2 + [(None, None), found[0]]


def test_a_second_text_under_one_id_of_the_same_source(marks: Any) -> None:
    found = marks(("a", "1"), ("b", "1"), ("c", "1", "other"))
    kept = [text for text, (reason, _) in zip("ab", found, strict=False) if reason is None]
    assert len(kept) == 1
    assert found[2] == (None, None)
    assert found["ba".index(kept[0])] == (
        "duplicate_source_id",
        f"own/1 stands for pair {pair_id('q', kept[0])} already",
    )


def test_the_same_record_twice_is_a_duplicate_pair(marks: Any) -> None:
    assert marks(("a", "1"), ("a", "1")) == [(None, None), ("duplicate_pair", "duplicate of own/1")]


def test_a_pair_dropped_for_its_source_id_does_not_stand_in_the_way_of_its_text(marks: Any) -> None:
    found = marks(("a", "1"), ("b", "1"), ("a", "2"), ("b", "2", "other"))
    dropped = [place for place in (0, 1) if found[place][0] == "duplicate_source_id"]
    assert len(dropped) == 1
    assert found[2 + dropped[0]] == (None, None)
    assert found[3 - dropped[0]] == ("duplicate_pair", "duplicate of own/1")


def test_equal_answers_to_different_queries(tmp_path: Path, deduped: Any, row: Any) -> None:
    rows = [row("other", "2", "one", "text"), row("own", "3", "two", "text"), row("own", "4", "one", "else")]
    found = deduped(tmp_path / "off", [rows], **EXACT)
    assert set(found.values()) == {(None, None)}
    found = deduped(tmp_path / "on", [rows])
    assert [value for value in found.values() if value[0]] == [("duplicate_answer", "same answer as own/3")]


@settings(max_examples=8)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123")), min_size=1, max_size=12), st.integers(1, 3))
def test_what_stays_has_no_text_and_no_id_twice_and_covers_every_text(
    deduped: Any, row: Any, items: list[tuple[str, str]], tasks: int
) -> None:
    rows = [row("own", source_id, "q", text) for text, source_id in items]
    folder = Path(tempfile.mkdtemp())
    try:
        found = deduped(folder, [rows[rank::tasks] for rank in range(tasks)], tasks=tasks, **EXACT)
    finally:
        shutil.rmtree(folder)
    kept = [name.rstrip("+").split("/") for name, (reason, _) in found.items() if reason is None]
    assert len({text for *_, text in kept}) == len({source_id for _, source_id, _ in kept}) == len(kept)
    for name, (reason, _) in found.items():
        if reason == "duplicate_pair":
            assert name.rstrip("+").split("/")[2] in {text for *_, text in kept}


def test_many_identical_rows_are_one_group(tmp_path: Path, deduped: Any, row: Any) -> None:
    same = [row("own", f"{number}", "q", "the same text again") for number in range(3000)]
    found = deduped(tmp_path, [same[:1000], None, same[1000:], []], tasks=3)
    assert sum(reason == "duplicate_pair" for reason, _ in found.values()) == 2999
    assert {detail for _, detail in found.values() if detail} == {"duplicate of own/0"}
