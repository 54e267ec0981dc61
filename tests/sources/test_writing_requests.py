from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepwriting.sources.writing_requests import writing_request

ROWS = [json.loads(line) for line in (Path(__file__).parent / "first_turns.jsonl").read_text("utf-8").splitlines()]


def test_the_sample_is_what_it_says() -> None:
    assert len(ROWS) == 265
    assert sum(row["writing"] for row in ROWS) == 130
    assert len({row["text"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("part", "precision", "recall", "lost"),
    [
        ("first", 1.0, 1.0, 0),  # the rules were made with these
        ("hard", 0.96, 0.9, 2),  # and mended once with these
        ("held-out", 1.0, 0.83, 1),  # never with these
    ],
)
def test_precision_and_recall(part: str, precision: float, recall: float, lost: int) -> None:
    rows = [(row["writing"], writing_request(row["text"])) for row in ROWS if row["part"] == part]
    right = sum(wanted and verdict == "yes" for wanted, verdict in rows)
    assert right / sum(verdict == "yes" for _, verdict in rows) >= precision
    assert right / sum(wanted for wanted, _ in rows) >= recall
    assert sum(wanted and verdict == "no" for wanted, verdict in rows) <= lost


def test_what_is_asked_behind_a_long_text_counts() -> None:
    pasted = "The committee met on Monday and spoke about the roof. " * 40
    assert writing_request(f"{pasted}\n\nRewrite this as a short story for children.") == "yes"
    assert writing_request(f"Draft a letter about it:\n{pasted}") == "yes"
    assert writing_request(pasted) == "unsure"
    assert writing_request("") == "no"
