"""Reading the notes of whoever works on a run, again and again: what they say, and whether somebody still beats.

A task's note, and the driver's, is written anew every few seconds with another beat (``deepwriting/lease.py``). Who
looks for the first time has only the file's age, by the clock that stamps it. Who has looked before knows more: a beat
that has moved since is alive, whatever any clock says. So one book of notes is kept for as long as somebody watches.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from deepwriting.folder_clock import FolderClock
from deepwriting.lease import BEAT_SECONDS, SILENT_BEATS, is_here
from deepwriting.reer.status import SILENT_SECONDS, process_exists

#: What changes in a note while its writer lives; the search's status has no beat, but says when it was written.
_BEATING = ("owner", "attempt", "beat", "state", "updated")


@dataclass(frozen=True)
class Noted:
    """A note as it was found.

    Attributes:
        values: what it says.
        silent_seconds: time since its writer was last heard of.
        exact: whether that is known: from having watched it, or from a clock that could be asked.
    """

    values: dict[str, Any]
    silent_seconds: float
    exact: bool = True

    @property
    def host(self) -> str:
        """The writer's machine."""
        return str(self.values.get("host", "?"))

    @property
    def pid(self) -> int:
        """The writer's process id there."""
        return int(self.values.get("pid", 0))

    @property
    def here(self) -> bool:
        """Whether the writer's process can be looked up on this machine."""
        return is_here(self.values)

    @property
    def certain(self) -> bool:
        """Whether what ``lost`` says is."""
        return self.here or self.exact

    @property
    def patience(self) -> float:
        """How long its writer may be silent (seconds); network file systems show a file late."""
        return max(SILENT_BEATS * float(self.values.get("beat_seconds", BEAT_SECONDS)), SILENT_SECONDS)

    @property
    def working_seconds(self) -> float:
        """How long the writer has been at work: two times of one clock, its own, and what has passed since."""
        with contextlib.suppress(KeyError, ValueError, TypeError):
            started, updated = (datetime.fromisoformat(self.values[key]) for key in ("started", "updated"))
            return max((updated - started).total_seconds(), 0.0) + self.silent_seconds
        return self.silent_seconds

    def lost(self) -> str:
        """Why its writer is thought to be gone; empty if it is at work."""
        if self.here and not process_exists(self.pid):
            return f"process {self.pid} on {self.host} is gone"
        if self.silent_seconds <= self.patience:
            return ""
        if self.here:
            return f"process {self.pid} on {self.host} is there, but has not been heard of for {self._silence}"
        return f"nothing heard of process {self.pid} on {self.host} for {self._silence}"

    @property
    def _silence(self) -> str:
        minutes = self.silent_seconds / 60
        return f"{self.silent_seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 \
            else f"{minutes / 60:.0f} h"  # fmt: skip


@dataclass
class _Entry:
    stamp: tuple[int, int, int]
    values: dict[str, Any]
    beat: tuple[Any, ...]
    silent: float  # how long its writer had been silent when this beat was first seen
    seen: float  # when that was, by our own clock
    exact: bool


class NoteBook:
    """Remembers the notes of a run between two looks.

    Args:
        clock: the clock that stamps the notes' files.
    """

    def __init__(self, clock: FolderClock):
        self.clock = clock
        self._entries: dict[Path, _Entry] = {}

    def read(self, path: Path) -> Noted | None:
        """A note; ``None`` if there is none, or none of ours."""
        try:
            found = path.stat()
        except OSError:
            self._entries.pop(path, None)
            return None
        stamp, entry = (found.st_mtime_ns, found.st_ino, found.st_size), self._entries.get(path)
        if entry is None or entry.stamp != stamp:
            # A network file system may fail to read a file that is being replaced: what was last read holds, then.
            values = _values(path)
            if values is not None:
                entry = self._entries[path] = self._entry(entry, stamp, values, found.st_mtime)
            elif entry is None:
                return None
        watched = time.monotonic() - entry.seen
        noted = Noted(entry.values, entry.silent + watched, entry.exact)
        return noted if entry.exact or watched <= noted.patience else replace(noted, exact=True)

    def _entry(
        self, before: _Entry | None, stamp: tuple[int, int, int], values: dict[str, Any], written: float
    ) -> _Entry:
        """What is remembered of a note that was just read."""
        beat = tuple(values.get(key) for key in _BEATING)
        if before is None:
            return _Entry(stamp, values, beat, self.clock.age(written), time.monotonic(), self.clock.exact)
        if before.beat != beat:
            return _Entry(stamp, values, beat, 0.0, time.monotonic(), exact=True)
        return replace(before, stamp=stamp)  # copied or fetched anew, which says nothing about its writer


def _values(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):  # being replaced just now, or from another hand
        values = json.loads(path.read_text(encoding="utf-8"))
        return values if isinstance(values, dict) else None
    return None
