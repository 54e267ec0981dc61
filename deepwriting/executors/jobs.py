"""Hugging Face Jobs: each task a job of its own, on datatrove's executor for them.

The run's folder is a remote one, which this machine and the jobs see; this process submits the jobs, looks after them
and begins the next phase. What is done differently from datatrove, and why:

- A job starts datatrove's launcher by its name, from the installed package: nothing is uploaded for it.
- A task is marked as done when all it has written is in the remote folder, not before.
- Jobs that an earlier, killed process has left are ended first: two jobs would work on one task, and pay for it.
- A question to the Hub that fails is asked again: one bad minute must not end a run of days.
- Tasks that did not finish are an error that says why, as far as the task or its job could tell.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.executor.jobs import ARRAY_INDEX_ENV_VAR, JobsPipelineExecutor
from datatrove.io import get_datafolder
from datatrove.utils.stats import PipelineStats

from deepwriting.errors import ExecutorError, TasksFailedError
from deepwriting.executors.base import PhaseJob, Runner
from deepwriting.executors.jobs_fleet import RUN_LABEL, Fleet, failures, run_key
from deepwriting.executors.jobs_request import (
    DEFAULT_FLAVOR,
    DEFAULT_TIMEOUT_S,
    UV_IMAGE,
    captured,
    check_recipe,
    dependencies,
    environment,
    label_of,
    secret_names,
)
from deepwriting.executors.task import TaskMixin, silence
from deepwriting.remote.places import url_of

log = logging.getLogger(__name__)

#: What starts a task in its job: a module of datatrove, run by the interpreter that `uv` has made.
_LAUNCHER = ("-m", "datatrove.tools.launch_pickled_pipeline")
#: Times that a question to the Hub is asked at most: a quarter of an hour.
_TRIES = 20
#: What stands for a secret where a request is only shown, and for a user whom nobody has asked for.
_HIDDEN, _NAMESPACE = "***", "YOU"


class _LocalLogs:
    """Log, statistics and marker of a task go where its logs are here, as with other executors.

    datatrove's executor of jobs writes them to the remote folder itself, and so says that a task is done before its
    rows have arrived there. Here all are sent with the rows, the marker last (``deepwriting/remote/task.py``).
    """

    _run_for_rank = PipelineExecutor._run_for_rank


class JobsExecutor(TaskMixin, _LocalLogs, JobsPipelineExecutor):
    """Runs each task of a phase in a job."""

    pipeline: list[Any]

    def __init__(self, *args: Any, **options: Any):
        with silence():  # it warns that it is new
            super().__init__(*args, **options)

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        assert self.place is not None
        self.logging_dir = get_datafolder(str(Path(self.place.run) / self.place.logs))
        return super()._run_for_rank(rank, local_rank, node_rank)

    def request(self, array_index: int, pickled: str, token: str) -> dict[str, Any]:
        """What ``huggingface_hub.run_job`` is called with for one job.

        Args:
            array_index: which job of the phase.
            pickled: address of the pickled executor.
            token: the token that the job may use.
        """
        packages = [word for package in self.dependencies for word in ("--with", package)]
        return {
            "image": self.image or UV_IMAGE,
            "command": ["uv", "run", *packages, "--python", self.python, "python", *_LAUNCHER, pickled],
            "env": {
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "PYTHONUNBUFFERED": "1",
                **(self.env or {}),
                ARRAY_INDEX_ENV_VAR: str(array_index),
            },
            "secrets": {"HF_TOKEN": token, **(self.secrets or {})},
            "flavor": self.flavor,
            "timeout": self.timeout,
            "name": f"{label_of(self.job_name)}-{array_index}",
            "labels": {
                "datatrove_job_name": label_of(self.job_name),
                "datatrove_array_index": str(array_index),
                **(self.labels or {}),
            },
            "namespace": self.namespace,
            "token": token,
        }

    def _submit_array_index(self, array_index: int, pik_path: str, token: str) -> str:
        from huggingface_hub import run_job

        job = run_job(**self.request(array_index, pik_path, token))
        log.debug("array index %d is job %s (%s)", array_index, job.id, job.url)
        return str(job.id)


class JobsRunner(Runner):
    """Hugging Face Jobs."""

    name = "jobs"

    def check(self, run: Path) -> None:
        """Look whether jobs can be started and would find what they need.

        Raises:
            ExecutorError: if the run's folder is on this machine, there is no token, or the recipe cannot run there.
        """
        from huggingface_hub import get_token

        _address(run, self.recipe.name)
        if get_token() is None:
            raise ExecutorError("executor 'jobs' needs a token, and there is none; log in with: hf auth login")
        check_recipe(self.recipe)

    def run(self, job: PhaseJob) -> None:
        """Submit a job for each task that has not finished, and wait for them.

        Raises:
            ExecutorError: if the Hub refuses.
            TasksFailedError: if tasks have not finished after all retries.
        """
        from huggingface_hub import HfApi, get_token
        from huggingface_hub.errors import HfHubHTTPError

        from deepwriting.hub.patience import message_of, patient_client, status_of
        from deepwriting.hub.preflight.secrets import redacted

        with patient_client(tries=_TRIES):
            try:
                api = HfApi(library_name="deepwriting")
                namespace = self.recipe.execution.jobs.namespace or str(api.whoami()["name"])
                fleet = Fleet(api, namespace, {RUN_LABEL: run_key(_address(job.run, self.recipe.name))})
                fleet.end()
                executor = self._executor(job, namespace)
                try:
                    with silence():
                        executor.run()
                finally:
                    fleet.end()
            except HfHubHTTPError as error:
                # What it refuses may be told back, and the request holds the secrets.
                secrets = [os.environ.get(name) for name in secret_names(self.recipe)]
                said = redacted(message_of(error), get_token(), *secrets)
                raise ExecutorError(f"the Hub refuses ({status_of(error)}): {said}") from error
            executor.logging_dir.fs.invalidate_cache()
            if left := executor.get_incomplete_ranks(skip_completed=True):
                raise TasksFailedError(failures(job, left, fleet))

    def describe(self, job: PhaseJob) -> dict[str, Any]:
        """The request that the first of the phase's jobs would be started with, as the client would send it."""
        executor = self._executor(job, self.recipe.execution.jobs.namespace or _NAMESPACE, shown=True)
        pickled = str(executor.logging_dir.resolve_paths("executor.pik"))
        request = captured(executor.request(0, pickled, _HIDDEN))
        return super().describe(job) | {"log": pickled.rpartition("/")[0], "request": request}

    def _executor(self, job: PhaseJob, namespace: str, *, shown: bool = False) -> JobsExecutor:
        """The executor of a phase; ``shown`` without the values of secrets."""
        settings, resources = self.recipe.execution.jobs, job.resources
        address = _address(job.run, self.recipe.name)
        executor = JobsExecutor(
            pipeline=job.phase.steps,
            tasks=job.phase.tasks,
            workers=resources.workers,
            logging_dir=f"{address}/{job.logs.relative_to(job.run)}",
            flavor=resources.partition or DEFAULT_FLAVOR,
            image=resources.image,
            dependencies=dependencies(settings.dependencies),
            timeout=resources.time_s or DEFAULT_TIMEOUT_S,
            namespace=namespace,
            labels={RUN_LABEL: run_key(address), "deepwriting_stage": job.stage},
            secrets={name: _HIDDEN if shown else os.environ[name] for name in secret_names(self.recipe)},
            env=environment(),
            max_retries=settings.retries,
            poll_interval=settings.poll_s,
            job_name=job.name,
        )
        executor.place = job.place(self.name)
        return executor


def _address(run: Path, name: str) -> str:
    """The remote folder of a run.

    Raises:
        ExecutorError: if it has none.
    """
    address = url_of(run)
    if address is None:
        raise ExecutorError(
            f"executor 'jobs' runs on machines that do not see {run}; allowed: a remote folder, such as "
            f"--run-dir hf://buckets/NAMESPACE/runs/{name} or --run-dir s3://BUCKET/runs/{name}"
        )
    return address
