"""The search journal: every finished step on disk before the next begins.

One file a task, one JSON object a line:

    {"event": "header", "settings": HASH}
    {"event": "start",  "row": ROW_ID, ...}   the first thinking and its scores
    {"event": "step",   "row": ROW_ID, ...}   one finished step with all candidates
    {"event": "end",    "row": ROW_ID, ...}   the finished row, or why there is none

A killed run leaves at most one torn line at the end; it is cut off when the journal is opened again. Beside the journal
a ``.progress`` file says how many events of each kind it holds, for whoever watches.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from deepwriting.errors import JournalError
from deepwriting.rundir import PROGRESS_SECONDS, write_json

#: What may follow the header.
EVENTS = ("start", "step", "end")


@dataclass
class RowJournal:
    """What the journal knows about one row."""

    start: dict[str, Any] | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None


class Journal:
    """An append-only journal of search steps.

    Args:
        path: the file; made if it does not exist.
        settings: hash of everything that decides the search's outcome.

    Raises:
        JournalError: if the file was written under other settings, or is damaged before its last line.
    """

    def __init__(self, path: Path, settings: str):
        self.path = path
        self.rows: dict[str, RowJournal] = {}
        self.events: Counter[str] = Counter()
        self._noted = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        end = self._replay(settings) if path.exists() else 0
        self._file = path.open("ab")
        self._file.truncate(end)
        if end == 0:
            self._write({"event": "header", "settings": settings})

    def _replay(self, settings: str) -> int:
        """Read all whole lines; return where the last one ends (bytes)."""
        end = 0
        for number, line in enumerate(_whole_lines(self.path), start=1):
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise JournalError(f"{self.path} is damaged in line {number}: {error}") from error
            kinds, key = (("header",), "settings") if number == 1 else (EVENTS, "row")
            if not isinstance(event, dict) or event.get("event") not in kinds or key not in event:
                raise JournalError(f"{self.path} is damaged in line {number}: it holds no event that belongs there")
            if number > 1:
                self._apply(event)
            elif event["settings"] != settings:
                raise JournalError(
                    f"{self.path} was written under settings {event['settings']}, this run has {settings}"
                )
            end += len(line)
        return end

    def _apply(self, event: dict[str, Any]) -> None:
        row = self.rows.setdefault(event["row"], RowJournal())
        self.events[event["event"]] += 1
        if event["event"] == "step":
            row.steps.append(event)
        elif event["event"] == "start":
            row.start = event
        else:
            row.end = event

    def row(self, row_id: str) -> RowJournal:
        """What is known about a row; empty for a new one."""
        return self.rows.setdefault(row_id, RowJournal())

    def write(self, event: str, row_id: str, **values: Any) -> dict[str, Any]:
        """Append an event and hand it to the operating system, so that killing this process cannot lose it."""
        record = {"event": event, "row": row_id, **values}
        self._write(record)
        self._apply(record)
        if time.monotonic() - self._noted > PROGRESS_SECONDS:
            self._note()
        return record

    def _note(self) -> None:
        self._noted = time.monotonic()
        write_json(self.path.with_suffix(".progress"), dict(self.events))

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(orjson.dumps(record) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file, on the disk itself."""
        self._note()
        os.fsync(self._file.fileno())
        self._file.close()

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
