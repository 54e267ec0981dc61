"""What an executor is to a run: something that runs the tasks of one phase, wherever its machines are.

datatrove's executors do the work; a ``Runner`` says what they are given, and what a failure of theirs means.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from deepwriting.errors import ExecutorError

if TYPE_CHECKING:
    from deepwriting.executors.task import TaskPlace
    from deepwriting.recipe import Recipe
    from deepwriting.sections.execution import StageExecution
    from deepwriting.stages.base import Phase


@dataclass(frozen=True)
class PhaseJob:
    """One phase of one stage, to be run as datatrove tasks.

    Attributes:
        recipe: the recipe.
        run: the run's folder, absolute.
        stage: the stage's name.
        phase: steps and number of tasks.
        logs: folder of datatrove's logs, statistics and completion markers.
        resources: what each task gets; no more workers than tasks.
    """

    recipe: Recipe
    run: Path
    stage: str
    phase: Phase
    logs: Path
    resources: StageExecution

    @property
    def name(self) -> str:
        """A name for queues and logs, such as ``quickstart-dedupe-buckets``."""
        return "-".join(part for part in (self.recipe.name, self.stage, self.phase.name) if part)

    def place(self, executor: str) -> TaskPlace:
        """Where a task finds itself; travels with it to its machine."""
        from deepwriting.executors.task import TaskPlace

        return TaskPlace(
            run=str(self.run), stage=self.stage, phase=self.phase.name, executor=executor, cwd=str(Path.cwd()),
            logs=str(self.logs.relative_to(self.run)),
        )  # fmt: skip


class Runner(ABC):
    """Runs phases on one kind of executor.

    Args:
        recipe: the recipe.
    """

    name: ClassVar[str]
    #: Whether phases are submitted all at once and run without this process.
    detached: ClassVar[bool] = False
    #: What of a stage's resources it heeds, beside tasks and workers.
    uses: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    def check(self, run: Path) -> None:  # noqa: B027 - the local one needs nothing
        """Look for what the executor needs, before any work.

        Args:
            run: the run's folder.

        Raises:
            ExecutorError: if something is not there.
        """

    def run(self, job: PhaseJob) -> None:
        """Run all tasks of a phase that have not finished, and wait for them.

        Raises:
            TasksFailedError: if some did not finish.
            WorkerLostError: if a worker process was killed and cannot be replaced.
        """
        raise ExecutorError(f"executor {self.name!r} only submits; it has no run")

    def submit(self, jobs: Sequence[PhaseJob]) -> dict[str, Any]:
        """Submit phases, each to begin when the one before has finished.

        Returns:
            What the run's note keeps: ``jobs``, the ids in order, and whatever else identifies them.

        Raises:
            ExecutorError: if they are not accepted.
        """
        raise ExecutorError(f"executor {self.name!r} runs phases one by one; it has no submit")

    def describe(self, job: PhaseJob) -> dict[str, Any]:
        """What would be run or submitted for a phase; JSON values."""
        needs = job.resources.model_dump(include=set(self.uses))
        return {"name": job.name, "tasks": job.phase.tasks, "workers": job.resources.workers, **needs}

    @classmethod
    def jobs_left(cls, jobs: Sequence[str]) -> list[str] | None:
        """Which submitted jobs are still queued or running; ``None`` where this machine cannot tell."""
        return None
