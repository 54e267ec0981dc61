"""datatrove's Ray executor, made safe against workers and nodes that die.

What datatrove's own ``run`` does differently, and why it is replaced here:

- Each of its actors forks a pool of processes and waits for ever for one that was killed.
- An actor that dies between its start and its first call leaves the run waiting for ever; tasks that failed are
  dropped with a warning, and the run goes on without their rows.
- It starts an actor a task: a model would be loaded for every shard. Here an actor stays for the phase.
- Logs are kept in the node's folder for temporary files until the task has ended, and are lost with the node.

Ray places the actors and finds out who died. A task whose worker or node is lost is given to another one and goes on
where the journal ends.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.utils.stats import PipelineStats

from deepwriting.errors import TasksFailedError
from deepwriting.executors.base import PhaseJob, Runner
from deepwriting.executors.ray_cluster import Needs, check_nodes, connect
from deepwriting.executors.ray_crew import Crew, Report, variables
from deepwriting.executors.task import TaskMixin, silence
from deepwriting.remote.notes import note_at
from deepwriting.remote.working import refresh

log = logging.getLogger(__name__)

_GIB = 1 << 30
#: How often the workers are looked after when nothing happens (seconds).
LOOK_SECONDS = 1.0
#: How long a task that somebody else holds is tried again, and how often (seconds): workers of a run that was killed
#: need a moment to end, and those of a node that was cut off are given up when their beats stand still.
HELD_SECONDS, HELD_PAUSE_SECONDS = 180.0, 3.0
#: Seconds between two lines that say that the cluster has no room.
WAITING_SECONDS = 60.0


class _LogsInPlace(RayPipelineExecutor):
    """Logs go to the run's folder while they are written, as those of datatrove's other executors do."""

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        return PipelineExecutor._run_for_rank(self, rank, local_rank, node_rank)


class RayExecutor(TaskMixin, _LogsInPlace):
    """Runs the tasks of one phase on the cluster that this process is connected to.

    Attributes:
        retries: how often a task whose worker was lost is given to another one.
        variables: names of the environment variables that the workers get.
    """

    pipeline: list[Any]
    retries: int = 10
    variables: tuple[str, ...] = ()

    def __init__(self, **options: Any):
        with silence():  # datatrove warns of folders that are not in an object store
            super().__init__(**options)

    @property
    def needs(self) -> Needs:
        """What one worker takes from a node."""
        return Needs(self.cpus_per_task, self.gpus_per_task, int(self.mem_per_cpu_gb * self.cpus_per_task * _GIB))

    def run(self) -> PipelineStats | None:
        """Run all tasks that have not finished.

        Raises:
            TasksFailedError: if some did not finish; the others have.
            WorkerLostError: if no worker can be started.
        """
        with silence():
            ranks = self.get_incomplete_ranks()
            if not ranks:
                return None
            self.save_executor_as_json()
        with Crew(self, self.needs, self.variables) as crew:
            failed = _Shift(self, crew, ranks).work()
        if failed:
            raise TasksFailedError(_failures(failed, self.tasks))
        if self.place is not None:
            refresh(Path(self.place.run))
        return self._merged_stats()

    def _merged_stats(self) -> PipelineStats:
        stats = PipelineStats()
        for name in sorted(self.logging_dir.list_files("stats", glob_pattern="*.json")):
            with self.logging_dir.open(name, "rt") as file:
                stats += PipelineStats.from_json(json.load(file))
        with self.logging_dir.open("stats.json", "wt") as file:
            stats.save_to_disk(file)
        return stats


class _Shift:
    """One phase's work: which tasks wait, which were lost how often, which failed."""

    def __init__(self, executor: RayExecutor, crew: Crew, ranks: list[int]):
        self.executor, self.crew = executor, crew
        self.waiting = deque(ranks)
        self.lost = Counter[int]()
        self.failed: dict[int, str] = {}
        self._refused: dict[int, float] = {}  # task -> when somebody else was first found to hold it
        self._later: dict[int, float] = {}  # task that somebody else holds -> when to try again
        self._said = time.monotonic()

    def work(self) -> dict[int, str]:
        """Have all tasks done that can be done; why the others were not."""
        while self.waiting or self._later or self.crew.working:
            for rank in [rank for rank, due in self._later.items() if due <= time.monotonic()]:
                del self._later[rank]
                self.waiting.append(rank)
            self.crew.fit(min(self.executor.workers, len(self.waiting) + len(self._later) + len(self.crew.working)))
            while self.waiting and (worker := self.crew.idle()) is not None:
                self.crew.give(worker, self.waiting.popleft())
            for report in self.crew.reports(LOOK_SECONDS):
                self._take(report)
            if self.executor.time is not None:
                self.crew.end_slow(self.executor.time)
            self._say_waiting()
        return self.failed

    def _take(self, report: Report) -> None:
        rank, now = report.rank, time.monotonic()
        if report.kind == "lost":
            self._lose(report)
        elif report.kind == "held" and now - self._refused.setdefault(rank, now) < HELD_SECONDS:
            self._later[rank] = now + HELD_PAUSE_SECONDS
        elif report.kind != "finished":
            self.failed[rank] = report.why
            log.warning("task %d failed: %s", rank, report.why)

    def _lose(self, report: Report) -> None:
        rank = report.rank
        if report.surely_dead:
            self._note_dead(report)
        self.lost[rank] += 1
        if self.lost[rank] > self.executor.retries:
            self.failed[rank] = f"lost {self.lost[rank]} workers, the last because {report.why}"
            return
        log.warning("task %d goes to another worker: %s", rank, report.why)
        self.waiting.append(rank)

    def _note_dead(self, report: Report) -> None:
        """Say in the task's note that its worker is dead: the next one need not watch whether its beat still moves."""
        if self.executor.place is None or report.worker is None:
            return
        note = note_at(self.executor.place.note(report.rank))
        values = note.read()
        if values is None or values.get("state") != "running":
            return
        if (values.get("machine"), values.get("pid")) == (report.worker.machine, report.worker.pid):
            note.write(values | {"state": "failed", "error": f"WorkerLostError: {report.why}"})

    def _say_waiting(self) -> None:
        now = time.monotonic()
        if self.crew.present or not self.waiting:
            self._said = now
        elif now - self._said > WAITING_SECONDS:
            self._said = now
            log.info("waiting for room in the Ray cluster: %d tasks, no worker", len(self.waiting))


def _failures(failed: dict[int, str], tasks: int) -> str:
    """All failures in one line: the first one in full."""
    rank, why = min(failed.items())
    more = f"; and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"{len(failed)} of {tasks} tasks failed; task {rank}: {why}{more}"


class RayRunner(Runner):
    """A Ray cluster."""

    name = "ray"
    uses = ("cpus", "memory_gb", "gpus", "time")

    def check(self, run: Path) -> None:
        """Connect to the cluster, and look whether its nodes can do the work.

        Raises:
            ExecutorError: if Ray is not installed, there is no cluster, a node lacks this package or does not see the
                run's folder, or no node can hold a task of some stage.
        """
        from deepwriting.stages import STAGE_NAMES

        connect(self.recipe.execution.ray.address)
        check_nodes(run.absolute(), {stage: self._needs(self.recipe.execution.of(stage)) for stage in STAGE_NAMES})

    def run(self, job: PhaseJob) -> None:
        """Run the tasks on the cluster's nodes.

        Raises:
            TasksFailedError: if some did not finish; the others have.
            WorkerLostError: if no worker can be started.
        """
        connect(self.recipe.execution.ray.address)
        needs = self._needs(job.resources)
        executor = RayExecutor(
            pipeline=job.phase.steps,
            tasks=job.phase.tasks,
            workers=job.resources.workers,
            logging_dir=str(job.logs),
            cpus_per_task=needs.cpus,
            mem_per_cpu_gb=job.resources.memory_gb / needs.cpus,
            gpus_per_task=needs.gpus,
            time=job.resources.time_s,
        )
        executor.place = job.place(self.name)
        executor.retries = self.recipe.execution.ray.retries
        executor.variables = variables(self.recipe)
        executor.run()

    def describe(self, job: PhaseJob) -> dict[str, Any]:
        """The workers that Ray would be asked for."""
        return super().describe(job) | {"address": self.recipe.execution.ray.address}

    @staticmethod
    def _needs(resources: Any) -> Needs:
        return Needs(resources.cpus, resources.gpus, int(resources.memory_gb * _GIB))
