"""The search journal: every finished search step on disk before the next begins.

One file a task, one JSON object a line:

    {"event": "header", "settings": HASH}
    {"event": "start",  "row": ROW_ID, ...}   the first thinking and its scores
    {"event": "step",   "row": ROW_ID, ...}   one finished step with all candidates
    {"event": "end",    "row": ROW_ID, ...}   the finished row, or why there is none

A killed run leaves at most one torn line at the end; it is cut off when the journal is opened again. In memory are only
the places of each row's lines: what a row holds is read when it is asked for.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from deepwriting.errors import JournalError

#: What may follow the header.
EVENTS = ("start", "step", "end")

Event = dict[str, Any]


@dataclass
class RowJournal:
    """What the journal knows about one row."""

    start: Event | None = None
    steps: list[Event] = field(default_factory=list)
    end: Event | None = None

    def take(self, event: Event) -> None:
        """Add an event."""
        if event["event"] == "step":
            self.steps.append(event)
        elif event["event"] == "start":
            self.start = event
        else:
            self.end = event


class Journal:
    """An append-only journal of search steps.

    Args:
        path: the file; made if it does not exist.
        settings: hash of everything that decides the search's outcome.
        replayed: gets every event of an earlier life, in order.
        written: gets every new event, after it was written.

    Raises:
        JournalError: if the file was written under other settings, or is damaged before its last line.
    """

    def __init__(
        self,
        path: Path,
        settings: str,
        *,
        replayed: Callable[[Event], None] | None = None,
        written: Callable[[Event], None] | None = None,
    ):
        self.path = path
        self._written = written
        self._places: dict[str, array[int]] = {}  # row -> offset and length of each of its lines, flat
        path.parent.mkdir(parents=True, exist_ok=True)
        self._end = self._replay(settings, replayed) if path.exists() else 0
        self._file = path.open("ab")
        self._file.truncate(self._end)
        self._reader = path.open("rb")
        if self._end == 0:
            self._append({"event": "header", "settings": settings})

    def _replay(self, settings: str, replayed: Callable[[Event], None] | None) -> int:
        """Check all whole lines and note their places; return where the last one ends (bytes)."""
        end = 0
        for number, line in enumerate(_whole_lines(self.path), start=1):
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise JournalError(f"{self.path} is damaged in line {number}: {error}") from error
            kinds, key = (("header",), "settings") if number == 1 else (EVENTS, "row")
            if not isinstance(event, dict) or event.get("event") not in kinds or key not in event:
                raise JournalError(f"{self.path} is damaged in line {number}: it holds no event that belongs there")
            if number == 1:
                if event["settings"] != settings:
                    raise JournalError(
                        f"{self.path} was written under settings {event['settings']}, this run has {settings}"
                    )
            else:
                self._note(event["row"], end, len(line))
                if replayed is not None:
                    replayed(event)
            end += len(line)
        return end

    def _note(self, row_id: str, offset: int, length: int) -> None:
        self._places.setdefault(row_id, array("Q")).extend((offset, length))

    @property
    def rows(self) -> list[str]:
        """Ids of all rows that the journal knows, in the order in which they began."""
        return list(self._places)

    def row(self, row_id: str) -> RowJournal:
        """What is known about a row; empty for a new one."""
        known, places = RowJournal(), self._places.get(row_id, ())
        for at in range(0, len(places), 2):
            self._reader.seek(places[at])
            known.take(orjson.loads(self._reader.read(places[at + 1])))
        return known

    def write(self, event: str, row_id: str, **values: Any) -> Event:
        """Append an event and hand it to the operating system, so that killing this process cannot lose it."""
        record = {"event": event, "row": row_id, **values}
        at = self._end
        self._append(record)
        self._note(row_id, at, self._end - at)
        if self._written is not None:
            self._written(record)
        return record

    def _append(self, record: Event) -> None:
        line = orjson.dumps(record) + b"\n"
        self._file.write(line)
        self._file.flush()
        self._end += len(line)

    def close(self) -> None:
        """Close the file, on the disk itself."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._reader.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line
