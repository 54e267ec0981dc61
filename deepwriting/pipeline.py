"""Running a recipe: its stages in order, each phase on an executor, and whether rows were lost.

What each stage needs is decided in ``planning.py``; what is recorded about it in ``bookkeeping.py``. An executor either
runs a phase and waits for it, or is given all phases at once and left alone (Slurm).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepwriting.bookkeeping import begin_stage, end_stage, rows_in
from deepwriting.errors import DiskFullError, ExecutorError, FolderError
from deepwriting.executors import PhaseJob, Runner, runner
from deepwriting.executors.settle import SETTLE, SettleStage
from deepwriting.planning import Planned, plan, stage_settings, to_do
from deepwriting.recipe import Recipe
from deepwriting.remote.working import sent
from deepwriting.rundir import RunFolder, StageRecord, Stopwatch
from deepwriting.stages import STAGE_NAMES, Phase

log = logging.getLogger(__name__)

__all__ = ["Planned", "Watcher", "describe_run", "plan", "run_recipe", "stage_settings", "submit_recipe"]


class Watcher:
    """Gets told how a run goes; the command line draws it."""

    def stage_started(self, planned: Planned, total: int | None) -> None:
        """A stage begins; ``total`` rows are expected if that is known."""

    def stage_finished(self, planned: Planned, record: StageRecord) -> None:
        """A stage has finished, or had finished before."""


def run_recipe(
    recipe: Recipe,
    recipe_text: str,
    folder: Path,
    *,
    until: str | None = None,
    start: str | None = None,
    redo: str | None = None,
    executor: str | None = None,
    watcher: Watcher | None = None,
) -> list[StageRecord]:
    """Run a recipe in its folder, and wait for it.

    Args:
        recipe: the recipe.
        recipe_text: its text, kept beside the results.
        folder: the run's folder.
        until: last stage to run.
        start: first stage to run.
        redo: stage to do anew, with all behind it.
        executor: where its tasks run, if not where the recipe says.
        watcher: gets told how it goes.

    Returns:
        The records of all stages up to ``until``.

    Raises:
        NotFoundError: if there is no stage of a given name.
        RunError: if the run cannot go on, for example on a full disk; see its subclasses.
        SourceError: if a source cannot be read, or before all work if a benchmark is not there.
        EngineError: if a model cannot be loaded.
    """
    watcher = watcher or Watcher()
    tasks = runner(recipe, executor)
    run = RunFolder(folder)
    records = []
    with _writable(folder), run.locked(tasks.name):
        for item in _prepared(recipe, recipe_text, run, tasks, until=until, start=start, redo=redo):
            if item.action == "skip":
                record = run.stage(item.stage.name).record()
                assert record is not None
            else:
                record = run_stage(item, tasks, watcher)
            watcher.stage_finished(item, record)
            records.append(record)
    return records


def submit_recipe(
    recipe: Recipe,
    recipe_text: str,
    folder: Path,
    *,
    until: str | None = None,
    start: str | None = None,
    redo: str | None = None,
    executor: str | None = None,
) -> list[dict[str, Any]]:
    """Submit all that a recipe has to do, on an executor that goes on alone, and return.

    Behind the tasks of each stage comes a task that counts and records it. What fails is not followed by anything; the
    same call submits the rest again.

    Args:
        recipe: the recipe.
        recipe_text: its text, kept beside the results.
        folder: the run's folder, seen by all nodes.
        until: last stage to run.
        start: first stage to run.
        redo: stage to do anew, with all behind it.
        executor: where its tasks run, if not where the recipe says.

    Returns:
        The submitted jobs in order, as the runner describes them, each with its ``id``; none if all stages are done.

    Raises:
        RunError: as ``run_recipe``; ``RunLockedError`` if jobs of this run are still queued or running.
    """
    tasks = runner(recipe, executor)
    run = RunFolder(folder.absolute())
    with _writable(folder), run.locked(tasks.name) as lease:
        waiting = to_do(_prepared(recipe, recipe_text, run, tasks, until=until, start=start, redo=redo))
        if not waiting:
            return []
        for item in waiting[1:]:
            # Markers of finished tasks must not be found by what is submitted now.
            run.stage(item.stage.name).remove()
        begin_stage(waiting[0])
        jobs = _chain(waiting, tasks.name)
        try:
            submitted = tasks.submit(jobs)
        except ExecutorError:
            if waiting[0].action != "continue":  # nothing of it has begun
                run.stage(waiting[0].stage.name).remove()
            raise
        lease.release(state="submitted", **submitted)
    ids = submitted["jobs"]
    # A phase that had finished has no job.
    return [tasks.describe(job) | {"id": id_} for job, id_ in zip(jobs, ids, strict=True) if id_]


def describe_run(
    recipe: Recipe,
    folder: Path,
    *,
    until: str | None = None,
    start: str | None = None,
    redo: str | None = None,
    executor: str | None = None,
) -> list[dict[str, Any]]:
    """What a run would do and submit, without doing it.

    Returns:
        For each stage its name, what becomes of it (``action``), and its ``jobs`` as the runner describes them.

    Raises:
        RunError: if the run would be refused.
    """
    tasks = runner(recipe, executor)
    run = RunFolder(folder.absolute())
    run.refresh()
    planned = plan(recipe, run, until=until, start=start, redo=redo)
    waiting = to_do(planned)
    for item in waiting:
        item.stage.check(recipe)
    jobs = _chain(waiting, tasks.name) if tasks.detached else [job for item in waiting for job in phase_jobs(item)]
    return [
        {
            "stage": item.stage.name, "action": item.action,
            "jobs": [tasks.describe(job) for job in jobs if job.stage == item.stage.name],
        }
        for item in planned
    ]  # fmt: skip


def _prepared(
    recipe: Recipe,
    recipe_text: str,
    run: RunFolder,
    tasks: Runner,
    *,
    until: str | None,
    start: str | None,
    redo: str | None,
) -> list[Planned]:
    """The plan, when everything has been looked at that can be before any work."""
    planned = plan(recipe, run, until=until, start=start, redo=redo)
    if waiting := to_do(planned):
        tasks.check(run.path)
    for item in waiting:
        item.stage.check(recipe)
    if redo is not None:
        # From the end: interrupted here, no stage is left without the one it was made from.
        for name in reversed(STAGE_NAMES[STAGE_NAMES.index(redo) :]):
            run.stage(name).remove()
    scratch = run.path / ".recipe.yaml"
    scratch.write_text(recipe_text, encoding="utf-8")
    os.replace(scratch, run.path / "recipe.yaml")
    sent(run.path / "recipe.yaml")
    return planned


#: What the operating system says where no room is left: on the disk, for this user, or for this file.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What it says where this user may not write.
_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{error.filename or folder} cannot be written: {error.strerror or error}"
        if error.errno in _NO_ROOM:
            raise DiskFullError(what) from error
        where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else folder
        if error.errno in _NOT_ALLOWED and where.absolute().is_relative_to(folder.absolute()):
            raise FolderError(what) from error
        raise


def run_stage(planned: Planned, tasks: Runner, watcher: Watcher) -> StageRecord:
    """Run one stage, wait for it, and check its counts.

    Raises:
        CountsError: if rows were lost or invented.
        RunError: if no row is left.
        SourceError: if the sources give no row.
    """
    folder, watch = planned.context.run.stage(planned.stage.name), Stopwatch()
    record = begin_stage(planned)
    earlier = record.seconds
    watcher.stage_started(planned, rows_in(planned.stage, planned.context))
    try:
        for job in phase_jobs(planned):
            tasks.run(job)
        end_stage(planned, record)
    finally:
        record.seconds = earlier + watch.seconds
        folder.save(record)
    folder.remove_work()
    return record


def phase_jobs(planned: Planned) -> Iterator[PhaseJob]:
    """The phases of a stage as an executor gets them, each when it is asked for."""
    stage, context = planned.stage, planned.context
    resources = context.recipe.execution.of(stage.name)
    run = context.run.path.absolute()
    for phase in stage.phases(context):
        needs = {"tasks": phase.tasks, "workers": min(phase.tasks, resources.workers)}
        if not phase.models:
            needs["gpus"] = 0
        yield PhaseJob(
            context.recipe, run, stage.name, phase, run / stage.name / "logs" / phase.name,
            resources.model_copy(update=needs),
        )  # fmt: skip


def _chain(planned: list[Planned], executor: str) -> list[PhaseJob]:
    """All phases of several stages, behind each stage the task that counts and records it."""
    jobs = []
    for index, item in enumerate(planned):
        phases = list(phase_jobs(item))
        following = planned[index + 1].stage.name if index + 1 < len(planned) else None
        run, last = item.context.run.path.absolute(), phases[-1]
        settle = Phase(SETTLE, [SettleStage(str(run), item.stage.name, following, executor)], 1)
        resources = last.resources.model_copy(update={"tasks": 1, "workers": 1, "gpus": 0})
        logs = run / item.stage.name / "logs" / SETTLE
        jobs += [*phases, PhaseJob(item.context.recipe, run, item.stage.name, settle, logs, resources)]
    return jobs
