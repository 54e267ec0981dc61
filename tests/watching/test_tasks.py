from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deepwriting.files import write_json
from deepwriting.folder_clock import FolderClock
from deepwriting.watching.logs import LINE_CHARS, last_line
from deepwriting.watching.notes import NoteBook
from deepwriting.watching.tasks import IDLE_SECONDS, PhaseTasks, look_at_phase

NONE = {"done": 0, "running": 0, "stalled": 0, "failed": 0, "waiting": 0}


@pytest.fixture
def look(made: Any) -> Callable[..., PhaseTasks]:
    """Looks at a phase of a run's search: ``look(run, "", 4)``."""

    def at(run: Any, phase: str, total: int) -> PhaseTasks:
        return look_at_phase(run.folder.stage("search"), phase, total, NoteBook(FolderClock(run.folder.path)))

    return at


def test_each_task_is_in_one_state(made: Any, look: Any, far: Any, dead_pid: int) -> None:
    run = made()
    run.completed("search", "", 0, 1)
    run.note("search", "", 1, state="running", pid=dead_pid)  # the marker counts
    run.note("search", "", 2)
    run.note("search", "", 3, age=30, **far)
    run.note("search", "", 4, pid=dead_pid)
    run.note("search", "", 5, age=600, **far)
    run.note("search", "", 6, state="failed", error="OSError: no luck", attempt=3, job="17_6")
    run.note("search", "", 7, state="stopped", error="SystemExit: 15")
    run.note("search", "", 8, state="finished")  # but its marker was taken away: it is to be done again
    found = look(run, "", 10)
    assert found.view.tasks == NONE | {"done": 2, "running": 2, "stalled": 2, "failed": 1, "waiting": 3}
    assert (found.view.total, found.view.done) == (10, False)
    assert [(task.rank, task.state) for task in found.told] == [
        (2, "running"), (3, "running"), (4, "stalled"), (5, "stalled"), (6, "failed"),
    ]  # fmt: skip
    failed = found.told[-1]
    assert (failed.why, failed.attempt, failed.job) == ("OSError: no luck", 3, "17_6")
    assert (failed.host, failed.pid) == (socket.gethostname(), os.getpid())


def test_phases_are_apart(made: Any, look: Any) -> None:
    run = made()
    run.completed("search", "buckets", 0, 1)
    run.note("search", "", 0)
    assert look(run, "buckets", 2).view.done
    assert look(run, "", 2).view.tasks == NONE | {"running": 1, "waiting": 1}


def test_of_a_task_in_trouble_the_last_log_line_is_told(made: Any, look: Any, dead_pid: int) -> None:
    run = made()
    logs = run.folder.stage("search").logs
    for rank in range(3):
        run.note("search", "", rank, pid=dead_pid)
    (logs / "deepwriting").mkdir(parents=True)
    (logs / "logs").mkdir()
    (logs / "deepwriting" / "task_00000.log").write_text("first\nthe server does not answer\n\n")
    (logs / "deepwriting" / "task_00001.log").write_text("\n")
    (logs / "logs" / "task_00001.log").write_text("2026 | \x1b[31mERROR\x1b[0m | MemoryError\n")
    lines = [task.last_line for task in look(run, "", 3).told]
    assert lines == ["the server does not answer", "2026 | ERROR | MemoryError", ""]


def test_a_long_log_is_read_at_its_end_only(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff" * 100_000 + b"\nshort\n")
    assert last_line(tmp_path / "log") == "short"
    (tmp_path / "log").write_text("ü" * 100_000)
    assert len(last_line(tmp_path / "log")) == LINE_CHARS
    assert last_line(tmp_path / "absent", tmp_path) == ""


def search_status(run: Any, rank: int, **rows: Any) -> None:
    figures = {"total": 10, "through": 2.5, "in_flight": 1} | rows
    values = {"version": 1, "state": "running", "rows": figures, "rates": {"rows_per_second": 0.5}}
    write_json(run.folder.stage("search").path / "status" / f"{rank:05d}.json", values)


def test_a_search_has_its_rows_and_time_left(made: Any, look: Any) -> None:
    run = made()
    run.note("search", "", 0)
    search_status(run, 0)
    [task] = look(run, "", 1).told
    assert (task.rows_done, task.rows_total, task.rows_per_second, task.seconds_left) == (2.5, 10, 0.5, 15.0)


def test_other_stages_have_the_rows_that_they_have_written(made: Any, look: Any) -> None:
    run = made()
    run.note("search", "", 0)  # five minutes at work
    write_json(run.folder.stage("search").path / "progress" / "00000.json", {"rows": 600})
    [task] = look(run, "", 1).told
    assert task.rows_done == 600
    assert task.rows_per_second == pytest.approx(2.0, rel=0.02)
    assert task.seconds_left is None


@pytest.mark.parametrize(
    ("idle", "at_work", "in_flight", "stalled"),
    [
        (IDLE_SECONDS + 120, IDLE_SECONDS + 60, 1, True),
        (IDLE_SECONDS - 60, 2 * IDLE_SECONDS, 1, False),  # a step just now
        (2 * IDLE_SECONDS, 60, 1, False),  # the models are being loaded again
        (2 * IDLE_SECONDS, 2 * IDLE_SECONDS, 0, False),  # nothing is searched
    ],
    ids=["idle", "busy", "new", "done"],
)
def test_a_search_that_beats_and_gets_nowhere_is_stalled(
    made: Any, look: Any, idle: float, at_work: float, in_flight: int, stalled: bool
) -> None:
    run, now = made(), datetime.now(UTC)
    run.note("search", "", 0, started=(now - timedelta(seconds=at_work)).isoformat(), updated=now.isoformat())
    search_status(run, 0, in_flight=in_flight)
    journal = run.folder.stage("search").path / "journal" / "00000.jsonl"
    journal.parent.mkdir()
    journal.touch()
    os.utime(journal, (time.time() - idle,) * 2)
    [task] = look(run, "", 1).told
    assert task.state == ("stalled" if stalled else "running")
    assert task.why == ("no step has been finished for 31 min" if stalled else "")
