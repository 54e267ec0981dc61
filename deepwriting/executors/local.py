"""datatrove's local executor, made safe to kill and quiet on the console.

What datatrove's own ``run`` does differently, and why it is replaced here:

- It starts a manager process by forking this one, models included; a killed run leaves that copy behind for ever.
- Its worker processes go on when the run is killed, and would write into the journal of the run that follows.
- It waits for ever for a worker that the kernel killed for its memory.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from copy import deepcopy
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.utils.stats import PipelineStats

from deepwriting.errors import WorkerLostError
from deepwriting.executors.base import PhaseJob, Runner
from deepwriting.executors.task import TaskMixin, silence

#: What worker processes need, imported once in the server that they are forked from: it has neither threads nor models.
PRELOADED = ["deepwriting.stages", "deepwriting.engines.transformers.engine", "transformers"]


class QuietExecutor(TaskMixin, LocalPipelineExecutor):
    """Runs the tasks of one stage here or in worker processes; console output goes to the log files only."""

    pipeline: list[Any]

    def run(self) -> PipelineStats | None:
        """Run all tasks that have not finished.

        Raises:
            WorkerLostError: if a worker process was killed.
        """
        with silence():
            ranks = self.get_incomplete_ranks()
            if not ranks:
                return None
            self.save_executor_as_json()
            results = self._run_here(ranks) if self.workers == 1 else self._run_in_workers(ranks)
            stats = sum(results, start=PipelineStats())
            with self.logging_dir.open("stats.json", "wt") as file:
                stats.save_to_disk(file)
            return stats

    def _run_here(self, ranks: list[int]) -> Iterator[PipelineStats]:
        pipeline = self.pipeline
        for rank in ranks:
            self.pipeline = deepcopy(pipeline)  # a step keeps what it has counted
            yield self._run_for_rank(rank)

    def _run_in_workers(self, ranks: list[int]) -> Iterator[PipelineStats]:
        others = set(multiprocessing.active_children())
        context = multiprocessing.get_context(self.start_method)
        context.set_forkserver_preload(PRELOADED)
        pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_end_with_parent)
        try:
            for future in as_completed([pool.submit(self._run_for_rank, rank) for rank in ranks]):
                yield future.result()
        except BaseException as error:
            # The other tasks may have hours to go: end them, they continue with the next run.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            if isinstance(error, BrokenProcessPool):
                raise WorkerLostError("a worker process was killed, most likely for want of memory") from error
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Have this worker process end as soon as the process that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


class LocalRunner(Runner):
    """This process, or worker processes of it."""

    name = "local"

    def run(self, job: PhaseJob) -> None:
        """Run the tasks; the first error of one ends the others and is raised as it is."""
        executor = QuietExecutor(
            pipeline=job.phase.steps, tasks=job.phase.tasks, workers=job.resources.workers, logging_dir=str(job.logs)
        )
        executor.place = job.place(self.name)
        executor.run()
