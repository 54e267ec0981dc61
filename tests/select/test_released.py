from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepwriting.errors import SourceError
from deepwriting.select.released import ReleasedPairs

Verdicts = dict[str, tuple[str | None, str | None]]
QUERY = "Write a note to the neighbour about the ladder."


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def read(path: Path | str) -> list[tuple[str, str, str, str | None]]:
    docs = list(ReleasedPairs(str(path), 0).run())
    return [
        (doc.metadata["source_id"], doc.metadata.get("query", ""), doc.text, doc.metadata.get("reject")) for doc in docs
    ]


def test_a_dataset_folder_of_ours_is_its_default_config(tmp_path: Path) -> None:
    table(
        tmp_path / "data/default/train-00000-of-00001.parquet",
        [{"row_id": "dw-1-0", "query": "q", "answer": " a\r\nb "}],
    )
    table(tmp_path / "data/all/train-00000-of-00001.parquet", [{"row_id": "dw-2-0", "query": "q", "answer": "dropped"}])
    table(tmp_path / "data/steps/train-00000-of-00001.parquet", [{"row_id": "dw-1-0", "step": 1}])
    assert read(tmp_path) == [("dw-1-0", "q", "a\nb", None)]


def test_the_original_training_layout(tmp_path: Path) -> None:
    prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Write it."}]
    solution = "<think>\nOkay.\n\nI plan.\n</think>\n\nThe text.\n\nIts end."
    path = table(tmp_path / "train.parquet", [{"prompt": prompt, "solution": solution, "data_source": "x"}])
    assert read(path) == [("train.parquet:1", "Write it.", "The text.\n\nIts end.", None)]


def test_rows_that_are_no_pairs_are_told_apart(tmp_path: Path) -> None:
    lines: list[Any] = [
        {"id": "good", "query": "q", "answer": "a"}, {"query": "q", "answer": None}, {"query": 3, "answer": "a"},
        {"prompt": [{"role": "assistant", "content": "a"}], "solution": "a"}, {"text": "t"}, [],
        {"prompt": "q", "solution": "<think>only</think>"},
    ]  # fmt: skip
    path = tmp_path / "old.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    reasons = [reason for *_, reason in read(path)]
    assert reasons == [
        None, "empty_answer", "wrong_type", "wrong_type", "missing_columns", "not_an_object", "empty_answer",
    ]  # fmt: skip


def test_what_is_no_release_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "x.parquet", [{"text": "t"}, {"text": "u"}])
    with pytest.raises(SourceError, match=r"no row of 'x.parquet' in .* is a pair: neither query .*found text"):
        read(path)
    with pytest.raises(SourceError, match="does not exist"):
        read(tmp_path / "nowhere")


def test_a_release_that_is_not_there_stops_the_stage(tmp_path: Path, deduped: Any, row: Any) -> None:
    with pytest.raises(SourceError, match=r"dedupe.earlier_release: source path '.*v0' does not exist"):
        deduped(tmp_path, [[row("own", "1", "q", "a")]], earlier_release=[str(tmp_path / "v0")])


@pytest.mark.parametrize("tasks", [1, 3])
def test_pairs_of_earlier_releases_are_left_out_and_named(
    tmp_path: Path, deduped: Callable[..., Verdicts], row: Any, prose: Any, tasks: int
) -> None:
    first = [{"row_id": f"dw-{number}-0", "query": f"Ask {number}", "answer": prose(number, 90)} for number in range(3)]
    table(tmp_path / "v1/data/default/train-00000-of-00001.parquet", [*first, first[0]])
    second = tmp_path / "v2.jsonl"
    second.write_text(json.dumps({"id": "b", "query": QUERY, "answer": prose("ladder", 90)}) + "\n")
    rows = [
        row("own", "equal", "Ask 0", prose(0, 90)),
        row("own", "equal", "Ask 0", prose(0, 90)),
        row("own", "near", "Ask differently", prose(1, 90) + " More."),
        row("own", "same", "Ask something else", prose(2, 90)),
        row("own", "further", QUERY, prose("further", 90), score=1000),
        row("own", "new", "Ask for the new", prose("new", 90)),
        row("own", "new2", "Ask for the new", prose("new", 90)),
    ]
    found = deduped(
        tmp_path / "run", [rows[:2], rows[2:]], tasks=tasks, max_answers_per_query=1,
        earlier_release=[str(tmp_path / "v1"), str(second)],
    )  # fmt: skip
    verdicts = {name.split("/")[1]: verdict for name, verdict in found.items()}
    v1 = tmp_path / "v1"
    assert verdicts == {
        "equal": ("in_earlier_release", f"duplicate of dw-0-0 in {v1}"),
        "near": ("in_earlier_release", f"near-duplicate (0.99) of dw-1-0 in {v1}"),
        "same": ("in_earlier_release", f"same answer as dw-2-0 in {v1}"),
        "further": ("enough_answers", f"1 better answer to the query of b in {second}"),
        "new": (None, None),
        "new2": ("duplicate_pair", "duplicate of own/new"),
    }
    assert sum(verdict[0] == "in_earlier_release" for verdict in found.values()) == 4
