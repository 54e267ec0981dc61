from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deepwriting.builders.tables import rows
from deepwriting.errors import SchemaError

Maker = Callable[..., dict[str, Any]]


def candidate(step: int, index: int, text: str, score: float | None, **changes: Any) -> dict[str, Any]:
    entry = {
        "step": step, "segment_index": step - 1, "segment": "s", "candidate_index": index, "candidate": text,
        "generator": "w", "refusal": None if score is not None else "copying", "score_current": 2.0, "score": score,
        "perplexity": None, "accepted": False,
    }  # fmt: skip
    return entry | changes


def searched(document: Maker, trace: list[dict[str, Any]]) -> dict[str, Any]:
    """A document whose initial thinking has two segments with more than a blank line between them."""
    segments = [{"initial": text, "final": text, "edited": False} for text in ("One.", "Two.")]
    return document(1, initial_thinking="One.\n \nTwo.", segments=segments, trace=trace)


def thinkings(row: dict[str, Any]) -> list[str]:
    """Thinking of the chosen and of the rejected turn."""
    turns = [row[side][0]["content"] for side in ("chosen", "rejected")]
    return [turn.removeprefix("<think>\n").partition("\n</think>\n\n")[0] for turn in turns]


def test_the_step_that_gained_most_is_taken_as_it_was_searched(document: Maker) -> None:
    trace = [
        candidate(1, 0, "Uno.", 1.5, accepted=True),
        candidate(2, 0, "Dos.", 1.0, accepted=True, score_current=1.75),
        candidate(2, 1, "Deux.", 1.25, score_current=1.75),
    ]
    doc = searched(document, trace)
    (row,) = rows("preferences", doc)
    assert row["step"] == 2
    assert thinkings(row) == ["Uno.\n \nDos.", "Uno.\n \nTwo."]
    assert (row["score_chosen"], row["score_rejected"]) == (1.0, 1.75)
    assert row["prompt"] == [{"role": "user", "content": doc["metadata"]["query"]}]
    assert all(row[side][0]["content"].endswith(f"</think>\n\n{doc['text']}") for side in ("chosen", "rejected"))


def test_the_worst_scored_text_is_rejected_and_refused_ones_are_not(document: Maker) -> None:
    trace = [
        candidate(1, 0, "Bad.", 3.0),
        candidate(1, 1, "Copied.", None),
        candidate(1, 2, "Uno.", 1.5, accepted=True),
    ]
    (row,) = rows("preferences", searched(document, trace))
    assert thinkings(row) == ["Uno.\n \nTwo.", "Bad.\n \nTwo."]
    assert (row["score_chosen"], row["score_rejected"]) == (1.5, 3.0)


def test_a_search_without_edits_and_a_dropped_row_give_no_pair(document: Maker) -> None:
    assert list(rows("preferences", searched(document, [candidate(1, 0, "Worse.", 3.0)]))) == []
    assert list(rows("preferences", document(1, keep=False))) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial_thinking": "Nothing alike."}, "segment 0 does not stand where the initial thinking should have it"),
        ({"initial_thinking": "One.\n\nTwo. And more."}, "the segments end at character 10 of 20"),
        ({"trace": [candidate(5, 0, "Uno.", 1.5, accepted=True)]}, "step 5 edits segment 4 of 2"),
    ],
)
def test_steps_that_do_not_fit_the_thinking_are_refused(document: Maker, changes: dict[str, Any], message: str) -> None:
    doc = searched(document, [])
    doc["metadata"] |= changes
    with pytest.raises(SchemaError, match=message):
        list(rows("preferences", doc))
