"""What happens around every task, on whatever machine it runs: a note with a heartbeat, a log, and silence.

The note, ``<stage>/tasks/<phase>/00003.json``, is what anybody who watches sees of the task, and the lease that keeps a
second process away from its journal and shards.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from deepwriting.errors import TaskHeldError
from deepwriting.executors.settle import SETTLE
from deepwriting.lease import TAKEN_OVER, Lease
from deepwriting.remote.notes import note_at
from deepwriting.remote.task import task_copy
from deepwriting.remote.working import is_completed

if TYPE_CHECKING:
    from datatrove.utils.stats import PipelineStats

log = logging.getLogger(__name__)

#: Layout of the note.
VERSION = 1
#: Folder of the notes of a stage's last phase, which has no name.
LAST_PHASE = "main"
#: Longest error that a note keeps (characters).
_ERROR_CHARS = 500


@dataclass(frozen=True)
class TaskPlace:
    """Where a task finds itself.

    Attributes:
        run: the run's folder.
        stage: the stage's name.
        phase: the phase's name; empty for the last one.
        executor: what runs it.
        cwd: where the run was started: paths in the recipe may be relative to it.
        logs: folder of the phase's logs, relative to the run.
    """

    run: str
    stage: str
    phase: str
    executor: str
    cwd: str
    logs: str

    def note(self, rank: int) -> Path:
        """The file of a task's note."""
        return task_note(Path(self.run) / self.stage, self.phase, rank)


def task_note(stage: Path, phase: str, rank: int) -> Path:
    """The file of a task's note.

    Args:
        stage: the stage's folder.
        phase: the phase's name; empty for the last one.
        rank: the task.
    """
    return stage / "tasks" / (phase or LAST_PHASE) / f"{rank:05d}.json"


class TaskMixin:
    """To be mixed into one of datatrove's executors, before it."""

    #: Set by whoever makes the executor; without it a task leaves no note.
    place: TaskPlace | None = None

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        from datatrove.utils.stats import PipelineStats

        executor: Any = self
        place = self.place
        there = is_completed(Path(place.run), f"{place.logs}/completions/{rank:05d}") if place else None
        if there or (there is None and executor.is_rank_completed(rank)):
            return PipelineStats()
        logs = Path(executor.logging_dir.path)
        run: Callable[..., PipelineStats] = super()._run_for_rank  # type: ignore[misc]
        with silence(), _log_to(logs / "deepwriting" / f"task_{rank:05d}.log"), around_task(place, rank):
            if place is None:
                return run(rank, local_rank, node_rank)
            with task_copy(Path(place.run), place.stage, place.logs, rank, everything=place.phase == SETTLE):
                return run(rank, local_rank, node_rank)


@contextlib.contextmanager
def around_task(place: TaskPlace | None, rank: int) -> Iterator[None]:
    """Hold a task's note while it runs, and say in it how it ended.

    Args:
        place: where the task is; ``None`` for one that is nobody's business.
        rank: the task.

    Raises:
        TaskHeldError: if another process works on the task.
    """
    if place is None:
        yield
        return
    if os.path.isdir(place.cwd):
        os.chdir(place.cwd)
    note = note_at(place.note(rank))
    before = note.read() or {}
    about = {
        "version": VERSION, "stage": place.stage, "phase": place.phase, "rank": rank, "state": "running",
        "executor": place.executor, "job": job_id(), "attempt": int(before.get("attempt", 0)) + 1, "error": None,
        "log": f"{place.logs}/deepwriting/task_{rank:05d}.log",
    }  # fmt: skip
    lease = Lease(note, about, lost=functools.partial(os._exit, TAKEN_OVER))
    other = lease.take()
    if other is not None:
        raise TaskHeldError(
            f"process {other['pid']} on {other['host']} is working on task {rank} of stage {place.stage!r}"
        )
    try:
        yield
    except Exception as error:
        _try_to(lease.release, state="failed", error=one_line(error))
        raise
    except BaseException as error:  # the job is being ended; it will be queued again, or continued by hand
        _try_to(lease.release, state="stopped", error=one_line(error))
        raise
    _try_to(lease.release, state="finished")  # datatrove's marker says so, too


def job_id() -> str | None:
    """What the queue calls the job that runs this process; ``None`` outside one."""
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '?')}"
    if job := os.environ.get("SLURM_JOB_ID") or os.environ.get("JOB_ID"):
        return job
    if "ray" in sys.modules and (ray := sys.modules["ray"]).is_initialized():
        return f"ray node {ray.get_runtime_context().get_node_id()[:8]}"
    return None


def one_line(error: BaseException) -> str:
    """An error as one line: its class and the first line of what it says."""
    said = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    return text if len(text) <= _ERROR_CHARS else text[: _ERROR_CHARS - 1] + "…"


def _try_to(release: Callable[..., None], **values: Any) -> None:
    """Leave the last word in the note; where it cannot be written, what became of the task counts more."""
    try:
        release(**values)
    except OSError as error:
        log.warning("the note of a task that is %s cannot be written: %s", values["state"], error)


@functools.cache
def _nowhere() -> TextIO:
    # Never closed: a library imported while stderr is silenced (transformers) keeps the stream for its own logger.
    return open(os.devnull, "w", encoding="utf-8")


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep datatrove's console output in its log files."""
    # datatrove binds its console logger to whatever sys.stderr is when a task begins.
    from datatrove.utils.logging import logger, setup_default_logger

    logger.remove()
    with contextlib.redirect_stderr(_nowhere()):
        try:
            yield
        finally:
            logger.remove()
    setup_default_logger()


@contextlib.contextmanager
def _log_to(file: Path) -> Iterator[None]:
    """Write what deepwriting logs during a task to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # Whoever fetches what is new of a remote run may replace the file meanwhile: it is looked after at every line.
    logger, handler = logging.getLogger("deepwriting"), WatchedFileHandler(file, mode="a", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(level, logging.INFO) if level else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
