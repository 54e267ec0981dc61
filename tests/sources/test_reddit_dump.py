from __future__ import annotations

from typing import Any

import pytest
from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.sources.reddit_dump import Share, dump_files, submission_of


def test_files_are_told_apart_by_name() -> None:
    names = [
        "RC_2020.zst",
        "RS_2020.zst",
        "a/RS_2005-12",
        "wp_submissions.zst",
        "WP_Comments.jsonl.gz",
        "RC_notes.md",
        "x.zst",
    ]
    assert dump_files(names) == (
        ["RS_2020.zst", "a/RS_2005-12", "wp_submissions.zst"],
        ["RC_2020.zst", "WP_Comments.jsonl.gz"],
    )


@pytest.mark.parametrize(
    ("value", "submission"), [("t3_ab1", "ab1"), ("ab1", "ab1"), (12, "12"), (None, None), (["x"], None), ("", None)]
)
def test_a_submission_has_one_name(value: Any, submission: str | None) -> None:
    assert submission_of({"link_id": value}, "link_id") == submission


def shares(column: str, world_size: int = 5) -> list[Share]:
    return [Share(column, rank, world_size) for rank in range(world_size)]


@pytest.mark.parametrize("name", ["t3_ab1", "ab1", " t3_ab1 "])
def test_a_record_falls_to_the_task_of_its_submission(name: str) -> None:
    found = [share.rank for share in shares("link_id") if share.holds_record("f:1", {"link_id": name})]
    assert found == [share.rank for share in shares("link_id") if share.holds("ab1")]


VALUES = st.recursive(
    st.none() | st.integers(0, 99) | st.text(max_size=12) | st.just("t3_a1"),
    lambda inner: st.dictionaries(st.sampled_from(["id", "link_id", "body"]), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["id", "link_id", "body", "more"]), VALUES), st.sampled_from(["id", "link_id"]))
def test_any_record_and_any_reject_fall_to_exactly_one_task(record: dict[str, Any], column: str) -> None:
    bad = Document(text="{", id="wp/f:1")
    assert all(sum(share.holds_record("f:1", one) for share in shares(column)) == 1 for one in (record, bad))
