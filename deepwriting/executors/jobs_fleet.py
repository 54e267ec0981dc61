"""The jobs of one run on the Hub: ending those that nobody waits for, and why tasks of theirs did not finish."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepwriting.errors import ExecutorError, RemoteError
from deepwriting.executors.jobs_request import label_of
from deepwriting.executors.task import LAST_PHASE
from deepwriting.remote.folder import RemoteFolder
from deepwriting.remote.places import url_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi, JobInfo

    from deepwriting.executors.base import PhaseJob

log = logging.getLogger(__name__)

#: Label by which the jobs of a run are found again.
RUN_LABEL = "deepwriting_run"
#: Stages of a job that goes on.
_LIVE = ["SCHEDULING", "RUNNING"]
#: How long cancelled jobs may take to end (seconds), and how often they are looked at.
_ENDING_S, _LOOK_S = 120.0, 0.5
#: Failed tasks that an error names.
_NAMED = 3


def run_key(address: str) -> str:
    """What the jobs of a run are labelled with: labels may not hold an address."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]


class Fleet:
    """The jobs of a run.

    Args:
        api: the Hub.
        namespace: whose jobs they are.
        labels: what all of them are labelled with.
    """

    def __init__(self, api: HfApi, namespace: str, labels: Mapping[str, str]):
        self.api = api
        self.namespace = namespace
        self.labels = dict(labels)

    def live(self) -> list[JobInfo]:
        """The jobs that wait or run."""
        return list(self.api.list_jobs(labels=self.labels, status=_LIVE, namespace=self.namespace))

    def end(self) -> None:
        """Cancel all jobs that wait or run, and see them end.

        Raises:
            ExecutorError: if they go on.
        """
        end = time.monotonic() + _ENDING_S
        while jobs := self.live():
            for job in jobs:
                log.warning("cancelling job %s: nobody waits for it", job.id)
                self.api.cancel_job(job_id=job.id, namespace=self.namespace)
            if time.monotonic() > end:
                url = jobs[0].url
                raise ExecutorError(f"job {url} was cancelled and still goes on after {_ENDING_S:.0f} s; end it there")
            time.sleep(_LOOK_S)

    def said(self, **labels: str) -> str | None:
        """What became of the latest job with these labels, with the last line that it printed."""
        jobs = list(self.api.list_jobs(labels={**self.labels, **labels}, namespace=self.namespace))
        if not jobs:
            return None
        job = max(jobs, key=lambda job: (job.created_at is not None, job.created_at))
        text = f"job {job.id} ended as {job.status.stage}"
        text += f" ({job.status.message})" if job.status.message else ""
        lines = [line.strip() for line in self.api.fetch_job_logs(job_id=job.id, namespace=self.namespace)]
        last = next((line for line in reversed(lines) if line), None)
        return f"{text}: {last}" if last else text


def failures(job: PhaseJob, ranks: Sequence[int], fleet: Fleet) -> str:
    """Which tasks of a phase did not finish, and why, as their notes or their jobs tell.

    Args:
        job: the phase.
        ranks: the tasks.
        fleet: the jobs of the run.
    """
    address = url_of(job.run)
    assert address is not None
    remote = RemoteFolder(address)
    logs = str(job.logs.relative_to(job.run))
    launched = _read(remote, f"{logs}/ranks_to_run.json") or []
    told = []
    for rank in ranks[:_NAMED]:
        note = _read(remote, f"{job.stage}/tasks/{job.phase.name or LAST_PHASE}/{rank:05d}.json") or {}
        why = note.get("error")
        if why is None and rank in launched:
            name = {"datatrove_job_name": label_of(job.name), "datatrove_array_index": str(launched.index(rank))}
            why = fleet.said(**name)
        told.append(f"task {rank}: {why or 'nothing is known of it'}")
    more = f"; and {len(ranks) - _NAMED} more" if len(ranks) > _NAMED else ""
    return f"{len(ranks)} of {job.phase.tasks} tasks of stage {job.stage!r} did not finish: {'; '.join(told)}{more}"


def _read(remote: RemoteFolder, path: str) -> Any:
    try:
        return json.loads(remote.read(path))
    except (FileNotFoundError, ValueError, RemoteError):  # an error is being told: what cannot be read is left out
        return None
