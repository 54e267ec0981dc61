"""Which process works on a run: a note beside the run's lock, for whoever looks from outside.

The lock itself tells nothing: to test it is to hold it for a moment, which would turn away a run that begins just then.
The note is a lease (``deepwriting/lease.py``), so it also keeps away a process on a machine that the lock does not
reach. A run that was submitted to a cluster has no process that lives as long: its note names the jobs.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepwriting.lease import BEAT_SECONDS, SILENT_BEATS, folder_now, is_here
from deepwriting.reer.status import process_exists
from deepwriting.remote.notes import note_at

#: Name of the note in the run's folder.
NOTE = ".running.json"
#: What a submitted run last wrote may be this old (seconds) where its queue cannot be asked: tasks wait for nodes.
FAR_SILENT_SECONDS = 900.0


@dataclass(frozen=True)
class Holder:
    """The process that works on a run: its machine, its id there, and when it began (ISO 8601).

    Attributes:
        host: its machine.
        pid: its id there.
        started: when it began (ISO 8601).
        executor: what runs the tasks.
        jobs: ids of the jobs, for a run that was submitted; that process itself has ended. Of those that ``holder``
            returns, only the ones that are left, where that can be told.
    """

    host: str
    pid: int
    started: str
    executor: str = "local"
    jobs: tuple[str, ...] = ()


def holder(run: Path) -> Holder | None:
    """Who works on a run, as far as that can be told from here; ``None`` if nobody does.

    A killed process leaves its note. On this machine the process is looked up; of another one's only its beat and the
    traces in the folder tell, and of jobs the queue, where it can be asked.
    """
    said = note_at(run / NOTE).read()
    found = _holder(said) if said is not None else None
    if said is None or found is None:
        return None
    if found.jobs:
        return _with_jobs_left(run, found)
    if is_here(said):
        return found if process_exists(found.pid) else None
    silent = SILENT_BEATS * float(said.get("beat_seconds", BEAT_SECONDS))
    return found if folder_now(run) - _last_trace(run) < silent else None


def _holder(said: dict[str, Any]) -> Holder | None:
    known = {key: said[key] for key in ("host", "pid", "started", "executor", "jobs") if key in said}
    with contextlib.suppress(TypeError):  # from another hand
        return Holder(**known | {"jobs": tuple(known.get("jobs", ()))})
    return None


def _with_jobs_left(run: Path, found: Holder) -> Holder | None:
    from deepwriting.executors import jobs_left

    left = jobs_left(found.executor, found.jobs)
    if left is None:
        return found if folder_now(run) - _last_trace(run) < FAR_SILENT_SECONDS else None
    return replace(found, jobs=tuple(left)) if left else None


def _last_trace(run: Path) -> float:
    """When something was last written that tells of progress (seconds since the epoch, the folder's clock)."""
    newest = 0.0
    for pattern in (NOTE, "*/stage.json", "*/progress/*.json", "*/status/*.json", "*/tasks/*/*.json"):
        for file in run.glob(pattern):
            with contextlib.suppress(OSError):  # being replaced just now
                newest = max(newest, file.stat().st_mtime)
    return newest
