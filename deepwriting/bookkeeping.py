"""What is recorded about a stage when it begins and when it ends, and whether rows were lost.

On this machine the process that runs a recipe does this; on a cluster that is left alone, a task between two stages.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from deepwriting.errors import CountsError, RunError, SourceError
from deepwriting.planning import Planned
from deepwriting.rundir import Counts, StageFolder, StageRecord
from deepwriting.stages import STAGE_NAMES, Stage, StageContext


def begin_stage(planned: Planned, *, submitted: bool = False) -> StageRecord:
    """Record that a stage begins or goes on; what is left of another life of it is deleted unless it goes on.

    Args:
        planned: the stage.
        submitted: whether its tasks wait in a queue already, with what they need in the stage's folder.
    """
    stage, context = planned.stage, planned.context
    folder = context.run.stage(stage.name)
    before = folder.record() if planned.action == "continue" or submitted else None
    if before is None and not submitted:
        folder.remove()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = StageRecord(
        stage.name, context.settings_hash, planned.settings, "running", before.seconds if before else 0.0, started=now
    )
    folder.save(record)
    return record


def end_stage(planned: Planned, record: StageRecord) -> StageRecord:
    """Count a stage's rows, check them, and record it as finished.

    Args:
        planned: the stage; all its tasks have run.
        record: its record; counts, facts and state are put in.

    Raises:
        CountsError: if rows were lost or invented.
        RunError: if no row is left.
        SourceError: if the sources give no row.
    """
    stage, context = planned.stage, planned.context
    folder = context.run.stage(stage.name)
    context.run.refresh()  # the tasks of a remote run may have worked elsewhere
    record.counts = _counted(folder, rows_in(stage, context))
    try:
        _check(stage, record.counts)
    except (RunError, SourceError):
        folder.forget_tasks()
        raise
    record.facts = stage.facts(context)
    record.state = "finished"
    return record


def rows_in(stage: Stage, context: StageContext) -> int | None:
    """Rows that the stage before has left; ``None`` for the first one."""
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
