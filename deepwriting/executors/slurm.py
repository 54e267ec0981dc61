"""Slurm: every phase of every stage is an array job, handed in at once, each waiting for the one before.

datatrove's Slurm executor carries the tasks. What its own ``launch_job`` does differently, and why it is replaced here:

- Of a phase that needs several array jobs only the last one is waited for: tasks lost in the first ones went unnoticed.
- It takes memory in whole GB for each processor, and always names a partition and a quality of service.
- ``launch_pickled_pipeline`` has to be on the nodes' PATH, and statistics are merged by a job of their own each time.
- A job whose dependency has failed stays in the queue for ever.
- Its way to queue a task again takes the whole array along (``slurm_script.py``).
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from datatrove.executor.base import DistributedEnvVars
from datatrove.executor.slurm import SlurmPipelineExecutor

from deepwriting.errors import ExecutorError, RunLockedError, TaskHeldError
from deepwriting.executors import slurm_queue as queue
from deepwriting.executors.base import PhaseJob, Runner
from deepwriting.executors.slurm_script import (
    ATTEMPTS,
    TO_BE_CONTINUED,
    check_options,
    clock,
    command,
    options_of,
    script,
)
from deepwriting.executors.task import TaskMixin, TaskPlace
from deepwriting.remote.places import COPIES_VARIABLE, url_of

if TYPE_CHECKING:
    from deepwriting.sections.execution import SlurmSection

log = logging.getLogger(__name__)

#: Folder of the tasks' output below the phase's logs.
OUTPUT = "slurm"
#: datatrove's names for what a job finds in the phase's logs.
_PICKLE, _RANKS, _SCRIPT = "executor.pik", "ranks_to_run.json", "launch_script.slurm"
#: A task needs at least this much time beside the warning (seconds): Slurm may warn a minute early.
_LEAST_SECONDS = 120


class SlurmExecutor(TaskMixin, SlurmPipelineExecutor):
    """One phase as array jobs.

    Args:
        job: the phase.
        settings: the recipe's section about Slurm.
    """

    place: TaskPlace

    def __init__(self, job: PhaseJob, settings: SlurmSection):
        resources = job.resources
        super().__init__(
            pipeline=job.phase.steps,
            tasks=job.phase.tasks,
            time=clock(resources.time_s) if resources.time_s is not None else "",
            partition=resources.partition or "",
            cpus_per_task=resources.cpus,
            gpus_per_task=resources.gpus,
            workers=resources.workers,
            job_name=job.name,
            qos=settings.qos or "",
            max_array_size=settings.max_array,
            logging_dir=str(job.logs),
            slurm_logs_folder=str(job.logs / OUTPUT),
            requeue_signals=None,
            with_srun=False,
        )
        self.place = job.place(SlurmRunner.name)
        self.settings = settings
        self.needs = resources
        self.run_folder = str(job.run)

    def script(self, tasks: int) -> str:
        """The batch script for an array.

        Args:
            tasks: tasks in the array.
        """
        logs, settings = Path(self.logging_dir.path), self.settings
        options = options_of(
            self.needs,
            # Spaces and the like are allowed in the names of recipes, and a nuisance in a queue.
            name=re.sub(r"[^\w.-]+", "_", self.job_name),
            array=self._indices(tasks),
            comment=_comment(Path(self.run_folder)),
            folder=logs / OUTPUT,
            warning_s=settings.warning_s,
            qos=settings.qos,
            account=settings.account,
            more=settings.options,
        )
        return script(
            options,
            command=command(
                sys.executable, logs / _PICKLE, self.needs, folders=[Path(self.place.cwd), Path(self.run_folder)]
            ),
            setup=settings.setup,
            folder=logs / OUTPUT,
            retries=settings.retries,
            warning_s=settings.warning_s,
        )

    def hand_in(self, after: str) -> str:
        """Hand in all tasks that have not finished.

        Args:
            after: id of the job whose success they wait for; empty if there is none.

        Returns:
            The job's id; those of several joined by ``+``; empty if all tasks have finished.

        Raises:
            ExecutorError: if Slurm does not take them; then none of them is left.
        """
        import dill

        ranks = self.get_incomplete_ranks()
        if not ranks:
            return ""
        logs = Path(self.logging_dir.path)
        (logs / OUTPUT).mkdir(parents=True, exist_ok=True)
        for old in (logs / OUTPUT).glob("attempts-*"):
            old.unlink()
        with (logs / _PICKLE).open("wb") as file:
            dill.dump(self, file, fmode=dill.CONTENTS_FMODE)
        (logs / _RANKS).write_text(json.dumps(ranks), encoding="utf-8")
        self.save_executor_as_json()
        text = self.script(min(len(ranks), self.max_array_size))
        (logs / _SCRIPT).write_text(text, encoding="utf-8")
        ids: list[str] = []
        try:
            for offset, first in enumerate(range(0, len(ranks), self.max_array_size)):
                waits = [f"afterok:{after.replace(queue.JOINT, ':')}"] if after else []
                waits += [f"afterany:{ids[-1]}"] if ids else []
                tasks = min(len(ranks) - first, self.max_array_size)
                options = [f"--export=ALL,RUN_OFFSET={offset}", f"--array={self._indices(tasks)}"]
                options += [f"--dependency={','.join(waits)}"] if waits else []
                ids.append(queue.hand_in(text, *options))
        except BaseException:  # an interrupt, too
            queue.cancel(ids)
            raise
        return queue.JOINT.join(ids)

    def run(self) -> None:
        """Run this array task's part; called on a node.

        Ends with ``TO_BE_CONTINUED`` when it is to be queued again, and as if killed when it got nowhere.
        """
        rank = self._own_rank()
        if rank is None:
            return
        attempt = _Attempt(Path(self.place.run) / self.place.stage / "journal", rank)
        signal.signal(signal.SIGUSR1, _stop)
        signal.signal(signal.SIGTERM, _stop)
        try:
            super().run()
        except TaskHeldError as error:
            # Slurm gave this task up and began it anew, and somebody else lives all the same. Later it may not.
            log.warning("%s", error)
            sys.exit(_killed_by(signal.SIGUSR1))
        except SystemExit as end:
            if end.code == _killed_by(signal.SIGUSR1) and attempt.got_somewhere():
                sys.exit(TO_BE_CONTINUED)
            raise

    def get_distributed_env(self, node_rank: int = -1) -> DistributedEnvVars:
        """What datatrove tells a task about its node; asks no command, which a container may not have."""
        return DistributedEnvVars(
            datatrove_node_ips=os.environ.get("SLURMD_NODENAME", socket.gethostname()),
            datatrove_cpus_per_task=str(self.needs.cpus),
            datatrove_mem_per_cpu=str(self.needs.memory_gb / self.needs.cpus),
            datatrove_gpus_on_node=str(self.needs.gpus),
            datatrove_executor="SLURM",
        )

    def _indices(self, tasks: int) -> str:
        """The indices of an array, and how many run at the same time."""
        return f"0-{tasks - 1}" + (f"%{self.workers}" if self.workers < tasks else "")

    def _own_rank(self) -> int | None:
        index = int(os.environ["SLURM_ARRAY_TASK_ID"]) + self.max_array_size * int(os.environ.get("RUN_OFFSET", "0"))
        with self.logging_dir.open(_RANKS, "r") as file:
            ranks: list[int] = json.load(file)
        return ranks[index] if index < len(ranks) else None


def _comment(run: Path) -> str:
    """What the jobs of a run carry: whoever submits a run again finds them, even if nobody noted their ids."""
    return f"deepwriting {run.absolute()}"


class _Attempt:
    """Whether this attempt at a task, or the one before, has written anything into the task's journal.

    Forgets the attempts that the batch script has counted as soon as one got somewhere.

    Args:
        journal: folder of the stage's journals.
        rank: the task.
    """

    def __init__(self, journal: Path, rank: int):
        self._journal, self._rank = journal, rank
        counted = os.environ.get(ATTEMPTS)
        self._counted = Path(counted) if counted else None
        self._size = self._written()
        if self._counted is not None:
            seen = self._counted.with_name(f"{self._counted.name}.journal")
            if seen.exists() and self._size > int(seen.read_text(encoding="ascii") or 0):
                self._counted.unlink(missing_ok=True)
            seen.write_text(str(self._size), encoding="ascii")

    def got_somewhere(self) -> bool:
        """Whether the journal has grown since this attempt began."""
        return self._written() > self._size

    def _written(self) -> int:
        return sum(file.stat().st_size for file in self._journal.glob(f"{self._rank:05d}*"))


def _killed_by(number: int) -> int:
    """The exit status that a shell gives to a process that a signal has killed."""
    return 128 + number


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # once is enough: what is being closed is not to be interrupted
    sys.exit(_killed_by(number))


class SlurmRunner(Runner):
    """Hands everything in and leaves."""

    name = "slurm"
    detached = True
    uses = ("cpus", "memory_gb", "gpus", "time", "partition", "image")

    def check(self, run: Path) -> None:
        """Look for sbatch, and for settings with which no task could get anywhere.

        Raises:
            ExecutorError: if something is missing or impossible.
            RunLockedError: if jobs of the run are still in the queue.
        """
        if url_of(run) is not None and COPIES_VARIABLE not in os.environ:
            raise ExecutorError(
                f"executor 'slurm' hands its jobs over in files, and the nodes do not see {run}; allowed: a folder "
                f"that all nodes see, as --run-dir or in the environment variable {COPIES_VARIABLE}"
            )
        if shutil.which("sbatch") is None:
            raise ExecutorError("sbatch is not on this machine; submit from one that belongs to a Slurm cluster")
        if jobs := queue.of_run(_comment(run)):
            raise RunLockedError(f"jobs of {run} are still in the queue: {' '.join(jobs)}")
        settings = self.recipe.execution.slurm
        check_options(settings.options)
        for stage in type(self.recipe.execution.stages).model_fields:
            time_s = self.recipe.execution.of(stage).time_s
            if time_s is not None and time_s < settings.warning_s + _LEAST_SECONDS:
                raise ExecutorError(
                    f"stage {stage!r} has {time_s} s for each task, and stops {settings.warning_s} s before that "
                    f"(execution.slurm.warning_s): allow at least {settings.warning_s + _LEAST_SECONDS} s"
                )

    def submit(self, jobs: Sequence[PhaseJob]) -> dict[str, Any]:
        """Hand in all phases, each waiting for the one before; all or none.

        Returns:
            ``jobs``: an id for each phase, empty for one that had finished.

        Raises:
            ExecutorError: if Slurm does not take them.
        """
        ids: list[str] = []
        before = ""
        for job in jobs:
            try:
                ids.append(SlurmExecutor(job, self.recipe.execution.slurm).hand_in(before))
            except BaseException as error:
                queue.cancel(list(reversed(ids)))
                if isinstance(error, ExecutorError):
                    raise ExecutorError(f"{job.name}: {error}") from error
                raise
            before = ids[-1] or before
        return {"jobs": ids}

    def describe(self, job: PhaseJob) -> dict[str, Any]:
        """What would be handed in, with the batch script."""
        executor = SlurmExecutor(job, self.recipe.execution.slurm)
        tasks = len(executor.get_incomplete_ranks()) or job.phase.tasks  # finished ones may be about to be redone
        text = executor.script(min(tasks, executor.max_array_size))
        return super().describe(job) | {"script": text}

    @classmethod
    def jobs_left(cls, jobs: Sequence[str]) -> list[str] | None:
        """Which jobs are still queued or running; ``None`` where none of Slurm's commands can tell."""
        return queue.left(jobs)
