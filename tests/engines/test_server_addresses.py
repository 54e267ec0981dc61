"""Where servers' addresses come from, and how a server announces itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from deepwriting.engines.server import addresses
from deepwriting.engines.server.addresses import MISSED_BEATS, Announced, Fixed
from deepwriting.engines.server.announcement import BEAT_SECONDS, SWEEP_SECONDS, Announcement
from deepwriting.errors import EngineError

URL = "http://node7:8000/v1"


def announced(folder: Path, revision: str | None = None) -> Announced:
    return Announced(str(folder), model="m", revision=revision)


def test_an_announcement_comes_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    folder = tmp_path / "endpoints"
    reader = announced(folder)
    assert reader.read() == []
    with Announcement(folder, URL, {"model": "m", "revision": "r"}) as one:
        assert reader.read() == [URL]
        note = json.loads(one.path.read_text())
        assert [note[key] for key in ("url", "model", "revision", "beat", "job", "pid")] == [
            URL, "m", "r", 1, "4711", os.getpid(),
        ]  # fmt: skip
        one.beat()
        assert json.loads(one.path.read_text())["beat"] == 2
        with Announcement(folder, "http://node8:8000/v1", {"model": "m"}), Announcement(folder, URL, {"model": "m"}):
            assert reader.read() == [URL, "http://node8:8000/v1"]
        assert [path.name for path in folder.iterdir()] == [one.path.name]
    assert reader.read() == []


def test_other_models_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Announcement(tmp_path, URL, {"model": "m", "revision": "old"})
    Announcement(tmp_path, "http://node8:8000/v1", {"model": "another"})
    (tmp_path / "torn.json").write_text('{"url": ')
    (tmp_path / "key.json").write_text(json.dumps({"url": "http://user:secret@node9/v1"}))
    (tmp_path / "note.txt").write_text("http://node10/v1")
    assert announced(tmp_path).read() == [URL]
    assert announced(tmp_path, "old").read() == [URL]
    caplog.clear()
    reader = announced(tmp_path, "new")
    assert reader.read() == reader.read() == []
    assert caplog.text.count("node7:8000/v1 serves revision old") == 1
    assert caplog.text.count("torn.json is no announcement") == 1
    assert "secret" not in caplog.text


def test_one_bad_line_does_not_hide_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "servers"
    file.write_text(f"http://[fe80/v1\n{URL}/  # with a slash\nnode9:8000\n{URL}\n")
    reader = announced(file)
    assert reader.read() == reader.read() == [URL]
    assert caplog.text.count("a url is no address (Invalid IPv6 URL)") == 1
    assert caplog.text.count("'node9:8000' is no address") == 1


def test_a_beat_that_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the reader's own clock: the file's times say a year ago."""
    now = 100.0
    monkeypatch.setattr(addresses.time, "monotonic", lambda: now)
    one = Announcement(tmp_path, URL, {"model": "m"})
    reader = announced(tmp_path)
    os.utime(one.path, (1, 1))
    for _ in range(3):
        now += 0.9 * MISSED_BEATS * BEAT_SECONDS
        one.beat()
        assert reader.read() == [URL]
    now += 1.1 * MISSED_BEATS * BEAT_SECONDS
    assert reader.read() == []
    one.beat()
    assert reader.read() == [URL]


def test_what_killed_servers_leave_is_swept_away(tmp_path: Path) -> None:
    old, young = Announcement(tmp_path, URL, {}), Announcement(tmp_path, "http://node8:8000/v1", {})
    by_hand = tmp_path / "by-hand.json"
    by_hand.write_text(json.dumps({"url": URL}))
    for path, age in ((old.path, 2), (young.path, 0.5), (by_hand, 2)):
        os.utime(path, (path.stat().st_mtime - age * SWEEP_SECONDS,) * 2)
    new = Announcement(tmp_path, "http://node9:8000/v1", {})
    assert set(tmp_path.iterdir()) == {young.path, by_hand, new.path}


def test_what_cannot_be_an_address() -> None:
    for wrong, message in (
        (["node7:8000"], "url 'node7:8000' is no address"),
        (["http://a/v1?key=secret"], "the url holds a user, a password or a query"),
        (["http://a/v1", "http://a/v1/"], "the address http://a/v1 occurs twice"),
    ):
        with pytest.raises(EngineError, match=message):
            Fixed(wrong)
    with pytest.raises(EngineError, match="/nowhere/at/all' cannot be there: /nowhere/at is no folder"):
        announced(Path("/nowhere/at/all"))
    assert str(Fixed(["http://a/v1"])) == "http://a/v1"
    assert str(Fixed(["http://a/v1", "http://b/v1"])) == "2 servers (http://a/v1, http://b/v1)"
