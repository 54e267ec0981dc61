"""One server of a pool, as this process knows it: whether it may be asked, and what it has in hand.

new ──check──▶ ready ──does not answer──▶ away ──check──▶ ready
                 └──cannot be used──▶ unfit ──check──▶ ready
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import Literal

from deepwriting.engines.server import trouble

log = logging.getLogger(__name__)

State = Literal["new", "ready", "away", "unfit"]

#: Answers in a row that cannot be used before a server is left alone for a while: others may do better.
MAX_STUMBLES = 3
#: A server that is there but not what it should be is looked at again after this long (seconds).
UNFIT_S = 60.0
#: Looks in a row that a server with requests in hand may leave without an answer before it is given up.
MAX_MISSED = 3


@dataclass(eq=False)
class Endpoint:
    """A server's address and state.

    Attributes:
        url: the address, up to and with ``/v1``.
        state: ``ready`` may be asked; ``new`` has not been looked at yet; ``away`` did not answer; ``unfit`` answers,
            but not as the others do.
        reason: why it is not ready.
        in_flight: requests that it has in hand from this process.
        next_start: when the next request may start (monotonic, seconds): rate limit, and pauses that it asked for.
        due: when it is looked at again, if it is not ready (monotonic, seconds).
        checking: whether it is being looked at just now.
        leaving: whether it gets no more requests, because its address was withdrawn.
        heard: when it last answered anything (monotonic, seconds).
        attempts: the requests that it has in hand, by their time limits, each with its event loop.
    """

    url: str
    state: State = "new"
    reason: str = "it has not answered yet"
    in_flight: int = 0
    next_start: float = 0.0
    due: float = 0.0
    checking: bool = False
    leaving: bool = False
    heard: float = field(default_factory=time.monotonic)
    attempts: dict[asyncio.Timeout, asyncio.AbstractEventLoop] = field(default_factory=dict)
    _missed: int = 0
    _failures: int = 0
    _stumbles: int = 0
    _out_since: float = 0.0

    @property
    def root(self) -> str:
        """The address without ``/v1``."""
        return self.url.removesuffix("/v1")

    @property
    def usable(self) -> bool:
        """Whether it may be asked."""
        return self.state == "ready" and not self.leaving

    def answered(self) -> None:
        """A request was answered."""
        self._failures = self._stumbles = self._missed = 0

    def stumbled(self, reason: str) -> None:
        """An answer could not be used; several in a row put the server out."""
        self._stumbles += 1
        if self._stumbles >= MAX_STUMBLES:
            self.put_out(reason)

    def put_out(self, reason: str) -> None:
        """It did not answer: nothing is sent there until it has been looked at again."""
        if self.state not in ("ready", "away"):
            return
        if self.state == "ready":  # requests that fail together are one failure
            self._failures += 1
            self._out_since = time.monotonic()
            log.warning("the server at %s is left out until it answers again: %s", self.url, reason)
        self.state, self.reason = "away", reason
        self.due = time.monotonic() + trouble.pause(self._failures, None)

    def noticed(self) -> None:
        """It was looked at while it had requests in hand, and answered."""
        self._missed = 0

    def missed(self) -> bool:
        """It was looked at while it had requests in hand and did not answer; True if that was once too often."""
        self._missed += 1
        return self._missed >= MAX_MISSED

    def abandon(self) -> None:
        """End the attempts that it has in hand: a machine that is cut off closes no connection."""
        for scope, loop in list(self.attempts.items()):

            def end(scope: asyncio.Timeout = scope, loop: asyncio.AbstractEventLoop = loop) -> None:
                if scope in self.attempts and not scope.expired():
                    scope.reschedule(loop.time())

            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
                loop.call_soon_threadsafe(end)

    def check_failed(self, reason: str) -> None:
        """It was looked at and did not answer."""
        self._failures += 1
        self.state, self.reason = "away", reason
        self.due = time.monotonic() + trouble.pause(self._failures, None)

    def refuse(self, reason: str) -> None:
        """It answers, but cannot be used beside the others."""
        if self.state != "unfit" or self.reason != reason:
            log.warning("the server at %s is not used: %s", self.url, reason)
        self.state, self.reason, self.due = "unfit", reason, time.monotonic() + UNFIT_S

    def admit(self) -> None:
        """It was looked at and may be asked."""
        if self.state == "away" and self._out_since:
            log.warning("the server at %s is back after %.0f s", self.url, time.monotonic() - self._out_since)
        elif self.state != "ready":
            log.info("the server at %s is used", self.url)
        self.state, self.reason = "ready", ""
        self._stumbles = self._missed = 0

    def renew(self) -> None:
        """Look at it anew before it is asked again."""
        self.state, self.due = "new", 0.0
