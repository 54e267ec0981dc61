"""What is known about a run by whoever looks at it: plain values, which tables, JSON and metrics are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from deepwriting.reer.status import SearchStatus
from deepwriting.rundir import StageRecord

#: ``waiting``: nobody works on it now. ``stalled``: somebody began, and is gone or not heard of. ``failed``: it ended
#: with an error.
TaskState = Literal["waiting", "running", "stalled", "failed", "done"]
TASK_STATES: tuple[TaskState, ...] = ("done", "running", "stalled", "failed", "waiting")

#: ``queued``: submitted, and no task of it has begun. ``stalled``: somebody is at work, but no task moves.
#: ``failed``: a task has failed and nobody goes on. ``interrupted``: nobody goes on, and no task has failed.
#: ``stopped`` (a run's only): ended in order before its last stage.
Condition = Literal["waiting", "queued", "running", "stalled", "failed", "interrupted", "stopped", "finished"]
CONDITIONS: tuple[Condition, ...] = (
    "waiting", "queued", "running", "stalled", "failed", "interrupted", "stopped", "finished",
)  # fmt: skip
#: Conditions of a run that somebody works on, or will without being asked.
GOING: tuple[Condition, ...] = ("queued", "running", "stalled")


@dataclass(frozen=True)
class TaskView:
    """One task of the phase that a stage is in.

    Attributes:
        stage: its stage.
        phase: its phase; empty for a stage's last one.
        rank: its number.
        state: what is to be thought of it.
        host: the machine of the process that works on it, or did last.
        pid: that process.
        job: what the cluster calls the job.
        attempt: how many processes have begun it.
        silent_seconds: time since its process was last heard of.
        rows_done: rows that are through; ``None`` where that is not known.
        rows_total: rows that it has; ``None`` where that is not known.
        rows_per_second: its speed; ``None`` where that is not known.
        why: what is wrong, for one that failed or stalled.
        last_line: last line of its log, likewise.
        log: its log, relative to the run.
    """

    stage: str
    phase: str
    rank: int
    state: TaskState
    host: str | None = None
    pid: int | None = None
    job: str | None = None
    attempt: int = 0
    silent_seconds: float | None = None
    rows_done: float | None = None
    rows_total: int | None = None
    rows_per_second: float | None = None
    why: str = ""
    last_line: str = ""
    log: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Time until its rows are through; ``None`` where that is not known."""
        if self.state != "running" or self.rows_total is None or self.rows_done is None or not self.rows_per_second:
            return None
        return max(self.rows_total - self.rows_done, 0.0) / self.rows_per_second


@dataclass(frozen=True)
class PhaseView:
    """One phase of a stage: its name, empty for the last one, and how many of its tasks are in which state."""

    name: str
    tasks: Mapping[TaskState, int]

    @property
    def total(self) -> int:
        """Number of tasks."""
        return sum(self.tasks.values())

    @property
    def done(self) -> bool:
        """Whether all its tasks are."""
        return self.tasks["done"] == self.total

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"name": self.name, "tasks": {str(state): count for state, count in self.tasks.items()}}


@dataclass(frozen=True)
class StageView:
    """One stage of a run.

    Attributes:
        name: the stage.
        condition: how it stands.
        record: what its ``stage.json`` holds; ``None`` before it has begun.
        phases: the phases that are known, in order; the last one's name is empty.
        phase: the phase that it is in; ``None`` before it has begun.
        rows_done: rows that are through, rejected ones included.
        rows_total: rows that it has; ``None`` where that is not known.
        rows_per_second: rows through, of the tasks that run; ``None`` where that is not known.
        seconds_left: time until the last task is through; ``None`` where that is not known.
        running: tasks that run.
        troubles: tasks that failed or stalled.
    """

    name: str
    condition: Condition
    record: StageRecord | None = None
    phases: list[PhaseView] = field(default_factory=list)
    phase: PhaseView | None = None
    rows_done: int = 0
    rows_total: int | None = None
    rows_per_second: float | None = None
    seconds_left: float | None = None
    running: list[TaskView] = field(default_factory=list)
    troubles: list[TaskView] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON values: the stage's record, and what else is known."""
        record = asdict(self.record) if self.record else {"stage": self.name, "state": "waiting"}
        return record | {
            "condition": self.condition,
            "rows_done": self.rows_done,
            "rows_total": self.rows_total,
            "rows_per_second": self.rows_per_second,
            "seconds_left": self.seconds_left,
            "phase": self.phase.name if self.phase else None,
            "phases": [phase.as_dict() for phase in self.phases],
            "running": [asdict(task) | {"seconds_left": task.seconds_left} for task in self.running],
            "troubles": [asdict(task) for task in self.troubles],
        }


@dataclass(frozen=True)
class Driver:
    """The process that drives a run, or has submitted it.

    Attributes:
        host: its machine.
        pid: its process id there.
        started: when it began, by that machine's clock (ISO 8601).
        executor: what runs the tasks.
        jobs: what it has submitted, by the cluster's ids.
        jobs_left: those of them that are queued or run; ``None`` where that cannot be told from here.
        silent_seconds: time since it was last heard of.
        alive: whether it works, as far as can be told from here.
    """

    host: str
    pid: int
    started: str
    executor: str = "local"
    jobs: list[str] = field(default_factory=list)
    jobs_left: list[str] | None = None
    silent_seconds: float = 0.0
    alive: bool = False


@dataclass(frozen=True)
class RunView:
    """A run at one moment.

    Attributes:
        run: its folder, or address.
        condition: how it stands.
        driver: who drives it, or did last; ``None`` if it ended in order.
        stages: name -> stage, in their order.
        search: figures of the search; ``None`` before it has begun.
        certain: whether those that are thought to be gone are; else further looks tell.
        cautions: what cannot be told from here, in sentences.
    """

    run: str
    condition: Condition
    driver: Driver | None
    stages: dict[str, StageView]
    search: SearchStatus | None
    certain: bool = True
    cautions: list[str] = field(default_factory=list)

    @property
    def going(self) -> bool:
        """Whether somebody works on it, or will without being asked."""
        return self.condition in GOING

    @property
    def current(self) -> StageView | None:
        """The stage that has begun and not finished; ``None`` if there is none."""
        unfinished = [stage for stage in self.stages.values() if stage.record and stage.condition != "finished"]
        return unfinished[0] if unfinished else None

    @property
    def troubles(self) -> list[TaskView]:
        """Tasks that failed or stalled, of all stages."""
        return [task for stage in self.stages.values() for task in stage.troubles]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        running = self.driver is not None and (self.driver.alive or self.going)
        return {
            "run": self.run,
            "condition": self.condition,
            "running": asdict(self.driver) if self.driver and running else None,
            "stages": {name: stage.as_dict() for name, stage in self.stages.items()},
            "search": self.search.as_dict() if self.search else None,
            "certain": self.certain,
            "cautions": self.cautions,
        }
