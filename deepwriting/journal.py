"""An append-only file of finished work, one JSON object a line, which a killed run can trust.

    {"event": "header", "settings": …}      what the work was done under
    {"event": …, …}                         one finished piece of work

A killed run leaves at most one torn line at the end; it is cut off when the file is opened again. What the lines hold
is the business of those who use the file: ``reer/journal.py`` for steps of the search, ``sources/query_journal.py`` for
queries of books. They keep only the lines' places, not what the lines hold.

Where the machine itself may be lost, a *replica* carries the lines away (``deepwriting/remote/journals.py``), and
``JournalFile.safe`` waits until it has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import orjson

from deepwriting.errors import JournalError
from deepwriting.sections.base import short

Event = dict[str, Any]
#: Differing settings that a message names; more would hide the first.
_NAMED_CHANGES = 3


class Replica(Protocol):
    """Carries a journal to where its machine cannot take it along."""

    def appended(self, end: int) -> None:
        """The file has grown to so many bytes, all of them whole lines."""

    async def safe(self, end: int) -> None:
        """Return when so many bytes are carried away.

        Raises:
            RunError: if they cannot be.
        """


_replicas: dict[Path, Replica] = {}


@contextmanager
def replicated(path: Path, replica: Replica) -> Iterator[None]:
    """Have a replica for the journal at a path, where this process opens it meanwhile."""
    _replicas[path.absolute()] = replica
    try:
        yield
    finally:
        del _replicas[path.absolute()]


class JournalFile:
    """The file of a journal.

    Args:
        path: the file; made if it does not exist.
        settings: everything that decides the outcome of the work: a hash, or flat JSON values by name.
        belongs: whether an event may follow the header.
        noted: gets every event of an earlier life with the offset and length of its line (bytes), in order.

    Raises:
        JournalError: if the file was written under other settings, or is damaged before its last line.
    """

    def __init__(
        self,
        path: Path,
        settings: str | Mapping[str, Any],
        *,
        belongs: Callable[[Event], bool],
        noted: Callable[[Event, int, int], None],
    ):
        self.path = path
        self._replica = _replicas.get(path.absolute())
        path.parent.mkdir(parents=True, exist_ok=True)
        self._end = self._replay(settings, belongs, noted) if path.exists() else 0
        self._file = path.open("ab", buffering=0)
        self._file.truncate(self._end)
        self._reader = path.open("rb")
        if self._end == 0:
            self.append({"event": "header", "settings": settings})

    def _replay(
        self,
        settings: str | Mapping[str, Any],
        belongs: Callable[[Event], bool],
        noted: Callable[[Event, int, int], None],
    ) -> int:
        """Check all whole lines and tell their places; return where the last one ends (bytes)."""
        end = 0
        for number, line in enumerate(_whole_lines(self.path), start=1):
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise JournalError(f"{self.path} is damaged in line {number}: {error}") from error
            if not isinstance(event, dict) or not (_is_header(event) if number == 1 else belongs(event)):
                raise JournalError(f"{self.path} is damaged in line {number}: it holds no event that belongs there")
            if number == 1:
                if event["settings"] != settings:
                    raise JournalError(f"{self.path} was written under {_difference(event['settings'], settings)}")
            else:
                noted(event, end, len(line))
            end += len(line)
        return end

    def append(self, event: Event) -> tuple[int, int]:
        """Append an event and hand it to the operating system, so that killing this process cannot lose it.

        Returns:
            Offset and length of its line (bytes).

        Raises:
            OSError: if it cannot be written, for example on a full disk; then no part of it is left.
        """
        line = orjson.dumps(event) + b"\n"
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(self._end)
            raise
        at = self._end
        self._end += len(line)
        if self._replica is not None:
            self._replica.appended(self._end)
        return at, len(line)

    async def safe(self) -> None:
        """Wait until all that has been appended outlives this machine; at once where nothing carries it away.

        Raises:
            RunError: if it cannot be carried away.
        """
        if self._replica is not None:
            await self._replica.safe(self._end)

    def read(self, offset: int, length: int) -> Event:
        """The event of a line at a known place."""
        self._reader.seek(offset)
        event: Event = orjson.loads(self._reader.read(length))
        return event

    def close(self) -> None:
        """Close the file, on the disk itself."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._reader.close()


def _is_header(event: Event) -> bool:
    return event.get("event") == "header" and "settings" in event


def _difference(old: Any, new: Any) -> str:
    """The settings that differ, by name where they have names."""
    if not (isinstance(old, dict) and isinstance(new, Mapping)):
        return f"settings {old}, this run has {new}"
    absent = "absent"
    changes = [
        f"{key} {short(old.get(key, absent))}, this run has {short(new.get(key, absent))}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, absent) != new.get(key, absent)
    ]
    more = f"; and {len(changes) - _NAMED_CHANGES} more" if len(changes) > _NAMED_CHANGES else ""
    return "; ".join(changes[:_NAMED_CHANGES]) + more


def _whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line
