from __future__ import annotations

import json
from typing import Any

import pytest

from deepwriting.select.facts import facts, natural, schema, score_of


def test_numbers_sort_by_value() -> None:
    ids = ["a.jsonl:2", "a.jsonl:10", "a.jsonl:0100", "b", "b0", "b00012x", "b12y", "b13"]
    assert sorted(ids, key=natural) == ids != sorted(ids)
    assert natural("7") == natural("007") != natural("70")


@pytest.mark.parametrize(
    ("provenance", "score"),
    [
        ('{"score": 12}', 12.0), ('{"score": -1.5, "tag": "WP"}', -1.5), ('{"score": "12"}', None), ("{}", None),
        ('{"score": true}', None), ('["score"]', None), ('{"score":', None), (None, None), ({"score": 3}, None),
    ],
)  # fmt: skip
def test_scores(provenance: Any, score: float | None) -> None:
    assert score_of(provenance) == score


def test_equal_texts_have_equal_hashes_and_others_have_others(row: Any) -> None:
    names = schema().names
    one = dict(zip(names, facts(row("own", "1", "q", "a"), {"own": 4}, 0, 7), strict=True))
    two = dict(zip(names, facts(row("other", "2", "q", "b", score=3), {"own": 4}, 2, 0), strict=True))
    assert one["query"] == two["query"]
    assert all(one[key] != two[key] for key in ("answer", "pair", "origin", "content"))
    assert (one["rank"], one["file"], one["row"], one["name"], one["score"]) == (4, 0, 7, "own/1", None)
    assert (two["rank"], two["name"], two["score"]) == (1, "other/2", 3.0), "a source that no recipe names comes last"
    assert json.dumps(two, default=str)
