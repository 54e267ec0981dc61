"""A note that says who works on something, and keeps saying so: a lease without a lock server.

Locks of the operating system do not reach other machines reliably, and not at all into an object store. A note does:
its owner writes a beat into it every few seconds, under a random name of its own. Whoever finds a note from somebody
else looks whether that process is gone (same machine), or watches whether the beat moves (any machine). Nothing is ever
decided by comparing the clocks of two machines. An owner that was thought dead, and was only suspended or cut off,
finds another name in its note at its next beat, and stops.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from deepwriting.files import write_json
from deepwriting.reer.status import process_exists

log = logging.getLogger(__name__)

#: Exit code of a process that ends because another one has taken its lease.
TAKEN_OVER = 75
#: Seconds between two beats.
BEAT_SECONDS = 15.0
#: A note whose beat stands still for this many beats has lost its owner.
SILENT_BEATS = 3
#: How long a new owner waits before it looks whether somebody else has taken the note at the same moment (seconds).
SETTLE_SECONDS = 0.2


#: Owners that live in this process: a note that could not be released, on a full disk, names one that does not.
_LIVING: set[str] = set()


class Note(Protocol):
    """Where a note is kept: a file, or an object in a store."""

    def read(self) -> dict[str, Any] | None:
        """What the note says; ``None`` if there is none, or it cannot be read just now."""

    def write(self, values: dict[str, Any]) -> None:
        """Replace it as a whole."""

    def remove(self) -> None:
        """Delete it; one that is not there is no error."""

    def age(self) -> float | None:
        """Seconds since it was written, by the clock of whatever keeps it; ``None`` if that is not known."""


class FileNote:
    """A note in a file.

    Args:
        path: the file; its folder is made when something is written.
    """

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> dict[str, Any] | None:
        """What the file says."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none, being written just now, or from another hand
            return None
        return found if isinstance(found, dict) else None

    def write(self, values: dict[str, Any]) -> None:
        """Replace the file."""
        write_json(self.path, values)

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def age(self) -> float | None:
        """Seconds since the file was written, by the clock of its file system."""
        try:
            return max(folder_now(self.path.parent) - self.path.stat().st_mtime, 0.0)
        except OSError:
            return None


class Lease:
    """The right to work on something, kept by a note.

    Args:
        note: where it is kept.
        about: what the note says beside host, process, owner and beat; JSON values.
        lost: called, in a thread, when somebody else has taken the note.
        beat_seconds: time between two beats.
    """

    def __init__(
        self,
        note: Note,
        about: dict[str, Any],
        *,
        lost: Callable[[], None],
        beat_seconds: float = BEAT_SECONDS,
    ):
        self.note = note
        self.owner = secrets.token_hex(8)
        self._lost = lost
        self._beat_seconds = beat_seconds
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._values = {
            **about,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "machine": machine(),
            "owner": self.owner,
            "started": _now(),
            "updated": _now(),
            "beat": 0,
            "beat_seconds": beat_seconds,
        }

    def take(self) -> dict[str, Any] | None:
        """Become the owner; may wait some beats to see whether an earlier owner lives.

        Returns:
            ``None`` if the note is ours now; else what the living owner's note says.
        """
        before = self.note.read()
        while before is not None:
            if is_alive(before, self.note):
                return before
            now = self.note.read()
            if now is None or _beat(now) == _beat(before):
                break
            before = now  # somebody else has looked at the same time, and was the first to take it
        self.note.write(self._values)
        # Two that find no note at the same moment both write: the last one has it.
        time.sleep(SETTLE_SECONDS)
        now = self.note.read()
        if now is not None and now.get("owner") != self.owner:
            return now
        _LIVING.add(self.owner)
        self._thread = threading.Thread(target=self._go_on, name="lease", daemon=True)
        self._thread.start()
        return None

    def update(self, **values: Any) -> None:
        """Say something else in the note, now."""
        with self._lock:
            self._write(values)

    def release(self, **values: Any) -> None:
        """Stop beating; the note stays and says these values, or is removed if there are none. Once is enough."""
        if self._stop.is_set():
            return
        self._stop.set()
        _LIVING.discard(self.owner)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        now = self.note.read()
        if now is not None and now.get("owner") != self.owner:
            return
        if values:
            self._write(values)
        else:
            self.note.remove()

    def _go_on(self) -> None:
        while not self._stop.wait(self._beat_seconds):
            now = self.note.read()
            if now is not None and now.get("owner") != self.owner:
                log.warning("process %s on %s has taken over", now.get("pid"), now.get("host"))
                self._lost()
                return
            with self._lock, contextlib.suppress(OSError):  # a full disk stops the work itself, with a message
                self._write({"beat": self._values["beat"] + 1})

    def _write(self, values: dict[str, Any]) -> None:
        self._values |= values | {"updated": _now()}
        self.note.write(self._values)


def is_alive(values: dict[str, Any], note: Note) -> bool:
    """Whether the owner of a note lives; may wait some beats to see it.

    Args:
        values: what the note says.
        note: the note, to look at again.
    """
    if values.get("state", "running") != "running" or "owner" not in values:
        return False
    beat_seconds = float(values.get("beat_seconds", BEAT_SECONDS))
    if values.get("machine") == machine():
        if values["pid"] == os.getpid():
            return values["owner"] in _LIVING
        if not process_exists(int(values["pid"])):
            return False
        age = note.age()
        if age is not None and age < SILENT_BEATS * beat_seconds:
            return True
    log.info("looking whether process %s on %s still works on it", values.get("pid"), values.get("host"))
    end = time.monotonic() + SILENT_BEATS * beat_seconds
    while time.monotonic() < end:
        time.sleep(beat_seconds / 10)
        now = note.read()
        if now is None:  # removed, or it cannot be read just now, which says nothing about its owner
            continue
        if now.get("state", "running") != "running":
            return False
        if _beat(now) != _beat(values):
            return True
    return False


def _beat(values: dict[str, Any]) -> tuple[Any, Any]:
    return values.get("owner"), values.get("beat")


def is_here(values: dict[str, Any]) -> bool:
    """Whether the process that a note names can be looked up on this machine; older notes name the host only."""
    return values.get("host") == socket.gethostname() and values.get("machine", machine()) == machine()


def machine() -> str:
    """What process ids are unique in: this boot of this machine, or of this container."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # Linux only
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8])
        parts.append(os.readlink("/proc/self/ns/pid").removeprefix("pid:").strip("[]"))
    return "-".join(parts)


def folder_now(folder: Path) -> float:
    """The present by the clock that stamps files in a folder (seconds since the epoch).

    A file server's clock may differ from this machine's. Where nothing may be written, this machine's is all there is.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
