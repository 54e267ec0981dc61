from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deepwriting import lease as module
from deepwriting.lease import FileNote, Lease, folder_now, is_alive, machine

BEAT = 0.05


def lease(path: Path, lost: Any = lambda: None, **about: Any) -> Lease:
    return Lease(FileNote(path), about, lost=lost, beat_seconds=BEAT)


def elsewhere(**values: Any) -> dict[str, Any]:
    """A note that a process on another machine has left."""
    return {
        "host": "elsewhere",
        "pid": 1,
        "machine": "elsewhere-1",
        "owner": "x",
        "beat": 0,
        "beat_seconds": BEAT,
    } | values


def test_a_lease_beats_and_leaves_nothing(tmp_path: Path) -> None:
    held = lease(tmp_path / "note.json", stage="search")
    assert held.take() is None
    first = held.note.read()
    assert first is not None
    assert (first["stage"], first["pid"], first["host"]) == ("search", os.getpid(), socket.gethostname())
    time.sleep(6 * BEAT)
    later = held.note.read()
    assert later is not None
    assert later["beat"] > first["beat"]
    held.update(state="half")
    assert (held.note.read() or {})["state"] == "half"
    held.release()
    assert held.note.read() is None
    held.release(state="late")
    assert held.note.read() is None, "released once"


def test_the_last_word_stays(tmp_path: Path) -> None:
    held = lease(tmp_path / "note.json")
    held.take()
    held.release(state="failed", error="x")
    said = held.note.read()
    assert said is not None
    assert (said["state"], said["error"]) == ("failed", "x")
    assert lease(tmp_path / "note.json").take() is None, "what has failed is free"


def test_a_living_owner_is_named(tmp_path: Path) -> None:
    first, second = lease(tmp_path / "note.json"), lease(tmp_path / "note.json")
    assert first.take() is None
    other = second.take()
    assert other is not None
    assert other["owner"] == first.owner
    first.release()
    assert second.take() is None
    second.release()


def test_a_killed_owner_is_followed_at_once(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    note = FileNote(tmp_path / "note.json")
    note.write({"host": socket.gethostname(), "pid": ended.pid, "machine": machine(), "owner": "x", "beat": 3})
    begun = time.monotonic()
    held = lease(tmp_path / "note.json")
    assert held.take() is None
    assert time.monotonic() - begun < 2, "it waited for beats"
    held.release()


def test_an_owner_elsewhere_lives_while_its_beat_moves(tmp_path: Path) -> None:
    note = FileNote(tmp_path / "note.json")
    note.write(elsewhere())
    stop = threading.Event()

    def beat() -> None:
        count = 0
        while not stop.wait(BEAT):
            count += 1
            note.write(elsewhere(beat=count))

    far = threading.Thread(target=beat)
    far.start()
    try:
        assert is_alive(note.read() or {}, note)
    finally:
        stop.set()
        far.join()
    assert not is_alive(note.read() or {}, note)


def test_a_note_that_cannot_be_read_just_now_says_nothing(tmp_path: Path) -> None:
    note = FileNote(tmp_path / "note.json")
    note.write(elsewhere(beat_seconds=1))
    before = note.read() or {}
    note.path.write_text("")
    back = threading.Timer(0.3, note.write, [elsewhere(beat_seconds=1, beat=1)])
    back.start()
    assert is_alive(before, note)
    back.join()


def test_of_two_that_find_a_dead_owner_one_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = lease(tmp_path / "note.json"), lease(tmp_path / "note.json")
    first.note.write(elsewhere())

    def looked(values: dict[str, Any], note: Any) -> bool:
        monkeypatch.setattr(module, "is_alive", is_alive)
        alive = is_alive(values, note)
        assert first.take() is None  # in the moment between the look and what follows from it
        return alive

    monkeypatch.setattr(module, "is_alive", looked)
    other = second.take()
    assert other is not None
    assert other["owner"] == first.owner
    first.release()


def test_what_a_clock_says_decides_nothing(tmp_path: Path) -> None:
    note = FileNote(tmp_path / "note.json")
    note.write(elsewhere(updated="2099-01-01T00:00:00+00:00"))
    assert not is_alive(note.read() or {}, note)


def test_an_owner_that_was_taken_over_is_told(tmp_path: Path) -> None:
    told = threading.Event()
    held = lease(tmp_path / "note.json", lost=told.set)
    held.take()
    held.note.write(elsewhere())
    assert told.wait(5)
    held.release(state="finished")
    assert (held.note.read() or {})["owner"] == "x", "the new owner's note stays"


def test_a_suspended_owner_ends_when_it_wakes(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys, time\n"
        "from deepwriting.lease import FileNote, Lease\n"
        "held = Lease(FileNote(pathlib.Path(sys.argv[1])), {}, lost=lambda: os._exit(75), beat_seconds=0.05)\n"
        "print(held.take(), flush=True)\n"
        "time.sleep(60)\n"
    )
    path = tmp_path / "note.json"
    owner = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "None\n"
        owner.send_signal(signal.SIGSTOP)
        held = lease(path)
        end = time.monotonic() + 20
        while held.take() is not None and time.monotonic() < end:
            time.sleep(BEAT)
        owner.send_signal(signal.SIGCONT)
        assert owner.wait(20) == 75
    assert (FileNote(path).read() or {})["owner"] == held.owner
    held.release()


def test_ages_come_from_the_folder(tmp_path: Path) -> None:
    note = FileNote(tmp_path / "note.json")
    assert note.age() is None
    note.write({})
    os.utime(note.path, (time.time() - 100, time.time() - 100))
    age = note.age()
    assert age is not None
    assert 99 < age < 110
    assert abs(folder_now(tmp_path) - time.time()) < 5
    assert [file.name for file in tmp_path.iterdir()] == ["note.json"]
