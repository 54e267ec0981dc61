from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deepwriting.files import write_json
from deepwriting.folder_clock import FolderClock
from deepwriting.reer.status import SILENT_SECONDS
from deepwriting.watching.notes import NoteBook

LONG = SILENT_SECONDS + 10


@pytest.fixture
def book(tmp_path: Path) -> NoteBook:
    return NoteBook(FolderClock(tmp_path))


def said(path: Path, values: dict[str, Any], age: float = 0.0) -> Path:
    write_json(path, values)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_process_of_this_machine_is_looked_up(tmp_path: Path, book: NoteBook, made: Any, dead_pid: int) -> None:
    run = made()
    alive = book.read(run.note("search", "", 0))
    assert alive is not None
    assert alive.lost() == ""
    gone = book.read(run.note("search", "", 1, pid=dead_pid))
    assert gone is not None
    assert gone.lost() == f"process {dead_pid} on {gone.host} is gone"
    assert gone.certain


def test_a_process_that_is_there_and_says_nothing(book: NoteBook, made: Any) -> None:
    noted = book.read(made().note("search", "", 0, age=LONG))
    assert noted is not None
    assert noted.lost() == f"process {os.getpid()} on {noted.host} is there, but has not been heard of for {LONG:.0f} s"


@pytest.mark.parametrize(("age", "words"), [(100, "100 s"), (600, "10 min"), (3 * 3600, "3 h")])
def test_of_a_far_process_the_age_of_its_note_tells(book: NoteBook, made: Any, far: Any, age: int, words: str) -> None:
    run = made()
    heard = book.read(run.note("search", "", 0, age=60, **far))
    assert heard is not None
    assert heard.lost() == ""
    silent = book.read(run.note("search", "", 1, age=age, **far))
    assert silent is not None
    assert silent.lost() == f"nothing heard of process 7 on far for {words}"


def test_a_beat_that_moves_is_alive_whatever_the_stamp_says(tmp_path: Path, book: NoteBook, far: Any) -> None:
    note = said(tmp_path / "note", far | {"beat": 1}, age=LONG)
    first = book.read(note)
    assert first is not None
    assert first.lost()
    said(note, far | {"beat": 2}, age=2 * LONG)
    moved = book.read(note)
    assert moved is not None
    assert moved.lost() == ""
    assert moved.silent_seconds < 1


def test_a_note_that_is_only_copied_anew_does_not_beat(tmp_path: Path, book: NoteBook, far: Any) -> None:
    note = said(tmp_path / "note", far | {"beat": 1}, age=LONG)
    book.read(note)
    os.utime(note)
    copied = book.read(note)
    assert copied is not None
    assert copied.lost()


def test_a_note_that_cannot_be_read_just_now_is_as_it_was(tmp_path: Path, book: NoteBook, far: Any) -> None:
    path = said(tmp_path / "note.json", {"beat": 1, **far})
    before = book.read(path)
    path.write_text('{"beat": 2', encoding="utf-8")
    during = book.read(path)
    assert before is not None
    assert during is not None
    assert during.values == before.values
    said(path, {"beat": 3, **far})
    after = book.read(path)
    assert after is not None
    assert after.values["beat"] == 3
    path.unlink()
    assert book.read(path) is None


def test_a_beat_that_stands_still_is_noticed_by_watching(
    tmp_path: Path, book: NoteBook, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = said(tmp_path / "note", far | {"beat": 1}, age=-1000)  # stamped by a clock that is ahead
    assert book.read(note).lost() == ""
    later = time.monotonic() + LONG
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert book.read(note).lost() == f"nothing heard of process 7 on far for {LONG:.0f} s"


def test_the_time_at_work_is_told_by_one_clock(tmp_path: Path, book: NoteBook, far: Any) -> None:
    times = {"started": "2031-01-01T00:00:00+00:00", "updated": "2031-01-01T00:02:00+00:00"}
    noted = book.read(said(tmp_path / "note", far | times, age=5))
    assert noted is not None
    assert noted.working_seconds == pytest.approx(125, abs=1)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_what_is_no_note_is_none(tmp_path: Path, book: NoteBook, text: str) -> None:
    (tmp_path / "note").write_text(text)
    assert book.read(tmp_path / "note") is None
    assert book.read(tmp_path / "absent") is None


#: Prints whether each of two far processes, heard of 10 s and an hour ago, is thought to be lost.
LOOK = """
import sys, json, pathlib
from deepwriting.folder_clock import FolderClock
from deepwriting.watching.notes import NoteBook
folder = pathlib.Path(sys.argv[1])
book = NoteBook(FolderClock(folder))
print(json.dumps([[bool(noted.lost()), noted.certain] for noted in map(book.read, sorted(folder.glob("*.json")))]))
"""


@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
@pytest.mark.parametrize("shift", ["+2h", "-2h"])
def test_a_watcher_whose_clock_is_wrong_sees_the_same(tmp_path: Path, far: Any, shift: str) -> None:
    said(tmp_path / "0.json", far, age=10)
    said(tmp_path / "1.json", far, age=3600)
    # The stamps of files are the kernel's, as a file server's would be; only this process has another clock.
    shifted = ["faketime", "-f", shift, sys.executable, "-c", LOOK, str(tmp_path)]
    environment = os.environ | {"NO_FAKE_STAT": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    told = subprocess.run(shifted, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == [[False, True], [True, True]]
