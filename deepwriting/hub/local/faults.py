"""Faults on purpose, and the log of requests: how a tool is tested against a Hub that fails.

A fault waits for the n-th request that fits a pattern, and then happens:

    cut          the connection ends before anything was done
    cut-body     the connection ends when half of the request's body has come
    cut-after    everything is done, and the connection ends before the client is told
    cut-half     everything is done, and the connection ends in the middle of the response
    slow         the request is done after ``seconds``
    expired      401, as for a token that has expired
    401 … 599    refused with that status; 429 and 503 with ``retry_after`` (seconds) where it is given
"""

from __future__ import annotations

import re
import threading
from dataclasses import asdict, dataclass
from typing import Any

from deepwriting.hub.local.messages import StatusError

KINDS = ("cut", "cut-body", "cut-after", "cut-half", "slow", "expired")
_MESSAGES = {
    401: "Invalid credentials in Authorization header",
    412: "A commit has happened since. Please refresh and try again.",
    429: "We had to rate limit you",
}
EXPIRED = 'User Access Token "local" is expired'


@dataclass
class Fault:
    """A fault that waits.

    Attributes:
        match: regular expression, searched for in "METHOD /path?query".
        nth: which of the requests that fit, from 1, counted from when the fault was set.
        kind: what happens; see the module's description.
        times: for how many requests from then on; None for all.
        seconds: how slow.
        retry_after: what the response says about trying again (seconds).
        seen: requests that have fitted so far.
    """

    match: str
    nth: int
    kind: str
    times: int | None = 1
    seconds: float = 1.0
    retry_after: int | None = None
    seen: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS and not re.fullmatch("[45][0-9][0-9]", self.kind):
            raise ValueError(
                f"there is no fault {self.kind!r}; there are {', '.join(KINDS)} and HTTP statuses from 400"
            )
        re.compile(self.match)

    def refuse(self) -> None:
        """Refuse the request, if that is what happens.

        Raises:
            StatusError: with the status of the fault.
        """
        if self.kind == "expired":
            raise StatusError(401, EXPIRED)
        if self.kind.isdigit():
            status = int(self.kind)
            headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
            raise StatusError(status, _MESSAGES.get(status, f"a fault on purpose: {status}"), headers=headers)


class Faults:
    """Faults that wait, and what has been asked so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._log: list[dict[str, Any]] = []

    def add(self, **fault: Any) -> Fault:
        """Let a fault wait.

        Raises:
            ValueError: if there is no such fault.
        """
        made = Fault(**fault)
        with self._lock:
            self._waiting.append(made)
        return made

    def begin(self, method: str, address: str, user: str | None) -> tuple[dict[str, Any], Fault | None]:
        """Note a request.

        Returns:
            its line in the log, to be completed, and the fault that happens to it.
        """
        with self._lock:
            line: dict[str, Any] = {"method": method, "path": address, "user": user, "status": None, "fault": None}
            self._log.append(line)
            happens = None
            for fault in self._waiting:
                if re.search(fault.match, f"{method} {address}"):
                    fault.seen += 1
                    late = fault.seen - fault.nth
                    if happens is None and late >= 0 and (fault.times is None or late < fault.times):
                        happens = fault
            if happens:
                line["fault"] = happens.kind
            return line, happens

    def log(self) -> list[dict[str, Any]]:
        """Every request so far, in the order in which they came."""
        with self._lock:
            return [dict(line) for line in self._log]

    def waiting(self) -> list[dict[str, Any]]:
        """Every fault that was set."""
        with self._lock:
            return [asdict(fault) for fault in self._waiting]

    def clear(self) -> None:
        """Forget faults and requests."""
        with self._lock:
            self._waiting.clear()
            self._log.clear()
