from __future__ import annotations

import importlib
import json
import logging
import multiprocessing
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.errors import RunError
from deepwriting.executors.local import QuietExecutor

#: Steps for worker processes live in a module that those can import, too.
STEPS = """
import logging, os, signal, sys, time
from datatrove.pipeline.base import PipelineStep

class Noisy(PipelineStep):
    name = "Noisy"

    def run(self, data=None, rank=0, world_size=1):
        print("noise on stderr", file=sys.stderr)
        logging.getLogger("deepwriting.test").info("task %d of %d", rank, world_size)
        self.stat_update("seen")
        yield from ()

HANDLERS = []

class Binds(PipelineStep):
    name = "Binds"

    def run(self, data=None, rank=0, world_size=1):
        HANDLERS.append(logging.StreamHandler())
        yield from ()

class Fails(PipelineStep):
    name = "Fails"

    def run(self, data=None, rank=0, world_size=1):
        if rank == 0:
            raise ValueError("no such luck")
        time.sleep(60)
        yield from ()

class Dies(PipelineStep):
    name = "Dies"

    def run(self, data=None, rank=0, world_size=1):
        os.kill(os.getpid(), signal.SIGKILL)
        yield from ()
"""


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The module with the steps."""
    folder = tmp_path_factory.mktemp("steps")
    (folder / "executor_steps.py").write_text(STEPS)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("executor_steps")
    sys.path.remove(str(folder))


def executor(step: type, logs: Path, workers: int, tasks: int = 2) -> QuietExecutor:
    return QuietExecutor(pipeline=[step()], tasks=tasks, workers=workers, logging_dir=str(logs))


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_run_once_quietly_and_are_logged(
    steps: Any, tmp_path: Path, workers: int, capfd: pytest.CaptureFixture[str]
) -> None:
    stats = executor(steps.Noisy, tmp_path, workers).run()
    assert stats is not None
    assert stats.stats[0].stats["seen"].total == 2
    assert executor(steps.Noisy, tmp_path, workers).run() is None
    for rank in range(2):
        log = (tmp_path / "deepwriting" / f"task_{rank:05d}.log").read_text()
        assert log.count(f"INFO deepwriting.test: task {rank} of 2") == 1
        assert (tmp_path / "completions" / f"{rank:05d}").is_file()
        assert json.loads((tmp_path / "stats" / f"{rank:05d}.json").read_text())[0]["stats"]["seen"] == 1
    assert json.loads((tmp_path / "stats.json").read_text())[0]["name"].endswith("Noisy")
    assert capfd.readouterr() == ("", "")


def test_only_tasks_that_have_not_finished_are_run(steps: Any, tmp_path: Path) -> None:
    (tmp_path / "completions").mkdir(parents=True)
    (tmp_path / "completions" / "00001").touch()
    executor(steps.Noisy, tmp_path, 1, tasks=3).run()
    assert sorted(path.name for path in (tmp_path / "stats").iterdir()) == ["00000.json", "00002.json"]


def test_logging_and_stderr_are_left_as_they_were(steps: Any, tmp_path: Path) -> None:
    logger, stderr = logging.getLogger("deepwriting"), sys.stderr
    before = (logger.level, list(logger.handlers))
    with pytest.raises(ValueError, match="no such luck"):
        executor(steps.Fails, tmp_path, 1, tasks=1).run()
    assert (logger.level, list(logger.handlers)) == before
    assert sys.stderr is stderr


def test_a_logger_made_during_a_task_keeps_a_stream_that_can_be_written(steps: Any, tmp_path: Path) -> None:
    # transformers does this when a task imports it first, and uses the handler for the rest of the process.
    executor(steps.Binds, tmp_path, 1, tasks=1).run()
    (handler,) = steps.HANDLERS
    assert not handler.stream.closed
    assert handler.stream is not sys.stderr


def test_a_failing_task_ends_the_others(steps: Any, tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(ValueError, match="no such luck"):
        executor(steps.Fails, tmp_path, 2).run()
    assert time.monotonic() - begun < 50, "it waited for the task that sleeps"
    assert not multiprocessing.active_children()


def test_a_worker_that_is_killed_ends_the_run_with_one_line(steps: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^a worker process was killed, most likely for want of memory$"):
        executor(steps.Dies, tmp_path, 2).run()
    assert not multiprocessing.active_children()
