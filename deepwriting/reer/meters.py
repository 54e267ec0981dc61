"""Measuring a search's speed: tokens by engine over all lives of a run, and rates over the latest stretch of time."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deepwriting.engines.base import Engine, Usage

log = logging.getLogger(__name__)


class Window:
    """The rate of a growing number over the last seconds.

    Args:
        seconds: length of the window.
        every: seconds between two kept samples; the newest always counts.
    """

    def __init__(self, seconds: float, *, every: float = 0.0):
        self.length = seconds
        self.every = every
        self._samples: deque[tuple[float, float]] = deque()
        self._newest = (0.0, 0.0)

    def add(self, now: float, value: float) -> None:
        """Note the number at a time (seconds, never going back)."""
        self._newest = (now, value)
        if self._samples and now - self._samples[-1][0] < self.every:
            return
        self._samples.append(self._newest)
        # One sample from before the window stays: the window begins there.
        while len(self._samples) > 1 and self._samples[1][0] <= now - self.length:
            self._samples.popleft()

    @property
    def seconds(self) -> float:
        """Time between the oldest and the newest sample."""
        return self._newest[0] - self._samples[0][0] if self._samples else 0.0

    @property
    def rate(self) -> float | None:
        """Growth per second; ``None`` while no time has passed."""
        return (self._newest[1] - self._samples[0][1]) / self.seconds if self.seconds else None


class Meter:
    """One engine's tokens: those of this life, and those of the lives before.

    Args:
        roles: what the engine does.
        engine: the engine.
        earlier: its tokens in earlier lives.
    """

    def __init__(self, roles: Sequence[str], engine: Engine, earlier: Usage):
        self.roles = roles
        self.engine = engine
        self.earlier = earlier
        self.begin()

    def begin(self) -> None:
        """Count from here: the engine may have worked for other stages and tasks before."""
        self._base = self.engine.usage

    @property
    def usage(self) -> Usage:
        """Tokens of all lives."""
        now, base, earlier = asdict(self.engine.usage), asdict(self._base), asdict(self.earlier)
        return Usage(**{key: earlier[key] + now[key] - base[key] for key in earlier})

    def figures(self) -> dict[str, Any]:
        """The engine's part of the file."""
        return {"roles": list(self.roles), "model": self.engine.info.model, **asdict(self.usage)}


@dataclass(frozen=True)
class Earlier:
    """What earlier lives took.

    Attributes:
        seconds: time.
        usage: roles and model -> tokens.
    """

    seconds: float = 0.0
    usage: Mapping[tuple[tuple[str, ...], str], Usage] = field(default_factory=dict)


def read_earlier(file: Path) -> Earlier:
    """Time and tokens of earlier lives, from the file that they left: the journal knows only what became of them."""
    if not file.is_file():
        return Earlier()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        usage = {
            (tuple(entry["roles"]), entry["model"]): Usage(**{key: entry[key] for key in asdict(Usage())})
            for entry in found["engines"]
        }
        return Earlier(float(found["seconds"]), usage)
    except (ValueError, TypeError, KeyError) as error:
        log.warning("%s is damaged (%s); time and tokens are counted from now on", file, error)
        return Earlier()


def meters(engines: Mapping[str, Engine], earlier: Earlier) -> list[Meter]:
    """A meter for each engine; one with several roles is counted once.

    Args:
        engines: role -> engine.
        earlier: what earlier lives took.
    """
    by_engine: dict[int, tuple[list[str], Engine]] = {}
    for role, engine in engines.items():
        by_engine.setdefault(id(engine), ([], engine))[0].append(role)
    return [
        Meter(roles, engine, earlier.usage.get((tuple(roles), engine.info.model), Usage()))
        for roles, engine in by_engine.values()
    ]
