"""A server's announcement: a small file in a folder that all machines see, kept moving for as long as it runs.

    FOLDER/node7-8000-1f0c9d2a.json
    {"version": 1, "url": "http://node7:8000/v1", "model": …, "revision": …, "beat": 41, "beat_seconds": 10, …}

Whoever uses the server compares a beat with the one before, never a time with a clock. The file goes with the server;
what a killed one leaves is passed over once its beat stands still, and swept away by the next that announces itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from deepwriting.files import write_json

#: Version of the file's layout.
VERSION = 1
#: How often the beat moves (seconds).
BEAT_SECONDS = 10
#: An announcement that was last written this much earlier than ours belongs to nobody any more (seconds).
SWEEP_SECONDS = 3600.0
#: Environment variables by which schedulers tell a job its id.
JOBS = ("SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID", "JOB_ID", "PBS_JOBID", "LSB_JOBID")


class Announcement:
    """Announces one server; as a context manager it withdraws the announcement at the end.

    Args:
        folder: where; made if it is missing.
        url: the server's address as others reach it.
        about: what else is told: ``model``, ``revision``, ``program`` and so on.

    Raises:
        OSError: if the folder cannot be written to.
    """

    def __init__(self, folder: Path, url: str, about: dict[str, Any]):
        parts = urlsplit(url)
        name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{parts.hostname}-{parts.port or parts.scheme}")
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}-{secrets.token_hex(4)}.json"
        self._note = {
            "version": VERSION, "url": url, **about, "host": socket.gethostname(), "pid": os.getpid(),
            "job": next((os.environ[name] for name in JOBS if os.environ.get(name)), None),
            "started": datetime.now(UTC).isoformat(timespec="seconds"), "beat": 0, "beat_seconds": BEAT_SECONDS,
        }  # fmt: skip
        self.beat()
        self._sweep()

    def __enter__(self) -> Announcement:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.withdraw()

    def beat(self) -> None:
        """Show that the server is still there."""
        self._note["beat"] += 1
        write_json(self.path, self._note)

    def withdraw(self) -> None:
        """Nothing more shall be sent to the server. May be called twice."""
        with contextlib.suppress(OSError):  # the folder is out of reach: the beat stands still, which says the same
            self.path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what killed servers have left: by the times of files of one file system, whose clock is one."""
        with contextlib.suppress(OSError):
            now = self.path.stat().st_mtime
            for other in self.path.parent.glob("*.json"):
                with contextlib.suppress(OSError, ValueError):
                    old = now - other.stat().st_mtime > SWEEP_SECONDS
                    if old and "beat_seconds" in json.loads(other.read_text(encoding="utf-8")):
                        other.unlink(missing_ok=True)
