from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.sources import LongWriter
from deepwriting.sources.check import CheckPair

USER = {"role": "user", "content": "Write 3,000 words about ferries."}
ASSISTANT = {"role": "assistant", "content": "The first ferry leaves at six."}


def read(tmp_path: Path, messages: Any, **options: Any) -> Document:
    (tmp_path / "l.jsonl").write_text(json.dumps({"messages": messages}))
    (doc,) = LongWriter(str(tmp_path), name="long", license="Apache-2.0", **options).run()
    return doc


def test_one_exchange_is_a_pair(tmp_path: Path) -> None:
    doc = read(tmp_path, [USER, ASSISTANT])
    assert (doc.metadata["query"], doc.text, doc.id) == (USER["content"], ASSISTANT["content"], "long/l.jsonl:1")
    assert json.loads(doc.metadata["provenance"]) == {"turns": 2, "requested_words": 3000}


def test_the_length_instruction_stays_in_the_query(tmp_path: Path) -> None:
    query = "  Write about ferries.\n\nPlease write at least 2,000 words; the article must not be shorter.  "
    doc = read(tmp_path, [{"role": "user", "content": query}, ASSISTANT | {"content": "The first ferry. " * 9}])
    assert doc.metadata["query"] == query
    (checked,) = CheckPair(min_answer_chars=5, max_answer_chars=500, max_query_chars=500).run([doc])
    assert checked.metadata["query"] == query.strip()
    doc = read(tmp_path, [USER | {"content": "Write about ferries."}, ASSISTANT])
    assert json.loads(doc.metadata["provenance"]) == {"turns": 2}


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([ASSISTANT, USER], "wrong_turn_order"),
        ([ASSISTANT, USER, ASSISTANT], "wrong_turn_order"),
        ([USER, USER, ASSISTANT], "wrong_turn_order"),
        ([USER, ASSISTANT, USER, ASSISTANT], "too_many_turns"),
        ([{"role": "system", "content": "Be brief."}, USER, ASSISTANT], "unknown_role"),
        ([USER], "no_assistant_turn"),
        ([ASSISTANT], "no_user_turn"),
        ([], "no_turns"),
        (None, "no_turns"),
        ("text", "wrong_type"),
        ([USER, "text"], "wrong_type"),
        ([USER, {"role": "assistant"}], "missing_columns"),
        ([USER, {"role": "assistant", "content": ""}], "empty_answer"),
        ([{"role": "user", "content": 3}, ASSISTANT], "wrong_type"),
    ],
)
def test_reasons(tmp_path: Path, messages: Any, reason: str) -> None:
    assert read(tmp_path, messages).metadata["reject"] == reason


def test_longer_conversations_can_be_allowed(tmp_path: Path) -> None:
    assert read(tmp_path, [USER, ASSISTANT, USER], allow_more_turns=True).text == ASSISTANT["content"]
