from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.executors.task import task_note
from deepwriting.files import write_json
from deepwriting.lease import machine
from deepwriting.rundir import Counts, RunFolder, StageRecord
from deepwriting.stages import STAGE_NAMES


@pytest.fixture(scope="session")
def dead_pid() -> int:
    """The id of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


class MadeRun:
    """A run's folder, made by hand."""

    def __init__(self, path: Path):
        self.folder = RunFolder(path)
        path.mkdir()
        (path / "recipe.yaml").write_text("name: made\n")

    def stage(self, name: str, state: str = "running", *, tasks: int = 1, rows: int = 10, seconds: float = 0.0) -> None:
        """Record a stage, all before it finished."""
        for earlier in STAGE_NAMES[: STAGE_NAMES.index(name)]:
            self._record(earlier, "finished", 1, rows, 1.0)
        self._record(name, state, tasks, rows, seconds)

    def _record(self, name: str, state: Any, tasks: int, rows: int, seconds: float) -> None:
        settings = {"tasks": tasks, "search": {"rollouts": 1}}
        self.folder.stage(name).save(StageRecord(name, "x", settings, state, seconds, Counts(rows, rows)))

    def phase(self, stage: str, name: str, tasks: int) -> None:
        """What datatrove leaves when a phase begins."""
        write_json(self.folder.stage(stage).logs / name / "executor.json", {"world_size": tasks, "pipeline": []})

    def completed(self, stage: str, phase: str, *ranks: int) -> None:
        """What datatrove leaves of completed tasks."""
        for rank in ranks:
            marker = self.folder.stage(stage).logs / phase / "completions" / f"{rank:05d}"
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()

    def note(self, stage: str, phase: str, rank: int, *, age: float = 0.0, **values: Any) -> Path:
        """A task's note, of this process unless it says otherwise, stamped some seconds ago."""
        note = task_note(self.folder.path / stage, phase, rank)
        about = {
            "version": 1, "stage": stage, "phase": phase, "rank": rank, "state": "running", "executor": "local",
            "job": None, "attempt": 1, "error": None, "host": socket.gethostname(), "pid": os.getpid(),
            "machine": machine(), "owner": "x", "started": "2026-11-22T12:00:00+00:00",
            "updated": "2026-11-22T12:05:00+00:00", "beat": 20, "beat_seconds": 15.0,
            "log": str((self.folder.stage(stage).logs / phase).relative_to(self.folder.path)
                       / "deepwriting" / f"task_{rank:05d}.log"),
        }  # fmt: skip
        write_json(note, about | values)
        stamp = time.time() - age
        os.utime(note, (stamp, stamp))
        return note


FAR: dict[str, Any] = {"host": "far", "pid": 7, "machine": "far-1"}


@pytest.fixture
def far() -> dict[str, Any]:
    """What a note of a process on another machine says."""
    return FAR


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., MadeRun]:
    """Makes a run's folder by hand: ``made("name")``."""
    return lambda name="made": MadeRun(tmp_path / name)
