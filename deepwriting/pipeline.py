"""Running a recipe: which stages have to run, in which order, on which executor, and whether rows were lost.

For each stage: finished under the same settings → skipped; begun under the same settings → continued; anything under
other settings → refused, unless it is to be redone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepwriting.errors import (
    CountsError,
    DiskFullError,
    NotFoundError,
    RunError,
    SourceError,
    StageChangedError,
    StageMissingError,
    StageOrderError,
)
from deepwriting.executor import QuietExecutor
from deepwriting.recipe import Recipe, settings_hash
from deepwriting.rundir import Counts, RunFolder, StageFolder, StageRecord, Stopwatch
from deepwriting.stages import STAGE_NAMES, STAGES, Stage, StageContext

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Planned:
    """What will become of a stage.

    Attributes:
        stage: the stage.
        context: recipe, folder, and the settings hash.
        settings: everything that decides the stage's outcome; what the hash is of.
        action: ``skip``, ``run`` or ``continue``.
    """

    stage: Stage
    context: StageContext
    settings: dict[str, Any]
    action: str


class Watcher:
    """Gets told how a run goes; the command line draws it."""

    def stage_started(self, planned: Planned, total: int | None) -> None:
        """A stage begins; ``total`` rows are expected if that is known."""

    def stage_finished(self, planned: Planned, record: StageRecord) -> None:
        """A stage has finished, or had finished before."""


def plan(
    recipe: Recipe,
    run: RunFolder,
    *,
    until: str | None = None,
    start: str | None = None,
    redo: str | None = None,
) -> list[Planned]:
    """Decide what each stage needs.

    Args:
        recipe: the recipe.
        run: the run's folder.
        until: last stage to run.
        start: first stage to run; the ones before must have finished.
        redo: this stage and all behind it are done anew.

    Raises:
        NotFoundError: if there is no stage of a given name.
        StageOrderError: if ``start`` or ``redo`` comes after ``until``.
        StageChangedError: if a stage has results under other settings.
        StageMissingError: if a stage before ``start`` has not finished.
    """
    for name in (until, start, redo):
        if name is not None and name not in STAGE_NAMES:
            raise NotFoundError(f"there is no stage {name!r}; the stages are {', '.join(STAGE_NAMES)}")
    for option, name in (("from", start), ("redo", redo)):
        if name and until and STAGE_NAMES.index(name) > STAGE_NAMES.index(until):
            raise StageOrderError(
                f"{option} {name!r} comes after until {until!r}; the order is {', '.join(STAGE_NAMES)}"
            )
    planned: list[Planned] = []
    upstream = ""
    redoing, started = False, start is None
    for stage in STAGES:
        settings = stage_settings(stage, recipe)
        digest = settings_hash({"settings": settings, "upstream": upstream})
        context = StageContext(recipe, run, digest)
        record = run.stage(stage.name).record()
        started = started or stage.name == start
        redoing = redoing or stage.name == redo
        if redoing or record is None:
            action = "run"
        elif record.settings_hash != digest:
            raise StageChangedError(_changed(stage, record, settings))
        else:
            # Results behind a stage that has to run came from rows that are gone.
            stale = any(item.action != "skip" for item in planned)
            action = "run" if stale else "skip" if record.state == "finished" else "continue"
        if not started and action != "skip":
            raise StageMissingError(f"stage {stage.name!r} has not finished, and --from {start} would leave it out")
        planned.append(Planned(stage, context, settings, action))
        upstream = digest
        if stage.name == until:
            break
    return planned


def stage_settings(stage: Stage, recipe: Recipe) -> dict[str, Any]:
    """Everything that decides a stage's outcome, its version and its number of tasks included; JSON values."""
    settings = {"version": stage.version, "tasks": stage.tasks(recipe), **stage.settings(recipe)}
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _changed(stage: Stage, record: StageRecord, settings: dict[str, Any]) -> str:
    old, new = dict(_flat(record.settings)), dict(_flat(settings))
    changes = [
        f"{key} was {old.get(key, 'absent')!r}, is {new.get(key, 'absent')!r}"
        # Hashes of templates last: the setting that brought other templates says more.
        for key in sorted(old.keys() | new.keys(), key=lambda key: (key.startswith("prompts."), key))
        if old.get(key, "absent") != new.get(key, "absent")
    ]
    what = "; ".join(changes[:3]) if changes else "a stage before it changed"
    what += f"; and {len(changes) - 3} more" if len(changes) > 3 else ""
    return f"stage {stage.name!r} is {record.state} under other settings: {what}"


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flat(item, f"{key}[{index}]")
    else:
        yield key, value


def run_recipe(
    recipe: Recipe,
    recipe_text: str,
    folder: Path,
    *,
    until: str | None = None,
    start: str | None = None,
    redo: str | None = None,
    watcher: Watcher | None = None,
) -> list[StageRecord]:
    """Run a recipe in its folder.

    Args:
        recipe: the recipe.
        recipe_text: its text, kept beside the results.
        folder: the run's folder.
        until: last stage to run.
        start: first stage to run.
        redo: stage to do anew, with all behind it.
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
    run = RunFolder(folder)
    records = []
    with _room_on(folder), run.locked():
        planned = plan(recipe, run, until=until, start=start, redo=redo)
        for item in planned:
            if item.action != "skip":
                item.stage.check(recipe)
        if redo is not None:
            # From the end: interrupted here, no stage is left without the one it was made from.
            for name in reversed(STAGE_NAMES[STAGE_NAMES.index(redo) :]):
                run.stage(name).remove()
        scratch = folder / ".recipe.yaml"
        scratch.write_text(recipe_text, encoding="utf-8")
        os.replace(scratch, folder / "recipe.yaml")
        for item in planned:
            if item.action == "skip":
                record = run.stage(item.stage.name).record()
                assert record is not None
            else:
                record = run_stage(item, watcher)
            watcher.stage_finished(item, record)
            records.append(record)
    return records


#: What the operating system says where no room is left: on the disk, for this user, or for this file.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def _room_on(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise DiskFullError(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error


def run_stage(planned: Planned, watcher: Watcher) -> StageRecord:
    """Run one stage on the local executor and check its counts.

    Raises:
        CountsError: if rows were lost or invented.
        RunError: if no row is left.
        SourceError: if the sources give no row.
    """
    stage, context = planned.stage, planned.context
    folder, recipe, watch = context.run.stage(stage.name), context.recipe, Stopwatch()
    before = folder.record() if planned.action == "continue" else None
    earlier = before.seconds if before else 0.0
    if before is None:
        folder.remove()
    record = StageRecord(stage.name, context.settings_hash, planned.settings, "running", earlier)
    folder.save(record)
    expected = _rows_in(stage, context)
    watcher.stage_started(planned, expected)
    try:
        for phase in stage.phases(context):
            executor = QuietExecutor(
                pipeline=phase.steps,
                tasks=phase.tasks,
                workers=min(phase.tasks, recipe.execution.workers),
                logging_dir=str(folder.logs / phase.name),
            )
            executor.run()
        record.counts = _counted(folder, expected)
        try:
            _check(stage, record.counts)
        except (RunError, SourceError):
            folder.forget_tasks()
            raise
        record.facts = stage.facts(context)
        record.state = "finished"
    finally:
        record.seconds = earlier + watch.seconds
        folder.save(record)
    folder.remove_work()
    return record


def _rows_in(stage: Stage, context: StageContext) -> int | None:
    index = STAGE_NAMES.index(stage.name)
    if index == 0:
        return None
    record = context.run.stage(STAGE_NAMES[index - 1]).record()
    return record.counts.rows_out if record else None


def _counted(folder: StageFolder, expected: int | None) -> Counts:
    counts = folder.counted()
    counts.rows_in = expected if expected is not None else _candidates(folder)
    return counts


def _candidates(folder: StageFolder) -> int:
    """Candidates that the source readers counted, from datatrove's statistics."""
    total = 0
    for file in sorted(folder.logs.rglob("stats/*.json")):
        for step in json.loads(file.read_text(encoding="utf-8")):
            value = step["stats"].get("candidates", 0)
            total += value["total"] if isinstance(value, dict) else value
    return total


def _check(stage: Stage, counts: Counts) -> None:
    if not counts.balanced:
        raise CountsError(
            f"stage {stage.name!r} got {counts.rows_in} rows (and made {counts.extra} more), "
            f"but {counts.rows_out} went on and {counts.rejected} were rejected"
        )
    if counts.rows_out == 0:
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.reasons.items()) or "it got none"
        error = SourceError if stage.name == STAGE_NAMES[0] else RunError
        raise error(f"stage {stage.name!r} has no row left of {counts.rows_in}: {reasons}")
