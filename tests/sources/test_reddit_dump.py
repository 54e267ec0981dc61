from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
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


@pytest.mark.parametrize(
    "line",
    [
        b'{"link_id":"t3_ab1","body":"x"}',
        b'{"body": "he wrote \\"link_id\\": \\"t3_zz\\"", "link_id" : "t3_ab1"}',
        b'{"more": {"link_id": "t3_zz"}, "link_id": "t3_ab1"}',
        b'{"link_id": "t3_zz", "link_id": "t3_ab1"}',
        b'{"link\\u005fid": "t3_ab1"}',
        b'{"link_id": "\\u0074\\u0033_ab1"}',
        b'{"link_id": " t3_ab1 "}',
    ],
)
def test_a_line_falls_to_the_task_of_its_submission(line: bytes) -> None:
    found = [share.rank for share in shares("link_id") if share.holds_line("f:1", line)]
    assert found == [share.rank for share in shares("link_id") if share.holds("ab1")]


@pytest.mark.parametrize(
    "line",
    [b"", b"\xff\xfe", b'{"link_id": "t3_ab1", "body": "cut', b"[1]", b'{"link_id": 3.5}', b'{"id": {"link_id": "x"}}'],
)
def test_a_bad_line_falls_to_exactly_one_task(line: bytes) -> None:
    assert sum(share.holds_line("f:1", line) for share in shares("link_id")) == 1


VALUES = st.recursive(
    st.none() | st.integers(0, 99) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.just("t3_a1"),
    lambda inner: st.dictionaries(st.sampled_from(["id", "link_id", 'x"id', "body"]), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(["id", "link_id", "body", "title", "more"]), VALUES),
    st.sampled_from(["id", "link_id"]),
)
def test_the_raw_line_and_the_record_fall_to_the_same_task_or_the_record_names_none(
    record: dict[str, Any], column: str
) -> None:
    for line in (orjson.dumps(record), json.dumps(record, indent=1).encode()):
        holders = [share for share in shares(column) if share.holds_line("f:1", line)]
        assert len(holders) == 1
        if submission_of(record, column) is not None:
            assert holders[0].holds_record("f:1", record)
