from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.sources import Pairs


def read(tmp_path: Path, record: dict[str, Any], **options: Any) -> Document:
    (tmp_path / "p.jsonl").write_text(json.dumps(record))
    (doc,) = Pairs(str(tmp_path), name="own", license="CC0-1.0", **options).run()
    return doc


def test_columns_can_be_named(tmp_path: Path) -> None:
    record = {"frage": "Write a toast.", "antwort": "To the baker!\n", "nr": 7, "lizenz": " MIT "}
    doc = read(tmp_path, record, query_column="frage", answer_column="antwort", id_column="nr", license_column="lizenz")
    assert (doc.metadata["query"], doc.text, doc.id) == ("Write a toast.", "To the baker!\n", "own/7")
    assert doc.metadata["license"] == "MIT"


@pytest.mark.parametrize("own", [None, "", "  "])
def test_the_source_licence_holds_where_a_row_names_none(tmp_path: Path, own: str | None) -> None:
    doc = read(tmp_path, {"query": "q", "answer": "a", "l": own}, license_column="l")
    assert doc.metadata["license"] == "CC0-1.0"


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        ({"answer": "a"}, "missing_columns", "missing query; found answer"),
        ({}, "missing_columns", "missing query, answer; found none"),
        ({"query": ["q"], "answer": "a"}, "wrong_type", "query is list, not text"),
        ({"query": "q", "answer": 3}, "wrong_type", "answer is int, not text"),
        ({"query": " \n", "answer": "a"}, "empty_query", "query holds no text"),
        ({"query": "q", "answer": None}, "empty_answer", "answer is null"),
    ],
)
def test_bad_records_say_why(tmp_path: Path, record: dict[str, Any], reason: str, detail: str) -> None:
    doc = read(tmp_path, record)
    assert (doc.metadata["reject"], doc.metadata["reject_detail"]) == (reason, detail)
    assert json.loads(doc.text) == record


def test_a_licence_column_that_is_missing_or_of_the_wrong_type_is_a_reject(tmp_path: Path) -> None:
    assert read(tmp_path, {"query": "q", "answer": "a"}, license_column="l").metadata["reject"] == "missing_columns"
    doc = read(tmp_path, {"query": "q", "answer": "a", "l": 1}, license_column="l")
    assert doc.metadata["reject"] == "wrong_type"


@pytest.mark.parametrize("own", [None, "", True, 1.5, ["x"], "x" * 201, "a\nb"])
def test_a_row_without_a_usable_id_is_named_by_its_place(tmp_path: Path, own: Any) -> None:
    assert read(tmp_path, {"query": "q", "answer": "a", "id": own}).id == "own/p.jsonl:1"
