from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document

from deepwriting.sources import WildChat

#: Values that must not be found anywhere in what the reader gives out.
PRIVATE = {"hashed_ip": "SECRET-IP", "header": {"user-agent": "SECRET-AGENT"}, "state": "SECRET-STATE",
           "country": "SECRET-LAND"}  # fmt: skip


def turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {
        "role": role,
        "content": content,
        "language": "English",
        "toxic": False,
        "redacted": False,
        **PRIVATE,
        **more,
    }


def row(**more: Any) -> dict[str, Any]:
    conversation = [turn("user", "Write a toast."), turn("assistant", "To Ada!"), turn("user", "Shorter."),
                    turn("assistant", "Ada!")]  # fmt: skip
    return {
        "conversation_hash": "c0ffee", "model": "gpt-4", "timestamp": "2023-04-09 00:02:53+00:00", "turn": 2,
        "conversation": conversation, "language": "English", "toxic": False, "redacted": False,
        "openai_moderation": [], "detoxify_moderation": [], **PRIVATE, **more,
    }  # fmt: skip


def read(tmp_path: Path, *rows: Any, **options: Any) -> list[Document]:
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in rows]
    (tmp_path / "w.jsonl").write_bytes(b"\n".join(lines))
    return list(WildChat(str(tmp_path), name="wild", license="ODC-BY", **options).run())


def test_the_first_exchange_is_the_pair(tmp_path: Path) -> None:
    (doc,) = read(tmp_path, row())
    assert (doc.metadata["query"], doc.text, doc.id) == ("Write a toast.", "To Ada!", "wild/c0ffee")
    assert json.loads(doc.metadata["provenance"]) == {
        "conversation_hash": "c0ffee", "language": "English", "model": "gpt-4", "turns": 2,
    }  # fmt: skip


DIRTY: list[Any] = [
    row(),
    row(toxic=True),
    row(language="German"),
    row(conversation=json.dumps([turn("user", "q")])),
    row(conversation=[turn("user", {"hashed_ip": "SECRET-IP"}), turn("assistant", "a")]),
    row(conversation=["SECRET-IP", 3]),
    row(conversation={"hashed_ip": "SECRET-IP"}),
    row(conversation=[{"hashed_ip": "SECRET-IP"}]),
    row(model={"header": "SECRET-AGENT"}, language=None, conversation=[]),
    {**PRIVATE},
    json.dumps(row()).encode()[:-1],
    json.dumps([row()]).encode(),
    json.dumps(row()).encode().replace(b"toast", b"\xff"),
]


def test_nothing_personal_leaves_the_reader_in_pairs_or_rejects(tmp_path: Path) -> None:
    docs = read(tmp_path, *DIRTY)
    assert len(docs) == len(DIRTY)
    assert sum("reject" in doc.metadata for doc in docs) == len(DIRTY) - 1
    for doc in docs:
        whole = json.dumps([doc.id, doc.text, doc.metadata])
        assert "SECRET" not in whole
        for column in (*PRIVATE, "timestamp", "2023-04-09"):
            assert column not in whole


def test_a_reject_still_shows_the_conversation(tmp_path: Path) -> None:
    (doc,) = read(tmp_path, row(language="German"))
    assert json.loads(doc.text)["conversation"][0]["content"] == "Write a toast."


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"language": "German"}, "unsupported_language"),
        ({"toxic": True}, "toxic"),
        ({"redacted": True}, "redacted"),
        ({"conversation": [turn("user", "q", toxic=True), turn("assistant", "a")]}, "toxic"),
        ({"conversation": [turn("user", "q"), turn("assistant", "a", redacted=True)]}, "redacted"),
        ({"toxic": "no"}, "wrong_type"),
        ({"conversation": [turn("user", " "), turn("assistant", "a")]}, "empty_query"),
        ({"conversation": [turn("user", "q"), turn("assistant", None)]}, "empty_answer"),
        ({"conversation": [turn("user", "q")]}, "no_assistant_turn"),
        ({"conversation": [turn("assistant", "a")]}, "no_user_turn"),
        ({"conversation": [turn("assistant", "a"), turn("user", "q")]}, "wrong_turn_order"),
        ({"conversation": []}, "no_turns"),
        ({"conversation": [{"role": "user"}]}, "missing_columns"),
        ({"conversation": [{"role": 1, "content": "q"}]}, "wrong_type"),
    ],
)
def test_reasons(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    (doc,) = read(tmp_path, row(**changes))
    assert doc.metadata["reject"] == reason


def test_toxic_and_redacted_rows_can_be_allowed(tmp_path: Path) -> None:
    rows = [row(toxic=True), row(redacted=True)]
    assert [doc.metadata.get("reject") for doc in read(tmp_path, *rows, allow_toxic=True)] == [None, "redacted"]
    assert [doc.metadata.get("reject") for doc in read(tmp_path, *rows, allow_redacted=True)] == ["toxic", None]


def test_a_mark_that_is_nowhere_is_not_taken_for_a_no(tmp_path: Path) -> None:
    plain = {
        "conversation": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
        "language": "Chinese",
    }
    (doc,) = read(tmp_path, plain)
    assert doc.metadata["reject"] == "missing_columns"
    assert "toxic" in doc.metadata["reject_detail"]
    (doc,) = read(tmp_path, plain, allow_toxic=True, allow_redacted=True, writing_requests="all")
    assert doc.text == "a"


def test_chats_that_ask_for_no_writing_are_rejected_and_unsure_ones_marked(tmp_path: Path) -> None:
    queries = ("Write a toast.", "What is the capital of Mongolia?", "The quick brown fox jumps")
    rows = [row(conversation=[turn("user", query), turn("assistant", "a")]) for query in queries]
    docs = read(tmp_path, *rows)
    assert [doc.metadata.get("reject") for doc in docs] == [None, "not_a_writing_request", None]
    assert [doc.metadata.get("unsure_writing_request") for doc in docs] == [None, None, True]
    everything = read(tmp_path, *rows, writing_requests="all")
    assert not any(doc.metadata.keys() & {"reject", "unsure_writing_request"} for doc in everything)


def test_parquet_with_real_timestamps(tmp_path: Path) -> None:
    when = datetime.datetime(2023, 4, 9, tzinfo=datetime.UTC)
    pq.write_table(pa.Table.from_pylist([row(timestamp=when), row(timestamp=when, toxic=True)]), tmp_path / "w.parquet")
    docs = list(WildChat(str(tmp_path), name="wild", license="ODC-BY").run())
    assert [doc.metadata.get("reject") for doc in docs] == [None, "toxic"]
    assert "SECRET" not in docs[1].text
