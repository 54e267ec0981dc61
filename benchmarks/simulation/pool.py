"""Several servers behind one engine, as ``deepwriting/engines/server`` spreads requests over its endpoints."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import simpy

from simulation.servers import Engine, Job, LostError

#: A search stays with the server that keeps its prefix until that has this many requests more than the idlest, and
#: this many times as many.
SLACK, RATIO = 4, 1.25
_LOAD = attrgetter("load")


class Pool:
    """Spreads requests over servers; a dead server's requests are asked of another.

    Args:
        env: the simulation.
        servers: the servers.
        sticky: whether a search prefers the server that it asked last.
    """

    def __init__(self, env: simpy.Environment, servers: Sequence[Engine], *, sticky: bool = True):
        if not servers:
            raise ValueError("a pool needs a server")
        self.env, self.servers, self.sticky = env, list(servers), sticky
        self.resent = 0
        self._homes: dict[Hashable, Engine] = {}

    def ask(self, search: Hashable, job: Callable[[], Job]) -> Iterator[Any]:
        """Have a request done, however many servers die of it; part of a simulated process."""
        while True:
            server = self._choose(search)
            if server is None:
                yield simpy.AnyOf(self.env, [server.revived for server in self.servers])
                continue
            try:
                yield server.submit(job())
            except LostError:
                self.resent += 1
            else:
                return

    def forget(self, search: Hashable) -> None:
        """The search has ended."""
        self._homes.pop(search, None)

    def _choose(self, search: Hashable) -> Engine | None:
        alive = [server for server in self.servers if server.alive]
        if not alive:
            return None
        home = self._homes.get(search) if self.sticky else None
        idlest = min(alive, key=_LOAD)
        least = idlest.load
        if home is None or not home.alive or home.load > max(least + SLACK, least * RATIO):
            home = idlest
        if self.sticky:
            self._homes[search] = home
        return home
