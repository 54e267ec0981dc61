"""Which of several servers gets the next request.

Each process decides for itself, by what it has in flight, so that tasks on many machines need not talk to each other:

- a request goes to the server that has read most of its beginning, if that has not much more than its share in hand;
- else to the one with the fewest requests of this process in flight, drawn by lot among equals: many tasks that ask
  at the same moment do not all take the first of the list;
- servers that do not answer are left out until they have been looked at again, see ``tending.py``.

Requests that find no server wait here, in order, and are handed the next place that becomes free.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from deepwriting.engines.server.affinity import Affinity
from deepwriting.engines.server.endpoint import Endpoint

#: A server that knows a text's beginning is preferred until it has this many times the mean of all in flight, and this
#: many requests more: the candidates of one step share their prompt and belong together.
SHARE, SLACK = 1.25, 2


@dataclass(eq=False)
class _Waiter:
    """A request that waits for a server."""

    future: asyncio.Future[Endpoint]
    blocks: Sequence[bytes]
    avoided: Collection[Endpoint]


@dataclass(eq=False)
class Pool:
    """The servers behind one engine; may be used from several threads and event loops.

    Attributes:
        limit: most requests that one server has in hand from this process.
        members: the servers, by address.
        out_since: since when no server is ready (monotonic, seconds); ``None`` while one is.
    """

    limit: int
    members: dict[str, Endpoint] = field(default_factory=dict)
    out_since: float | None = field(default_factory=time.monotonic)
    _affinity: Affinity = field(default_factory=Affinity)
    _waiting: deque[_Waiter] = field(default_factory=deque)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    async def take(self, blocks: Sequence[bytes], avoided: Collection[Endpoint] = ()) -> Endpoint:
        """A place at a server, to be given back with ``release``; waits until there is one.

        Args:
            blocks: the text's beginning, see ``affinity.blocks``.
            avoided: servers to leave out if another one can be had.
        """
        with self._lock:
            if not self._waiting and (endpoint := self._choose(blocks, avoided)) is not None:
                self._give(endpoint, blocks)
                return endpoint
            waiter = _Waiter(asyncio.get_running_loop().create_future(), blocks, avoided)
            self._waiting.append(waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            with self._lock:
                given = waiter.future.done() and not waiter.future.cancelled()
                if given and waiter.future.exception() is None:  # it was handed a place a moment too late
                    self.release(waiter.future.result())
            raise

    def release(self, endpoint: Endpoint) -> None:
        """Give a place back."""
        with self._lock:
            endpoint.in_flight -= 1
            self._forget_if_gone(endpoint)
            self.changed()

    def changed(self) -> None:
        """Hand free places to those who wait; to be called when a server's state has changed."""
        with self._lock:
            if any(endpoint.usable for endpoint in self.members.values()):
                self.out_since = None
            elif self.out_since is None:
                self.out_since = time.monotonic()
            while self._waiting:
                waiter = self._waiting[0]
                endpoint = None if waiter.future.done() else self._choose(waiter.blocks, waiter.avoided)
                if endpoint is None and not waiter.future.done():
                    return
                self._waiting.popleft()
                if endpoint is not None:
                    self._give(endpoint, waiter.blocks)
                    if not self._deliver(waiter, endpoint):
                        endpoint.in_flight -= 1

    def send_away(self, error: Exception) -> None:
        """Fail everybody who waits for a server."""
        with self._lock:
            while self._waiting:
                self._deliver(self._waiting.popleft(), error)

    def update(self, urls: Iterable[str]) -> None:
        """The addresses as they are now: new ones join, missing ones get nothing more."""
        with self._lock:
            named = dict.fromkeys(urls)
            for url in named:
                self.members.setdefault(url, Endpoint(url)).leaving = False
            for endpoint in list(self.members.values()):
                if endpoint.url not in named:
                    endpoint.leaving = True
                    self._forget_if_gone(endpoint)
            self.changed()

    def put_out(self, endpoint: Endpoint, reason: str) -> None:
        """A server did not answer; what it had computed may be lost too."""
        with self._lock:
            endpoint.put_out(reason)
            self._affinity.forget(endpoint.url)
            self.changed()

    def renew(self) -> None:
        """Have every server looked at before it is asked again."""
        with self._lock:
            for endpoint in self.members.values():
                endpoint.renew()
            self.changed()

    def _choose(self, blocks: Sequence[bytes], avoided: Collection[Endpoint]) -> Endpoint | None:
        usable = [endpoint for endpoint in self.members.values() if endpoint.usable]
        free = [endpoint for endpoint in usable if endpoint.in_flight < self.limit]
        if new := sum(endpoint.state == "new" and not endpoint.leaving for endpoint in self.members.values()):
            # At the start one server is the first to be ready: it must not get everything that waits.
            bound = self._bound(usable, len(usable) + new)
            free = [endpoint for endpoint in free if endpoint.in_flight + 1 <= bound]
        if len(free) < 2:
            return free[0] if free else None
        now = time.monotonic()
        able = [endpoint for endpoint in free if endpoint.next_start <= now]
        able = able or [min(free, key=lambda endpoint: endpoint.next_start)]
        able = [endpoint for endpoint in able if endpoint not in avoided] or able
        bound = self._bound(usable, len(usable))
        light = [endpoint for endpoint in able if endpoint.in_flight + 1 <= bound] or able
        known = self._affinity.known(blocks)
        return max(light, key=lambda e: (known.get(e.url, 0), -e.in_flight, random.random()))

    def _bound(self, usable: Sequence[Endpoint], servers: int) -> float:
        """What one of so many servers may have in hand to have not much more than its share."""
        everything = sum(endpoint.in_flight for endpoint in usable) + len(self._waiting) + 1
        return SHARE * everything / servers + SLACK

    def _give(self, endpoint: Endpoint, blocks: Sequence[bytes]) -> None:
        endpoint.in_flight += 1
        if len(self.members) > 1:
            self._affinity.sent(blocks, endpoint.url)

    def _forget_if_gone(self, endpoint: Endpoint) -> None:
        if endpoint.leaving and not endpoint.in_flight:
            self.members.pop(endpoint.url, None)
            self._affinity.forget(endpoint.url)

    def _deliver(self, waiter: _Waiter, result: Endpoint | Exception) -> bool:
        """Hand a result to a waiter, whose loop may be another thread's; False if that loop is closed."""

        def deliver() -> None:
            if isinstance(result, Exception):
                if not waiter.future.done():
                    waiter.future.set_exception(result)
            elif waiter.future.done():
                self.release(result)
            else:
                waiter.future.set_result(result)

        try:
            waiter.future.get_loop().call_soon_threadsafe(deliver)
        except RuntimeError:
            return False
        return True
