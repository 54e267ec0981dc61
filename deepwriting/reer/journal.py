"""The search journal: every finished search step on disk before the next begins.

One file a task, one JSON object a line (``deepwriting/journal.py``):

    {"event": "header", "settings": HASH}
    {"event": "start",  "row": ROW_ID, ...}   the first thinking and its scores
    {"event": "step",   "row": ROW_ID, ...}   one finished step with all candidates
    {"event": "end",    "row": ROW_ID, ...}   the finished row, or why there is none

In memory are only the places of each row's lines: what a row holds is read when it is asked for.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from deepwriting.journal import Event, JournalFile

#: What may follow the header.
EVENTS = ("start", "step", "end")


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
        self._replayed = replayed
        self._places: dict[str, array[int]] = {}  # row -> offset and length of each of its lines, flat
        self._file = JournalFile(path, settings, belongs=_belongs, noted=self._replay)

    def _replay(self, event: Event, offset: int, length: int) -> None:
        self._note(event["row"], offset, length)
        if self._replayed is not None:
            self._replayed(event)

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
            known.take(self._file.read(places[at], places[at + 1]))
        return known

    def write(self, event: str, row_id: str, **values: Any) -> Event:
        """Append an event and hand it to the operating system, so that killing this process cannot lose it."""
        record = {"event": event, "row": row_id, **values}
        self._note(row_id, *self._file.append(record))
        if self._written is not None:
            self._written(record)
        return record

    async def safe(self) -> None:
        """Wait until what was written outlives this machine, if it is to; see ``JournalFile.safe``."""
        await self._file.safe()

    def close(self) -> None:
        """Close the file, on the disk itself."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _belongs(event: Event) -> bool:
    return event.get("event") in EVENTS and "row" in event
