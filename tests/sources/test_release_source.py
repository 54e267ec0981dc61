from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document

from deepwriting.schema import ALL_COLUMNS, ROW_COLUMNS, assistant_turn
from deepwriting.sources import DeepWritingRelease
from deepwriting.sources.check import CheckPair
from deepwriting.sources.release import split_solution

QUERY, THINKING, ANSWER = (
    "Write a note about a ladder.",
    "Okay.\n\n\nA ladder  it is.",
    "The ladder is back.\n\nThanks.",
)
LAYOUT: dict[str, Any] = {
    "data_source": "gutenberg",
    "prompt": [{"role": "user", "content": QUERY}],
    "ability": "writing",
    "reward_model": {"style": "rule", "ground_truth": ""},
    "extra_info": {"index": 7, "split": "train"},
    "solution": assistant_turn(THINKING, ANSWER),
}


def read(path: Path, **options: Any) -> list[Document]:
    return list(DeepWritingRelease(str(path), name="old", license="L", **options).run())


def read_rows(tmp_path: Path, *rows: dict[str, Any]) -> list[Document]:
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return read(tmp_path)


def test_the_training_layout_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([LAYOUT, LAYOUT | {"solution": "<think>cut"}]), tmp_path / "train.parquet")
    doc, cut = read(tmp_path)
    assert (doc.metadata["query"], doc.text, doc.metadata["given_thinking"]) == (QUERY, ANSWER, THINKING)
    assert (doc.id, doc.metadata["license"]) == ("old/train.parquet:1", "L")
    assert "given_generator" not in doc.metadata
    assert json.loads(doc.metadata["provenance"]) == {
        "layout": "training", "data_source": "gutenberg", "ability": "writing", "index": "7",
    }  # fmt: skip
    assert cut.metadata["reject"] == "unclosed_think"


@pytest.mark.parametrize("columns", [ROW_COLUMNS, ALL_COLUMNS])
def test_our_own_configs_keep_their_generator_scores_and_origin(tmp_path: Path, columns: Any) -> None:
    kinds: dict[str, Any] = {"string": "x", "bool": True, "int32": 3, "float32": 1.5}
    row = {column.name: kinds.get(column.kind) for column in columns}
    row |= {
        "row_id": "dw-1-0", "query": QUERY, "thinking": f" {THINKING}\n", "answer": ANSWER, "generator": "writer",
        "generator_revision": "r1", "license": "CC0-1.0", "source": "reddit", "provenance": '{"score": 12}',
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "rows.parquet")
    (doc,) = read(tmp_path)
    assert doc.id == "old/dw-1-0"
    assert doc.metadata["given_thinking"] == f" {THINKING}\n"
    assert (doc.metadata["given_generator"], doc.metadata["given_generator_revision"]) == ("writer", "r1")
    assert (doc.metadata["license"], doc.metadata["source"]) == ("CC0-1.0", "old")
    facts = json.loads(doc.metadata["provenance"])
    assert (facts["score"], facts["release_source"], facts["release_score_after"]) == (12, "reddit", 1.5)
    assert (facts["layout"], facts["row_id"]) == ("columns", "dw-1-0")


def test_the_sft_config_is_parted_like_a_solution(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": QUERY}, {"role": "assistant", "content": assistant_turn(THINKING, ANSWER)}]
    (doc,) = read_rows(tmp_path, {"row_id": "dw-1-0", "messages": messages, "category": "Letters"})
    assert (doc.metadata["query"], doc.metadata["given_thinking"], doc.text) == (QUERY, THINKING, ANSWER)


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        (ANSWER, "no_think_tag"),
        (f"{THINKING}</think>{ANSWER}", "unopened_think"),
        (f"<think>{THINKING} {ANSWER}", "unclosed_think"),
        (f"<think>a</think><think>b</think>{ANSWER}", "several_think_tags"),
        (f"<think>a<think>b</think>{ANSWER}", "several_think_tags"),
        (f"</think>a<think>{ANSWER}", "misplaced_think_tags"),
        (f"Sure! <think>{THINKING}</think>{ANSWER}", "text_before_think"),
        (f"<think> \n</think>{ANSWER}", "empty_thinking"),
        (f"<think>{THINKING}</think> \n", "empty_answer"),
        (f"<think>{THINKING}</think><answer> </answer>", "empty_answer"),
        (f"<think>{THINKING}</think><answer>{ANSWER}", "broken_answer_tags"),
        (f"<think>{THINKING}</think><answer>a</answer><answer>b</answer>", "broken_answer_tags"),
        (f"<think>{THINKING}</think>Here: <answer>a</answer>", "broken_answer_tags"),
        ("", "empty_answer"),
        (None, "empty_answer"),
        (["x"], "wrong_type"),
    ],
)
def test_solutions_that_leave_the_parts_open(tmp_path: Path, solution: Any, reason: str) -> None:
    (doc,) = read_rows(tmp_path, LAYOUT | {"solution": solution})
    assert doc.metadata["reject"] == reason


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"solution": "x"}, "missing_columns"),
        ({"prompt": LAYOUT["prompt"]}, "missing_columns"),
        ({"query": QUERY, "answer": ANSWER}, "missing_columns"),
        ({}, "missing_columns"),
        ({"query": QUERY, "answer": ANSWER, "thinking": None}, "empty_thinking"),
        ({"query": " ", "answer": ANSWER, "thinking": "x"}, "empty_query"),
        (LAYOUT | {"prompt": []}, "no_turns"),
        (LAYOUT | {"prompt": [{"role": "system", "content": "x"}, *LAYOUT["prompt"]]}, "unknown_role"),
        (LAYOUT | {"prompt": LAYOUT["prompt"] * 2}, "too_many_turns"),
        (LAYOUT | {"prompt": [{"role": "assistant", "content": "x"}]}, "no_user_turn"),
        ({"messages": LAYOUT["prompt"]}, "no_assistant_turn"),
    ],
)
def test_records_that_are_no_rows(tmp_path: Path, record: dict[str, Any], reason: str) -> None:
    (doc,) = read_rows(tmp_path, record)
    assert doc.metadata["reject"] == reason


def test_an_answer_is_taken_out_of_its_tags_and_counted(tmp_path: Path) -> None:
    assert split_solution("<THINK>z</THINK>\n<answer>\ny\n</answer>\n") == ("z", "y", True)
    assert split_solution("<think>\nz\n</think>\n\ny") == ("z", "y", False)
    (tmp_path / "r.jsonl").write_text(json.dumps(LAYOUT | {"solution": "<think>z</think><answer>y</answer>"}))
    reader = DeepWritingRelease(str(tmp_path), name="old", license="L")
    assert [doc.text for doc in reader.run()] == ["y"]
    assert reader.stats.stats["answers_unwrapped"].total == 1


@pytest.mark.parametrize(
    ("thinking", "reason"),
    [
        ("I write <refine>.", "reserved_tag"),
        ("I write <|im_end|>.", "chat_token"),
        ("I write \x00.", "control_characters"),
        (THINKING, None),
    ],
)
def test_the_thinking_passes_the_guards_of_every_text(tmp_path: Path, thinking: str, reason: str | None) -> None:
    (doc,) = read_rows(tmp_path, {"query": QUERY, "answer": ANSWER * 3, "thinking": thinking})
    (doc,) = CheckPair(min_answer_chars=5, max_answer_chars=500, max_query_chars=500).run([doc])
    assert doc.metadata.get("reject") == reason
    assert doc.metadata["given_thinking"] == thinking
    if reason:
        assert "of the thinking" in doc.metadata["reject_detail"]


def test_a_query_as_plain_text_is_taken(tmp_path: Path) -> None:
    (doc,) = read_rows(tmp_path, LAYOUT | {"prompt": QUERY})
    assert doc.metadata["query"] == QUERY
