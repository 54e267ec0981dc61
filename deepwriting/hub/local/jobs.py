"""Jobs of a local Hub: processes on this machine, where the Hub would start containers.

A job gets what a container would get of its caller: the environment and secrets of the request, and nothing of this
process's own. There is no image, and no `uv`: what ``uv run --with … COMMAND`` would run in an environment made for it
runs with the packages of this interpreter.

DATA/jobs/
    ID/log.txt     what it printed
    ID/            its working directory and home
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

#: Options of ``uv run`` that say which packages and which Python; each has a value.
_UV_OPTIONS = ("--with", "--python")
#: Time between being asked to end and being killed (seconds).
_GRACE = 5.0
#: Stages from which a job does not return.
ENDED = ("COMPLETED", "ERROR", "CANCELED")


@dataclass
class Job:
    """A job.

    Attributes:
        id: 24 hexadecimal digits.
        namespace: whose it is.
        spec: what was asked for, without the values of its secrets.
        folder: its working directory.
        created: when it was asked for (seconds since the epoch).
        stage: SCHEDULING, RUNNING, COMPLETED, ERROR or CANCELED.
        message: why it ended, where it did not simply complete.
        started: when it began.
        finished: when it ended.
        process: what runs it.
    """

    id: str
    namespace: str
    spec: dict[str, Any]
    folder: Path
    created: float = field(default_factory=time.time)
    stage: str = "SCHEDULING"
    message: str | None = None
    started: float | None = None
    finished: float | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "log.txt"

    @property
    def labels(self) -> Mapping[str, str]:
        """What its caller has marked it with."""
        found: Mapping[str, str] = self.spec.get("labels") or {}
        return found


class Jobs:
    """The jobs of one Hub; they end with it.

    Args:
        folder: where their folders are.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def start(self, namespace: str, spec: Mapping[str, Any], *, endpoint: str) -> Job:
        """Start a job; that it cannot be started is told by its stage.

        Args:
            namespace: whose it is.
            spec: ``command``, ``arguments``, ``environment``, ``secrets``, ``timeoutSeconds``, ``labels``, ``flavor``.
            endpoint: this Hub's address; a job that does not say otherwise talks to the Hub that started it.
        """
        kept = {key: value for key, value in spec.items() if key != "secrets"}
        job = Job(secrets.token_hex(12), namespace, kept, self.folder / "")
        job.folder = self.folder / job.id
        job.folder.mkdir(parents=True)
        environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(job.folder),
            "LANG": "C.UTF-8",
            "HF_ENDPOINT": endpoint,
            "JOB_ID": job.id,
            **{key: str(value) for key, value in (spec.get("environment") or {}).items()},
            **{key: str(value) for key, value in (spec.get("secrets") or {}).items()},
        }
        with self._lock:
            self._jobs[job.id] = job
        with job.log.open("wb") as output:
            try:
                command = without_uv([*spec["command"], *(spec.get("arguments") or [])])
                job.process = _start(command, environment, job.folder, output)
            except (OSError, ValueError) as error:
                job.stage, job.message, job.finished = "ERROR", f"cannot be started: {error}", time.time()
                return job
        job.started, job.stage = time.time(), "RUNNING"
        timeout = spec.get("timeoutSeconds")
        threading.Thread(target=self._wait, args=(job, timeout), name=f"job-{job.id}", daemon=True).start()
        return job

    def _wait(self, job: Job, timeout: float | None) -> None:
        assert job.process is not None
        late = False
        try:
            code = job.process.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
            self._end(job)
            code = job.process.wait()
        _signal(job, signal.SIGKILL)  # what it has left behind ends with it, as in a container
        with self._lock:
            job.finished = time.time()
            if job.stage == "CANCELED":
                return
            job.stage = "ERROR" if late or code else "COMPLETED"
            if late:
                job.message = "Job timeout"
            elif code:
                job.message = f"Job failed with exit code: {128 - code if code < 0 else code}"

    def _end(self, job: Job) -> None:
        _signal(job, signal.SIGTERM)
        assert job.process is not None
        try:
            job.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            _signal(job, signal.SIGKILL)

    def cancel(self, job: Job) -> None:
        """End a job; one that has ended stays as it is."""
        with self._lock:
            if job.stage in ENDED:
                return
            job.stage = "CANCELED"
        if job.process is not None:
            threading.Thread(target=self._end, args=(job,), daemon=True).start()

    def find(self, namespace: str, id_: str) -> Job | None:
        """The job of that id."""
        with self._lock:
            job = self._jobs.get(id_)
        return job if job and job.namespace == namespace else None

    def all(self, namespace: str) -> list[Job]:
        """The jobs of a namespace, newest first."""
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if job.namespace == namespace]

    def close(self) -> None:
        """End all jobs, at once."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            if job.stage not in ENDED:
                _signal(job, signal.SIGKILL)
        for job in jobs:
            if job.process is not None:
                job.process.wait()


def _start(
    command: Sequence[str], environment: dict[str, str], folder: Path, output: IO[bytes]
) -> subprocess.Popen[bytes]:
    # A session of its own, so that all its processes can be ended together.
    return subprocess.Popen(
        command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        start_new_session=True,
    )  # fmt: skip


def _signal(job: Job, number: signal.Signals) -> None:
    assert job.process is not None
    with contextlib.suppress(ProcessLookupError):  # all of it has ended
        os.killpg(job.process.pid, number)


def without_uv(command: Sequence[str]) -> list[str]:
    """The command that ``uv run`` would run, for this interpreter.

    Raises:
        ValueError: if it asks of ``uv`` what only ``uv`` can do, or names no command.
    """
    if list(command[:2]) != ["uv", "run"]:
        return list(command)
    rest = list(command[2:])
    while rest and rest[0].startswith("-"):
        if rest[0] not in _UV_OPTIONS:
            raise ValueError(f"a local Hub has no uv and does not know {rest[0]!r} in {shlex.join(command)}")
        rest = rest[2:]
    if not rest:
        raise ValueError(f"{shlex.join(command)} names no command")
    if rest[0] in ("python", "python3"):
        return [sys.executable, *rest[1:]]
    return [sys.executable, *rest] if rest[0].endswith(".py") else rest
