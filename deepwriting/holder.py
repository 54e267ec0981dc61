"""Which process works on a run: a note beside the run's lock, for whoever looks from outside.

The lock itself tells nothing: to test it is to hold it for a moment, which would turn away a run that begins just then.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from deepwriting.reer.status import process_exists

#: Name of the note in the run's folder.
NOTE = ".running.json"
#: What a process on another machine last wrote may be this old (seconds): loading a large model takes minutes, and
#: nothing is written meanwhile.
FAR_SILENT_SECONDS = 900.0


@dataclass(frozen=True)
class Holder:
    """The process that works on a run: its machine, its id there, and when it began (ISO 8601)."""

    host: str
    pid: int
    started: str


@contextlib.contextmanager
def noted(run: Path) -> Iterator[None]:
    """Leave the note while this process works on the run's folder, whose lock it has to hold."""
    note = run / NOTE
    began = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        note.write_text(json.dumps(asdict(Holder(socket.gethostname(), os.getpid(), began))), encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)


def holder(run: Path) -> Holder | None:
    """Who works on a run, as far as that can be told from here; ``None`` if nobody does.

    A killed process leaves its note. On this machine the process is looked up; of another one's only the traces in the
    folder tell.
    """
    try:
        found = Holder(**json.loads((run / NOTE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none, being written just now, or from another hand
        return None
    if found.host == socket.gethostname():
        return found if process_exists(found.pid) else None
    return found if time.time() - _last_trace(run) < FAR_SILENT_SECONDS else None


def _last_trace(run: Path) -> float:
    """When something was last written that tells of progress (seconds since the epoch)."""
    newest = 0.0
    for pattern in (NOTE, "*/stage.json", "*/progress/*.json", "*/status/*.json"):
        for file in run.glob(pattern):
            with contextlib.suppress(OSError):  # being replaced just now
                newest = max(newest, file.stat().st_mtime)
    return newest
