from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from deepwriting.errors import JournalError
from deepwriting.reer.journal import Journal, RowJournal

SETTINGS = "0123456789abcdef"


def fill(path: Path) -> dict[str, RowJournal]:
    with Journal(path, SETTINGS) as journal:
        journal.write("start", "dw-1-0", segments=["α", "好\nb"], score=1.25)
        journal.write("start", "dw-2-0", segments=["x", "y"], score=2.0)
        journal.write("step", "dw-1-0", step=1, accepted=None)
        journal.write("step", "dw-1-0", step=2, accepted=0)
        journal.write("end", "dw-1-0", stop_reason="max_steps")
        return {row: journal.row(row) for row in journal.rows}


def test_replay_equals_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "00000.jsonl"
    rows = fill(path)
    before = path.read_bytes()
    with Journal(path, SETTINGS) as journal:
        assert {row: journal.row(row) for row in journal.rows} == rows
        assert [step["step"] for step in journal.row("dw-1-0").steps] == [1, 2]
        assert journal.row("dw-2-0").end is None
        assert journal.row("dw-3-0") == RowJournal()
    assert path.read_bytes() == before


def test_write_returns_the_record_and_shows_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, SETTINGS) as journal:
        record = journal.write("step", "r", step=1)
        assert record == {"event": "step", "row": "r", "step": 1}
        assert journal.row("r").steps == [record]
        assert path.read_bytes().endswith(orjson.dumps(record) + b"\n")  # on disk before it is closed


def test_a_torn_line_is_cut_off_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    fill(path)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = max((end for end in ends if end <= cut), default=0)
        with Journal(path, SETTINGS) as journal:
            known = [journal.row(row) for row in journal.rows]
            events = sum((r.start is not None) + len(r.steps) + (r.end is not None) for r in known)
            assert events == max(whole[:kept].count(b"\n") - 1, 0)
            journal.write("start", "new", n=1)
        repaired = path.read_bytes()
        header = whole[: ends[0]]
        assert repaired == (whole[:kept] or header) + b'{"event":"start","row":"new","n":1}\n'


def test_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    fill(path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=rf"j\.jsonl was written under settings {SETTINGS}, this run has other"):
        Journal(path, "other")
    assert path.read_bytes() == before


HEADER = b'{"event":"header","settings":"0123456789abcdef"}'
DAMAGES = [b"\x00" * 20, b'{"event": "step", "row"', b"[1, 2]", b"null", b'{"event":"step"}', b'{"row":"dw-1-0"}', b"",
           b'{"event":"stop","row":"dw-1-0"}']  # fmt: skip


@pytest.mark.parametrize(("line", "damage"), [(i, d) for i in (1, 3, 6) for d in DAMAGES] + [(3, HEADER)])
def test_damage_is_refused_by_line(tmp_path: Path, line: int, damage: bytes) -> None:
    path = tmp_path / "j.jsonl"
    fill(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = damage + b"\n"
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    with pytest.raises(JournalError, match=rf"j\.jsonl is damaged in line {line}: "):
        Journal(path, SETTINGS)
    assert path.read_bytes() == before  # nothing was cut off


def test_a_journal_without_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"event":"start","row":"r"}\n')
    with pytest.raises(JournalError, match="damaged in line 1"):
        Journal(path, SETTINGS)


def test_observers_hear_of_every_event_once(tmp_path: Path) -> None:
    path, old, new = tmp_path / "j.jsonl", [], []
    with Journal(path, SETTINGS, replayed=old.append, written=new.append) as journal:
        first = journal.write("start", "a", n=1)
    with Journal(path, SETTINGS, replayed=old.append, written=new.append) as journal:
        second = journal.write("end", "a", n=2)
    assert (old, new) == ([first], [first, second])


def test_rows_can_be_read_while_others_are_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl", SETTINGS) as journal:
        for n in range(50):
            journal.write("step", f"r{n % 3}", n=n, text="ä" * n)
            assert [step["n"] for step in journal.row("r1").steps] == list(range(1, n + 1, 3))
