"""Counting what one task's search does, from the events of its journal. Each event costs some additions.

Only rows that have begun and not ended are held; of all others there are sums.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Mean NLL whose exponential is the largest float (nats). An infinite perplexity counts as this, or no mean would be
#: left.
MOST_NATS = math.log(sys.float_info.max)


@dataclass(slots=True)
class OpenRow:
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


class SearchCounts:
    """Counts of one task.

    Args:
        max_steps: most steps of a row.
        passes: how often the search goes over a row's segments.
    """

    def __init__(self, *, max_steps: int, passes: int = 1):
        self.max_steps = max_steps
        self.passes = passes
        self.finished = 0
        self.skipped: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.steps = 0
        self.accepted = 0
        self.candidates = 0
        self.refused: Counter[str] = Counter()
        self.open_rows: dict[str, OpenRow] = {}
        self._scored_rows = 0
        self._sums = [0.0] * 4  # over all rows with a first thinking, in the order of OpenRow.scores

    @property
    def through(self) -> float:
        """Rows that the journal is through with, and the finished shares of those in flight."""
        return self.finished + self.skipped.total() + sum(row.share for row in self.open_rows.values())

    def begin(self, row: str) -> None:
        """A row has begun, though the journal may not know of it yet."""
        self.open_rows.setdefault(row, OpenRow())

    def count(self, event: Mapping[str, Any]) -> None:
        """Take an event of the journal: ``start``, ``step`` or ``end``."""
        kind, row = event["event"], event["row"]
        here = self.open_rows.setdefault(row, OpenRow())
        if kind == "start":
            self._start(here, event)
        elif kind == "step":
            self._step(here, event)
        else:
            del self.open_rows[row]
            self._end(here, event)

    def _start(self, here: OpenRow, event: Mapping[str, Any]) -> None:
        here.expected = min(self.max_steps, len(event["segments"]) * self.passes)
        score, surprise = event["before"]["value"], _nats(event["before"]["perplexity"])
        here.scores = [score, score, surprise, surprise]
        self._add(here.scores, 1)
        self.refused.update(event.get("refusals") or {})

    def _step(self, here: OpenRow, event: Mapping[str, Any]) -> None:
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

    def _end(self, here: OpenRow, event: Mapping[str, Any]) -> None:
        reason = event.get("skipped")
        if not reason:
            self.finished += 1
            return
        self.skipped[reason] += 1
        self.refused.update(event.get("refusals") or {})
        if here.scores is not None:  # it failed on its way: its scores belong to no row
            self._add(here.scores, -1)

    def _add(self, scores: Sequence[float], sign: int) -> None:
        self._scored_rows += sign
        for index, value in enumerate(scores):
            self._sums[index] += sign * value

    def figures(self) -> dict[str, Any]:
        """The counts as the status file has them."""
        means = [value / self._scored_rows if self._scored_rows else None for value in self._sums]
        return {
            "rows": {
                "finished": self.finished,
                "skipped": dict(self.skipped),
                "left_out": dict(self.left_out),
                "in_flight": len(self.open_rows),
                "through": round(self.through + self.left_out.total(), 3),
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
        }


def _nats(perplexity: float | None) -> float:
    """The logarithm of a perplexity; the journal keeps an infinite one as null."""
    return min(math.log(perplexity), MOST_NATS) if perplexity is not None else MOST_NATS


def _exp(mean: float | None) -> float | None:
    return math.exp(min(mean, MOST_NATS)) if mean is not None else None
