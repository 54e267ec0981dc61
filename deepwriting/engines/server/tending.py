"""Keeping a pool up to date: which servers there are, and which of them may be asked.

A server is looked at before its first request, and again after it did not answer: no request of a search is put at
risk to find out whether it is back. Looking is asking for the list of its models, and then whatever the engine wants of
every server (``admission.py``).

A server that has requests in hand and has said nothing for a while is asked for the list too: a machine that is cut off
from the network, or frozen, closes no connection, and its requests would wait for their time limits.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from deepwriting.engines.server.addresses import Addresses
from deepwriting.engines.server.endpoint import Endpoint
from deepwriting.engines.server.pool import Pool
from deepwriting.engines.server.trouble import Trouble
from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

#: How often the pool is looked over (seconds).
TICK_S = 0.2
#: How often the addresses are read again (seconds).
REFRESH_S = 5.0
#: How long a server with requests in hand may say nothing before it is asked for its list of models (seconds).
QUIET_S = 30.0
#: Servers that a message names.
NAMED = 5

#: Looks at a server: nothing if it is fit, else why it is not. Raises ``Trouble`` if it does not answer, ``Refusal`` if
#: it refuses.
Check = Callable[[Endpoint], Awaitable[str | None]]


class Tender:
    """Tends a pool; ``run`` is a task of every event loop that uses it.

    Args:
        pool: the pool.
        addresses: which servers there are.
        patience_s: how long to wait while no server is ready (seconds).
        lost: says why no server will come back; ``None`` as long as one may.
    """

    def __init__(self, pool: Pool, addresses: Addresses, *, patience_s: float, lost: Callable[[], str | None]):
        self.pool = pool
        self.addresses = addresses
        self.patience_s = patience_s
        self.lost = lost
        self._read_at: float | None = None
        self._reading = False
        self._warned = False
        self._trouble = ""

    async def run(self, check: Check, list_models: Check) -> None:
        """Tend until cancelled.

        Args:
            check: what a server has to pass before it is asked.
            list_models: the least that a server answers.
        """
        if self.pool.out_since is not None:  # nobody has looked since the last loop ended
            self.pool.out_since = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                await self._refresh()
                for endpoint in list(self.pool.members.values()):
                    if (work := self._due(endpoint, check, list_models)) is not None:
                        task = asyncio.create_task(work, name="server-check")
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                        endpoint.checking = True
                        # Not in the coroutine: one that is cancelled before it begins never comes to its end.
                        task.add_done_callback(functools.partial(_checked, endpoint))
                self._give_up_in_time()
                await asyncio.sleep(TICK_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # what they have opened is closed before the loop is

    def state(self) -> str:
        """Why no server is ready, in words."""
        known = list(self.pool.members.values())
        if not known:
            return f"{self.addresses} are none yet{self._trouble}"
        shown = "; ".join(f"{endpoint.url}: {endpoint.reason}" for endpoint in known[:NAMED])
        return shown + (f"; and {len(known) - NAMED} more" if len(known) > NAMED else "")

    def _due(self, endpoint: Endpoint, check: Check, list_models: Check) -> Coroutine[Any, Any, None] | None:
        """What is to be done about a server now, if anything."""
        now = time.monotonic()
        if endpoint.checking:
            return None
        if endpoint.state != "ready":
            return None if endpoint.leaving or now < endpoint.due else self._look(endpoint, check)
        quiet = endpoint.in_flight > 0 and now - endpoint.heard > QUIET_S
        return self._listen(endpoint, list_models) if quiet else None

    async def _look(self, endpoint: Endpoint, check: Check) -> None:
        """Decide whether a server may be asked."""
        try:
            reason = await check(endpoint)
        except Trouble as trouble:
            endpoint.check_failed(trouble.reason)
        except Exception as error:  # whatever it is that this server does to us, others may do without
            endpoint.refuse(str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}")
        else:
            if reason is None:
                endpoint.admit()
            else:
                endpoint.refuse(reason)
        self.pool.changed()

    async def _listen(self, endpoint: Endpoint, list_models: Check) -> None:
        """See whether a server that has requests in hand still answers at all."""
        before, reason = endpoint.heard, "it answered nothing"
        try:
            await list_models(endpoint)
        except Trouble as trouble:
            reason = trouble.reason
        except EngineError as error:  # an answer, if not a kind one
            reason = str(error)
        if endpoint.heard != before:
            endpoint.noticed()
        elif endpoint.missed():
            self.pool.put_out(endpoint, reason)
            endpoint.abandon()

    async def _refresh(self) -> None:
        now = time.monotonic()
        if self._reading or (self._read_at is not None and (self.addresses.fixed or now - self._read_at < REFRESH_S)):
            return
        self._reading = True  # another loop's tender may be at it
        try:
            urls = await asyncio.to_thread(self.addresses.read)
        except (OSError, ValueError) as error:  # a file system that is away for a while: what was known stays
            self._trouble = f" ({error})"
            if self._read_at is None:
                log.warning("%s cannot be read: %s", self.addresses, error)
            self._read_at = now
        else:
            self._trouble, self._read_at = "", now
            self.pool.update(urls)
        finally:
            self._reading = False

    def _give_up_in_time(self) -> None:
        since = self.pool.out_since
        if since is None:
            self._warned = False
            return
        seconds = time.monotonic() - since
        if (why := self.lost()) is not None:
            self.pool.send_away(EngineError(f"the server is lost: {why}"))
        elif self._all_unfit():
            self.pool.send_away(EngineError(f"no server can be used: {self.state()}"))
        elif seconds > self.patience_s:
            self.pool.send_away(
                EngineError(f"no server was ready for {self.patience_s:g} s (patience_s): {self.state()}")
            )
        elif not self._warned and seconds > 2 * TICK_S and not self._looking():
            self._warned = True
            log.warning("no server is ready, waiting up to %g s: %s", self.patience_s, self.state())

    def _all_unfit(self) -> bool:
        """Whether nothing can get better by waiting: the servers never change, and all have been looked at."""
        known = self.pool.members.values()
        return self.addresses.fixed and bool(known) and all(endpoint.state == "unfit" for endpoint in known)

    def _looking(self) -> bool:
        return any(endpoint.checking and endpoint.state == "new" for endpoint in self.pool.members.values())


def _checked(endpoint: Endpoint, _task: asyncio.Task[None]) -> None:
    endpoint.checking = False
