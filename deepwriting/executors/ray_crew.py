"""Workers on a Ray cluster: actors that run tasks one after the other, and what becomes of them.

A worker keeps its models from one task to the next, as a worker process of the local executor does, and gives back its
processors and GPUs as soon as there is nothing left for it. It gets a task when it is there, not before: workers that
the cluster has no room for wait without holding anything up.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from deepwriting.errors import TaskHeldError, WorkerLostError
from deepwriting.executors.ray_cluster import Needs, alive_nodes
from deepwriting.executors.task import one_line

if TYPE_CHECKING:
    from deepwriting.recipe import Recipe

log = logging.getLogger(__name__)

#: Environment variables with these beginnings go to the workers, where the node has not set them: they say which models
#: are found and how engines run. Those of the local executor's workers inherit everything.
ENVIRONMENT = ("DEEPWRITING_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TOKENIZERS_", "VLLM_", "SGLANG_", "SGL_")
#: Workers that may die one after the other before one of them has started.
MAX_STILLBORN = 8
#: How long idle workers may take to stop their engines (seconds).
LEAVE_SECONDS = 60.0


def variables(recipe: Recipe) -> tuple[str, ...]:
    """Names of the environment variables that workers need: engines' settings, and the keys that the recipe names."""
    sections = [*recipe.engines.generators, recipe.engines.scoring]
    keys = {name for section in sections if (name := getattr(section, "api_key_env", None)) is not None}
    return tuple(sorted({name for name in os.environ if name.startswith(ENVIRONMENT)} | keys))


@dataclass(frozen=True)
class Life:
    """The process of a worker that has started: its node, and what the note of its task calls it."""

    node: str
    host: str
    machine: str
    pid: int


@dataclass(eq=False)
class Worker:
    """One actor.

    Attributes:
        actor: Ray's handle.
        life: its process; ``None`` until it has started.
        rank: the task that it works on.
        began: when it was given the task (monotonic seconds).
        leaving: whether it was told to go.
        ended: why it was ended while it worked; empty if it was not.
    """

    actor: Any
    life: Life | None = None
    rank: int | None = None
    began: float = 0.0
    leaving: bool = False
    ended: str = ""


@dataclass(frozen=True)
class Report:
    """What became of a task.

    Attributes:
        kind: ``finished``; ``failed``, by an error of its own; ``held`` by another process; ``lost`` with its worker.
        rank: the task.
        why: the error, or what became of the worker; one line.
        worker: the process that worked on it.
        surely_dead: whether that process is known to have ended.
    """

    kind: Literal["finished", "failed", "held", "lost"]
    rank: int
    why: str = ""
    worker: Life | None = None
    surely_dead: bool = False


@dataclass
class Crew:
    """The workers of one phase; leaves none behind.

    Args:
        executor: what a worker runs a task of; pickled once.
        needs: what one worker takes from a node.
        variables: names of environment variables that the workers get.
    """

    executor: Any
    needs: Needs
    variables: tuple[str, ...] = ()
    _calls: dict[Any, Worker] = field(default_factory=dict)
    _idle: list[Worker] = field(default_factory=list)
    _stillborn: int = 0

    def __enter__(self) -> Crew:
        import ray

        self._executor = ray.put(self.executor)
        self._class = _worker_class()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        if kind is None:
            for worker in list(self._idle):
                self._dismiss(worker)
            leaving = [call for call, worker in self._calls.items() if worker.leaving]
            if leaving:
                ray.wait(leaving, num_returns=len(leaving), timeout=LEAVE_SECONDS)
        for worker in [*self._calls.values(), *self._idle]:
            ray.kill(worker.actor)

    @property
    def working(self) -> list[Worker]:
        """Workers that have a task."""
        return [worker for worker in self._calls.values() if worker.rank is not None]

    @property
    def present(self) -> int:
        """Workers that have started."""
        return len(self._idle) + sum(worker.life is not None for worker in self._calls.values())

    def fit(self, wanted: int) -> None:
        """Have as many workers as are wanted; those that work stay."""
        arriving = [worker for worker in self._calls.values() if worker.life is None and not worker.leaving]
        surplus = len(self.working) + len(self._idle) + len(arriving) - wanted
        # Those that hold nothing go first.
        for worker in (arriving[::-1] + self._idle)[: max(surplus, 0)]:
            self._dismiss(worker)
        for _ in range(-surplus):
            self._hire()

    def idle(self) -> Worker | None:
        """A worker that has nothing to do; ``None`` if there is none."""
        return self._idle[-1] if self._idle else None

    def give(self, worker: Worker, rank: int) -> None:
        """Have an idle worker run a task."""
        self._idle.remove(worker)
        worker.rank, worker.began = rank, time.monotonic()
        self._calls[worker.actor.run.remote(self._executor, rank)] = worker

    def reports(self, timeout: float) -> list[Report]:
        """What has become of tasks; waits until something happens.

        Args:
            timeout: longest wait (seconds).

        Raises:
            WorkerLostError: if one worker after the other dies before it has started.
        """
        import ray

        if not self._calls:
            time.sleep(timeout)
            return []
        ray.wait(list(self._calls), num_returns=1, timeout=timeout)
        done, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        found = [self._outcome(call, self._calls.pop(call)) for call in done]
        return [report for report in found if report is not None]

    def end_slow(self, seconds: int) -> None:
        """End workers whose task takes longer than its time limit; it counts as lost with its worker."""
        import ray

        for worker in self.working:
            if not worker.ended and time.monotonic() - worker.began > seconds:
                worker.ended = f"it reached its time limit of {seconds} s"
                ray.kill(worker.actor)

    def _hire(self) -> None:
        import ray

        actor = ray.remote(self._class).options(
            num_cpus=self.needs.cpus,
            num_gpus=self.needs.gpus,
            memory=self.needs.memory,
            scheduling_strategy="SPREAD",
            max_restarts=0,
        )
        # Not among Ray's own settings of an actor, which everybody sees on its dashboard: keys are among them.
        environment = {name: os.environ[name] for name in self.variables if name in os.environ}
        place = self.executor.place
        worker = Worker(actor.remote(environment, None if place is None else place.cwd))
        self._calls[worker.actor.hello.remote()] = worker

    def _dismiss(self, worker: Worker) -> None:
        import ray

        worker.leaving = True
        if worker in self._idle:
            self._idle.remove(worker)
            self._calls[worker.actor.leave.remote()] = worker
        else:
            ray.kill(worker.actor)

    def _outcome(self, call: Any, worker: Worker) -> Report | None:
        """What the end of a call means; ``None`` if it was no task's."""
        import ray

        rank, worker.rank = worker.rank, None
        try:
            answer = ray.get(call)
        except ray.exceptions.RayError as error:
            ray.kill(worker.actor)  # one whose task failed may have a damaged engine
            if worker.leaving:
                return None
            if rank is None:
                self._no_birth(error)
                return None
            return _report(rank, worker, error)
        if worker.leaving:
            ray.kill(worker.actor)
            return None
        self._idle.append(worker)
        if rank is None:
            worker.life, self._stillborn = Life(**answer), 0
            return None
        return Report("finished", rank, worker=worker.life)

    def _no_birth(self, error: Exception) -> None:
        self._stillborn += 1
        why = one_line(getattr(error, "cause", None) or error)
        log.warning("a worker died before it had started: %s", why)
        if self._stillborn >= MAX_STILLBORN:
            raise WorkerLostError(f"{self._stillborn} workers died before they had started, the last by {why}")


def _report(rank: int, worker: Worker, error: Exception) -> Report:
    """What an error of a call says about its task."""
    import ray

    life, cause = worker.life, getattr(error, "cause", None)
    if isinstance(error, ray.exceptions.RayTaskError):
        kind: Literal["held", "failed"] = "held" if isinstance(cause, TaskHeldError) else "failed"
        return Report(kind, rank, one_line(cause or error), life)
    assert life is not None  # it had no task before it had started
    if life.node not in {node.id for node in alive_nodes()}:
        return Report("lost", rank, f"node {life.host} was lost", life)
    # A worker that cannot be reached may live, and only its lease tells.
    dead = isinstance(error, ray.exceptions.ActorDiedError | ray.exceptions.OutOfMemoryError)
    what = worker.ended or f"worker process {life.pid} on {life.host} {'died' if dead else 'cannot be reached'}"
    return Report("lost", rank, what, life, surely_dead=dead)


def _worker_class() -> type:
    """The actor's class; made here so that it is pickled as a whole and needs nothing of ours before its variables."""

    class Tasks:
        def __init__(self, environment: dict[str, str], folder: str | None):
            for name, value in environment.items():
                os.environ.setdefault(name, value)
            # Before anything of the run is unpickled: its relative paths are looked up then. A worker of Ray begins
            # where its node was started.
            if folder is not None and os.path.isdir(folder):
                os.chdir(folder)

        def hello(self) -> dict[str, Any]:
            import socket

            import ray

            from deepwriting.lease import machine

            node = ray.get_runtime_context().get_node_id()
            return {"node": node, "host": socket.gethostname(), "machine": machine(), "pid": os.getpid()}

        def run(self, executor: Any, rank: int) -> None:
            executor._run_for_rank(rank)

        def leave(self) -> None:
            from deepwriting.engines.registry import close_engines

            close_engines()

    return Tasks
