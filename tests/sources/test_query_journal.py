from __future__ import annotations

from pathlib import Path

import pytest

from deepwriting.errors import JournalError
from deepwriting.sources.query_journal import QueryJournal, passage_key

SETTINGS = {"model": "writer", "seed": 7}


def test_every_query_of_earlier_lives_is_found(tmp_path: Path) -> None:
    keys = [passage_key(f"book/{number}", "text") for number in range(300)]
    for life in range(3):
        journal = QueryJournal(tmp_path / "j.jsonl", SETTINGS)
        assert len(journal) == life * 100
        for number, key in enumerate(keys):
            event = journal.known(key)
            assert (event["query"] if event else None) == (f"q{number}" if number < life * 100 else None)
        for number in range(life * 100, life * 100 + 100):
            journal.write(keys[number], query=f"q{number}", writer="w")
        journal.close()


def test_keys_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    first, second, third = (f"{'ab' * 8}{digit * 16}" for digit in "123")
    journal = QueryJournal(tmp_path / "j.jsonl", SETTINGS)
    journal.write(first, query="one", writer="w")
    journal.write(second, query="two", writer="w")
    journal.close()
    journal = QueryJournal(tmp_path / "j.jsonl", SETTINGS)
    found = [journal.known(key) for key in (first, second, third)]
    journal.close()
    assert [event and event["query"] for event in found] == ["one", "two", None]


def test_id_and_text_make_the_key() -> None:
    assert len({passage_key("a", "b"), passage_key("a", "c"), passage_key("ab", ""), passage_key("", "ab")}) == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"event":"query","passage":"xyz"}', "line 2: it holds no event"),
        (b'{"event":"query","query":"q"}', "line 2: it holds no event"),
        (b'{"event":"step","passage":"0123456789abcdef"}', "line 2: it holds no event"),
        (b"\x00\x00", "damaged in line 2"),
    ],
)
def test_damage_is_refused_by_line(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "j.jsonl"
    QueryJournal(path, SETTINGS).close()
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(JournalError, match=message):
        QueryJournal(path, SETTINGS)


def test_other_settings_are_named(tmp_path: Path) -> None:
    QueryJournal(tmp_path / "j.jsonl", SETTINGS).close()
    with pytest.raises(
        JournalError, match="under model 'writer', this run has 'other'; top_k 'absent', this run has 5"
    ):
        QueryJournal(tmp_path / "j.jsonl", {"model": "other", "seed": 7, "top_k": 5})
