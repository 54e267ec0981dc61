from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from datatrove.pipeline.base import PipelineStep

from deepwriting.errors import TaskHeldError
from deepwriting.executors.local import QuietExecutor
from deepwriting.executors.task import TaskPlace, around_task, one_line
from deepwriting.lease import FileNote, machine


def place(run: Path, phase: str = "") -> TaskPlace:
    return TaskPlace(str(run), "search", phase, "local", os.getcwd(), "search/logs")


def note(run: Path, phase: str = "main") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "search" / "tasks" / phase / "00003.json").read_text())
    return found


def test_a_task_says_where_it_runs_and_how_it_ended(tmp_path: Path) -> None:
    with around_task(place(tmp_path), 3):
        running = note(tmp_path)
    assert (running["state"], running["rank"], running["attempt"], running["pid"]) == ("running", 3, 1, os.getpid())
    assert running["log"] == "search/logs/deepwriting/task_00003.log"
    assert note(tmp_path)["state"] == "finished"


def test_a_failed_task_leaves_its_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such luck"), around_task(place(tmp_path, "buckets"), 3):
        raise ValueError("no such luck\nand more")
    failed = note(tmp_path, "buckets")
    assert (failed["state"], failed["error"]) == ("failed", "ValueError: no such luck")
    with around_task(place(tmp_path, "buckets"), 3):
        assert note(tmp_path, "buckets")["attempt"] == 2
        assert note(tmp_path, "buckets")["error"] is None


def test_a_task_that_is_ended_has_not_failed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), around_task(place(tmp_path), 3):
        raise SystemExit(15)
    assert note(tmp_path)["state"] == "stopped"


def test_a_task_is_worked_on_once(tmp_path: Path) -> None:
    held = {"host": "here", "pid": os.getppid(), "machine": machine(), "owner": "x", "beat": 1, "state": "running"}
    FileNote(place(tmp_path).note(3)).write(held)
    with (
        pytest.raises(TaskHeldError, match=rf"^process {os.getppid()} on here is working on task 3 of stage 'search'$"),
        around_task(place(tmp_path), 3),
    ):
        raise AssertionError("two at once")


def test_a_full_disk_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def task() -> None:
        with around_task(place(tmp_path), 3):
            monkeypatch.setattr(FileNote, "write", full)
            raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        task()


def test_a_finished_task_has_not_failed_for_want_of_a_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OSError("the store does not answer")

    with around_task(place(tmp_path), 3):
        monkeypatch.setattr(FileNote, "write", away)
    assert note(tmp_path)["state"] == "running"


class Speaks(PipelineStep):
    """A step during which somebody replaces the task's log by a copy."""

    type, name = "🗣", "Speaks"

    def __init__(self, log: Path):
        super().__init__()
        self.log = log

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        logger = logging.getLogger("deepwriting.step")
        logger.info("before")
        shutil.copy(self.log, self.log.with_name("copy"))
        self.log.with_name("copy").replace(self.log)
        logger.info("afterwards")


def test_a_log_that_is_fetched_anew_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "deepwriting" / "task_00000.log"
    QuietExecutor(pipeline=[Speaks(file)], tasks=1, logging_dir=str(tmp_path / "logs")).run()
    assert [line.rpartition(": ")[2] for line in file.read_text().splitlines()] == ["before", "afterwards"]


@pytest.mark.parametrize(
    ("error", "line"),
    [(KeyError("x"), "KeyError: 'x'"), (ValueError(), "ValueError"), (OSError("a\nb"), "OSError: a")],
    ids=["key", "empty", "two lines"],
)
def test_an_error_is_one_line(error: Exception, line: str) -> None:
    assert one_line(error) == line
    assert len(one_line(ValueError("x" * 9000))) == 500
