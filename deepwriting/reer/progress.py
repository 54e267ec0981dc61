"""How far one task's search is, in a small file that anybody may read while it runs.

The search tells what happens (``begun``, ``recorded``, ``left_out``), the journal what happened in earlier lives
(``replayed``). Each call costs some additions. A thread of its own writes the file, so that it stays fresh while the
search waits for a model, and a slow disk holds nobody up. ``deepwriting/reer/status.py`` reads the files;
``docs/status.md`` says what stands in them.

    progress = SearchProgress(folder / "status" / "00000.json", rows=25, max_steps=10, engines={"scorer": engine})
    for event in journal:          # the events of earlier lives
        progress.replayed(event)
    progress.start()
    progress.begun(row); progress.recorded(event); progress.left_out("control_token")
    progress.stop()
"""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepwriting.engines.base import Engine
from deepwriting.reer.meters import Window, meters
from deepwriting.rundir import write_json

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
#: Mean NLL whose exponential is the largest float (nats). An infinite perplexity counts as this, or no mean would be
#: left.
MOST_NATS = math.log(sys.float_info.max)


@dataclass(slots=True)
class _Open:
    """A row that has begun and not ended.

    Attributes:
        expected: steps that it will take at most; 0 until its first thinking is there.
        steps: steps that it has taken.
        scores: score before, score now (nats), ln perplexity before, ln perplexity now; ``None`` until there is one.
    """

    expected: int = 0
    steps: int = 0
    scores: list[float] | None = None

    @property
    def share(self) -> float:
        """How much of the row is done; the first thinking counts as much as a step."""
        return (1 + self.steps) / (1 + max(self.expected, self.steps)) if self.scores is not None else 0.0


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
        self.max_steps = max_steps
        self.passes = passes
        self.finished = 0
        self.skipped: Counter[str] = Counter()
        self.passed_by: Counter[str] = Counter()
        self.steps = 0
        self.accepted = 0
        self.candidates = 0
        self.refused: Counter[str] = Counter()
        self._open: dict[str, _Open] = {}
        self._scored_rows = 0
        self._scores = [0.0] * 4  # sums over all rows with a first thinking, in the order of _Open.scores
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = "running"
        self._meters = meters(engines, path)
        self._began = datetime.now(UTC)
        self._tokens_in = Window(TOKENS_WINDOW_SECONDS)
        self._tokens_out = Window(TOKENS_WINDOW_SECONDS)
        self._rows_through = Window(ROWS_WINDOW_SECONDS, every=ROWS_SAMPLE_SECONDS)

    # What the search and the journal tell

    def begun(self, row: str) -> None:
        """A row's search begins, or goes on in this life. Not for a row that the journal says has ended."""
        with self._lock:
            self._open.setdefault(row, _Open())

    def recorded(self, event: Mapping[str, Any]) -> None:
        """An event went into the journal: ``start``, ``step`` or ``end``, see ``deepwriting/reer/journal.py``."""
        with self._lock:
            self._count(event)

    def replayed(self, event: Mapping[str, Any]) -> None:
        """An event of an earlier life; to be told before ``start``."""
        self._count(event)

    def left_out(self, reason: str, rows: int = 1) -> None:
        """Rows of a pair that is not searched at all, and of which the journal knows nothing."""
        with self._lock:
            self.passed_by[reason] += rows

    def _count(self, event: Mapping[str, Any]) -> None:
        kind, row = event["event"], event["row"]
        here = self._open.setdefault(row, _Open())
        if kind == "start":
            self._start_row(here, event)
        elif kind == "step":
            self._take_step(here, event)
        else:
            del self._open[row]
            if reason := event.get("skipped"):
                self.skipped[reason] += 1
                self.refused.update(event.get("refusals") or {})
                if here.scores is not None:  # it overflowed on its way: its scores belong to no row
                    self._add(here.scores, -1)
            else:
                self.finished += 1

    def _start_row(self, here: _Open, event: Mapping[str, Any]) -> None:
        here.expected = min(self.max_steps, len(event["segments"]) * self.passes)
        before = event["before"]
        score, surprise = before["value"], _nats(before["perplexity"])
        here.scores = [score, score, surprise, surprise]
        self._add(here.scores, 1)
        self.refused.update(event.get("refusals") or {})

    def _take_step(self, here: _Open, event: Mapping[str, Any]) -> None:
        here.steps += 1
        self.steps += 1
        self.candidates += len(event["candidates"])
        self.refused.update(c["refusal"] for c in event["candidates"] if c["refusal"])
        if event["accepted"] is None:
            return
        self.accepted += 1
        chosen = event["candidates"][event["accepted"]]
        if here.scores is not None:
            self._add(here.scores, -1)
            here.scores[1], here.scores[3] = chosen["score"], _nats(chosen["perplexity"])
            self._add(here.scores, 1)

    def _add(self, scores: Sequence[float], sign: int) -> None:
        self._scored_rows += sign
        for index, value in enumerate(scores):
            self._scores[index] += sign * value

    # The file

    def start(self) -> None:
        """Begin this life: rates count from here, and the file is written from now on."""
        for meter in self._meters:
            meter.begin()
        self._began = datetime.now(UTC)
        self._sample(time.monotonic())
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
        self.write()

    def _keep_writing(self) -> None:
        told = False
        while not self._stop.wait(WRITE_SECONDS):
            try:
                self.write()
                told = False
            except OSError as error:
                # The search itself will find out whether it can go on without this disk.
                if not told:
                    log.warning("the search's progress cannot be written to %s: %s", self.path, error)
                told = True

    def write(self) -> None:
        """Write the file, whole: a reader sees the old one or the new one."""
        write_json(self.path, self.figures())

    def figures(self) -> dict[str, Any]:
        """What the file holds."""
        now = time.monotonic()
        with self._lock:
            self._sample(now)
            means = [value / self._scored_rows if self._scored_rows else None for value in self._scores]
            return {
                "version": VERSION,
                "state": self._state,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": self._began.isoformat(timespec="seconds"),
                "updated": datetime.now(UTC).isoformat(timespec="seconds"),
                "rows": {
                    "total": self.rows,
                    "finished": self.finished,
                    "skipped": dict(self.skipped),
                    "left_out": dict(self.passed_by),
                    "in_flight": len(self._open),
                    "through": round(self._through() + self.passed_by.total(), 3),
                },
                "steps": {"done": self.steps, "accepted": self.accepted, "candidates": self.candidates},
                "refused": dict(self.refused),
                "scores": {
                    "rows": self._scored_rows,
                    "score_before": means[0],
                    "score_now": means[1],
                    "perplexity_before": _exp(means[2]),
                    "perplexity_now": _exp(means[3]),
                },
                "engines": [meter.figures() for meter in self._meters],
                "rates": self._rates(),
            }

    def _through(self) -> float:
        """Rows that the journal is through with, and the finished shares of those in flight."""
        return self.finished + self.skipped.total() + sum(row.share for row in self._open.values())

    def _sample(self, now: float) -> None:
        used = [meter.usage for meter in self._meters]
        self._tokens_in.add(now, sum(usage.prompt_tokens + usage.scored_tokens for usage in used))
        self._tokens_out.add(now, sum(usage.sampled_tokens for usage in used))
        self._rows_through.add(now, self._through())

    def _rates(self) -> dict[str, float | None]:
        return {
            "window_seconds": round(self._tokens_in.seconds, 1),
            "tokens_in_per_second": self._tokens_in.rate,
            "tokens_out_per_second": self._tokens_out.rate,
            "rows_per_second": self._rows_through.rate,
        }


def _nats(perplexity: float | None) -> float:
    """Ln of a perplexity; the journal keeps an infinite one as null."""
    return min(math.log(perplexity), MOST_NATS) if perplexity is not None else MOST_NATS


def _exp(mean: float | None) -> float | None:
    return math.exp(min(mean, MOST_NATS)) if mean is not None else None
