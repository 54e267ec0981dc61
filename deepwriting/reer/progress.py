"""How far one task's search is, in a small file that anybody may read while it runs.

The search tells what happens (``begun``, ``recorded``, ``left_out``), the journal what happened in earlier lives
(``replayed``). A thread of its own writes the file, so that it stays fresh while the search waits for a model, and a
slow disk holds nobody up. ``deepwriting/reer/status.py`` reads the files; ``docs/status.md`` says what stands in them.

    progress = SearchProgress(folder / "status" / "00000.json", rows=25, max_steps=10, engines={"scorer": engine})
    for event in journal:          # the events of earlier lives
        progress.replayed(event)
    progress.start()
    progress.begun(row); progress.recorded(event); progress.left_out("control_token")
    progress.stop()
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepwriting.engines.base import Engine
from deepwriting.files import write_json
from deepwriting.reer.counts import SearchCounts
from deepwriting.reer.meters import Window, meters, read_earlier

log = logging.getLogger(__name__)

#: Layout of the file; raised when a reader of the old layout would misread the new one.
VERSION = 1
#: Seconds between two writes of the file.
WRITE_SECONDS = 1.0
#: Tokens per second are those of this many seconds: long enough to hold some requests, short enough to see a change.
TOKENS_WINDOW_SECONDS = 60.0
#: Rows per second are those of this many seconds: rows take minutes, and a rate over few of them jumps.
ROWS_WINDOW_SECONDS = 1800.0
#: Seconds between two samples of the row rate.
ROWS_SAMPLE_SECONDS = 10.0


class SearchProgress:
    """Counts what one task's search does, and writes it to a file every second.

    Calls may come from one thread (the event loop's) while another writes.

    Args:
        path: the file.
        rows: rows that this task will search, all rollouts; ``None`` if that is not known.
        max_steps: most steps of a row.
        passes: how often the search goes over a row's segments.
        engines: role, for example ``generator`` -> engine. An engine in two roles is counted once, under both.
    """

    def __init__(self, path: Path, *, rows: int | None, max_steps: int, engines: Mapping[str, Engine], passes: int = 1):
        self.path = path
        self.rows = rows
        self._counts = SearchCounts(max_steps=max_steps, passes=passes)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = "running"
        self._failing = False
        self._earlier = read_earlier(path)
        self._meters = meters(engines, self._earlier)
        self._began, self._began_at = datetime.now(UTC), time.monotonic()
        self._tokens_in = Window(TOKENS_WINDOW_SECONDS)
        self._tokens_out = Window(TOKENS_WINDOW_SECONDS)
        self._rows_through = Window(ROWS_WINDOW_SECONDS, every=ROWS_SAMPLE_SECONDS)

    def begun(self, row: str) -> None:
        """A row's search begins, or goes on in this life. Not for a row that the journal says has ended."""
        with self._lock:
            self._counts.begin(row)

    def recorded(self, event: Mapping[str, Any]) -> None:
        """An event went into the journal: ``start``, ``step`` or ``end``, see ``deepwriting/reer/journal.py``."""
        with self._lock:
            self._counts.count(event)

    def replayed(self, event: Mapping[str, Any]) -> None:
        """An event of an earlier life; to be told before ``start``."""
        self._counts.count(event)

    def left_out(self, reason: str, rows: int = 1) -> None:
        """Rows of a pair that is not searched at all, and of which the journal knows nothing."""
        with self._lock:
            self._counts.left_out[reason] += rows

    def start(self) -> None:
        """Begin this life: rates count from here, and the file is written from now on."""
        for meter in self._meters:
            meter.begin()
        self._began, self._began_at = datetime.now(UTC), time.monotonic()
        self.write()
        self._thread = threading.Thread(target=self._keep_writing, name="search-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End this life: the last figures, and that nobody works on them any more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._state = "stopped"
        self._write_if_possible()

    def _keep_writing(self) -> None:
        while not self._stop.wait(WRITE_SECONDS):
            self._write_if_possible()

    def _write_if_possible(self) -> None:
        try:
            self.write()
            self._failing = False
        except OSError as error:
            # The search itself finds out whether it can go on without this disk.
            if not self._failing:
                log.warning("the search's progress cannot be written to %s: %s", self.path, error)
            self._failing = True

    def write(self) -> None:
        """Write the file, whole: a reader sees the old one or the new one.

        Raises:
            OSError: if it cannot be written.
        """
        write_json(self.path, self.figures())

    def figures(self) -> dict[str, Any]:
        """What the file holds."""
        now = time.monotonic()
        with self._lock:
            self._sample(now)
            counts = self._counts.figures()
        return {
            "version": VERSION,
            "state": self._state,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._began.isoformat(timespec="seconds"),
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(self._earlier.seconds + now - self._began_at, 1),
            **counts,
            "rows": {"total": self.rows, **counts["rows"]},
            "engines": [meter.figures() for meter in self._meters],
            "rates": {
                "window_seconds": round(self._tokens_in.seconds, 1),
                "tokens_in_per_second": _rounded(self._tokens_in.rate, 1),
                "tokens_out_per_second": _rounded(self._tokens_out.rate, 1),
                "rows_per_second": _rounded(self._rows_through.rate, 6),
            },
        }

    def _sample(self, now: float) -> None:
        used = [meter.usage for meter in self._meters]
        self._tokens_in.add(now, sum(usage.prompt_tokens + usage.scored_tokens for usage in used))
        self._tokens_out.add(now, sum(usage.sampled_tokens for usage in used))
        self._rows_through.add(now, self._counts.through)


def _rounded(number: float | None, digits: int) -> float | None:
    return round(number, digits) if number is not None else None
