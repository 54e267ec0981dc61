"""The bookkeeping between two stages as a step of a pipeline, for executors that nobody waits for.

On this machine the process that runs a recipe counts, checks and records each stage when its tasks are done. Where
everything is submitted at once, that is a task of its own behind the stage's others, and before those of the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from deepwriting.errors import RunError

#: Name of the phase, and of the folder of its logs.
SETTLE = "settle"


class SettleStage(PipelineStep):
    """Counts a stage's rows, checks and records them, and begins the next stage.

    Args:
        run: the run's folder.
        stage: the stage that has run.
        following: the stage that runs next; ``None`` behind the last one.
        executor: what runs them.
    """

    type = "🧾 - SETTLE"
    name = "Counts and record"

    def __init__(self, run: str, stage: str, following: str | None, executor: str):
        super().__init__()
        self.run_folder = run
        self.stage = stage
        self.following = following
        self.executor = executor

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Settle the stage; yields nothing.

        Raises:
            CountsError: if rows were lost or invented.
            RunError: if no row is left.
        """
        from deepwriting.bookkeeping import begin_stage, end_stage
        from deepwriting.planning import plan_of
        from deepwriting.rundir import RunFolder

        run = RunFolder(Path(self.run_folder))
        planned, folder = plan_of(run, self.stage), run.stage(self.stage)
        record = folder.record()
        if record is None:
            raise RunError(f"stage {self.stage!r} has no record in {folder.path}; it was removed while it ran")
        if record.state != "finished":  # else this task was killed between two files
            try:
                end_stage(planned, record)
            finally:
                record.seconds += seconds_since(record.started)
                folder.save(record)
        folder.remove_work()
        if self.following is not None:
            begin_stage(plan_of(run, self.following), submitted=True)
        else:
            run.forget_holder()
        yield from ()


def seconds_since(started: str | None) -> float:
    """Seconds since a moment (ISO 8601), by this machine's clock; 0 if it is not known or still to come."""
    if started is None:
        return 0.0
    return max((datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds(), 0.0)
