"""The HTTP client of an engine: keeps to the servers' limits, tries again, and waits for servers that are away.

Callers are coroutines, thousands if need be: no thread a request, and no more requests at a server than
``max_concurrency``.

One address that never changes is asked again and again while it is away. With several, a request goes to another one
at once (``pool.py``), and the one that failed is looked at before it gets the next (``tending.py``).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import orjson

from deepwriting.engines.server.addresses import Addresses, Fixed
from deepwriting.engines.server.affinity import blocks
from deepwriting.engines.server.connections import Connections
from deepwriting.engines.server.endpoint import Endpoint
from deepwriting.engines.server.key import ApiKey
from deepwriting.engines.server.pool import Pool
from deepwriting.engines.server.tending import Check, Tender
from deepwriting.engines.server.trouble import Refusal, RefusedRequest, Trouble, pause
from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Attempts whose answers cannot be used (status 500, not JSON, wrong shape) before a request fails.
MAX_BROKEN = 5
#: How long a server may take to list its models when it is looked at (seconds).
LOOK_S = 20.0


class ServerClient:
    """Asks one server, or several that give the same answers.

    Args:
        where: the server's address, up to and with ``/v1``; or where addresses come from.
        key: the key of all of them.
        max_concurrency: most requests in flight at one server.
        requests_per_minute: most requests a minute to one server, spaced evenly; ``None`` for no limit. It counts for
            this process.
        timeout_s: limit of one attempt (seconds).
        patience_s: how long to go on trying while all are away or busy (seconds).
        lost: says why no server will come back; ``None`` as long as one may.
        proxies: whether the environment's proxy settings count; not for servers on this machine.

    Attributes:
        url: the address, or in words where the servers are.
        alone: whether there is one server, for good.
        fixed: whether the servers are the same ones for good.
        pool: the servers.
    """

    def __init__(
        self,
        where: str | Addresses,
        *,
        key: ApiKey,
        max_concurrency: int,
        requests_per_minute: int | None,
        timeout_s: float,
        patience_s: float,
        lost: Callable[[], str | None] = lambda: None,
        proxies: bool = True,
    ):
        addresses = Fixed([where]) if isinstance(where, str) else where
        self.url = str(addresses)
        self.key = key
        self.patience_s = patience_s
        self.pool = Pool(max_concurrency)
        self._tender = Tender(self.pool, addresses, patience_s=patience_s, lost=self._lost)
        self._connections = Connections(key=key, timeout_s=timeout_s, proxies=proxies, background=self._tend)
        self._why_lost = lost
        self._check: Check | None = None
        self._lock = threading.Lock()
        self._spacing_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._last_answer = time.monotonic()
        self._away_since: float | None = None
        self.fixed = addresses.fixed
        known = addresses.read() if self.fixed else []
        self.alone = len(known) == 1
        if self.alone:
            self.pool.update(known)
            self.pool.members[known[0]].admit()
            self.pool.changed()

    async def post(self, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> T:
        """Send a request until its answer can be used.

        Args:
            path: ``/completions`` and so on; one that starts with ``//`` lies outside of ``/v1``.
            body: the request, as JSON.
            read: takes what is needed from the answer; raises ``Trouble`` if that is not there.

        Raises:
            Refusal: if the server says that the request is wrong.
            ContextOverflowError: if it says that the text is too long.
            EngineError: if all servers stay away, or their answers stay unusable, or the client is closed.
        """
        content = orjson.dumps(body)
        beginning = [] if self.alone else blocks(body)

        async def attempt(at: Endpoint) -> T:
            return await self._connections.once(at, "POST", path, content, read)

        return await self._connections.until_closed(lambda: self._until_answered(beginning, attempt))

    async def get(self, path: str) -> Any:
        """The JSON behind a path; raises like ``post``."""

        async def attempt(at: Endpoint) -> Any:
            return await self._connections.once(at, "GET", path, None, lambda answer: answer)

        return await self._connections.until_closed(lambda: self._until_answered([], attempt))

    async def look_at_all(self, check: Callable[[OneServer], Awaitable[str | None]], *, limit_s: float) -> None:
        """Have the servers pass a check, each before it is asked: those that there are, and those that come.

        Args:
            check: nothing if the server is fit, else why it is not; may raise ``Trouble`` and ``EngineError``.
            limit_s: how long to wait for the slower ones once one is ready (seconds).

        Raises:
            EngineError: if none gets ready.
        """

        async def wait() -> None:
            self.pool.release(await self.pool.take([]))
            end = time.monotonic() + limit_s
            while time.monotonic() < end and any(member.state == "new" for member in self.pool.members.values()):
                await asyncio.sleep(0.01)

        self._check = lambda endpoint: check(OneServer(self._connections, endpoint))
        self.pool.renew()
        await self._connections.until_closed(wait)

    def close(self) -> None:
        """Send away everybody who waits; may be called from any thread, and twice."""
        self._connections.close()

    def refuse_if_closed(self) -> None:
        """Raise ``EngineError`` once the client is closed."""
        self._connections.refuse_if_closed()

    async def _until_answered(self, beginning: Sequence[bytes], attempt: Callable[[Endpoint], Awaitable[T]]) -> T:
        broken = failed = 0
        first_failure = time.monotonic()
        avoided: set[Endpoint] = set()
        while True:
            at = await self.pool.take(beginning, avoided)
            try:
                await self._turn(at)
                result = await attempt(at)
            except Trouble as caught:
                trouble = caught
                self._note_trouble(at, trouble, failed + 1)
            except RefusedRequest:
                raise
            except Refusal as refusal:
                if self._check is None or len(self.pool.members) < 2:  # before the check: it may be what is asked
                    raise
                at.refuse(str(refusal))  # the model is not there, or the key: another server may have it
                continue
            else:
                self._note_answer(at)
                return result
            finally:
                self.pool.release(at)
            failed += 1
            now = time.monotonic()
            if failed == 1:
                first_failure = now
            avoided.add(at)
            broken += trouble.kind == "broken"
            if broken >= MAX_BROKEN:
                raise EngineError(f"gave up after {broken} answers of no use: {trouble.reason}")
            # A busy server that answers others is not away, however long this request has waited.
            since = max(first_failure, self._last_answer) if trouble.kind == "busy" else first_failure
            if now - since > self.patience_s:
                raise EngineError(
                    f"the server did not recover for {self.patience_s:g} s (patience_s): {trouble.reason}"
                )
            if (why := self._lost()) is not None:
                raise EngineError(f"the server is lost: {why}")
            if self.alone or trouble.kind == "broken":
                await self._rest(at, failed, trouble)

    async def _turn(self, at: Endpoint) -> None:
        """Wait for this request's place in the server's rate limit."""
        with self._lock:
            now = time.monotonic()
            start = max(now, at.next_start)
            if self._spacing_s:
                at.next_start = start + self._spacing_s
        if start > now:
            await asyncio.sleep(start - now)

    async def _rest(self, at: Endpoint, failed: int, trouble: Trouble) -> None:
        delay = min(pause(failed, trouble.wait_s), self.patience_s)
        if trouble.kind == "busy" and trouble.wait_s is not None:
            self._let_rest(at, trouble.wait_s)
        await asyncio.sleep(delay)

    def _let_rest(self, at: Endpoint, seconds: float) -> None:
        with self._lock:  # what a server asks of one request holds for all
            at.next_start = max(at.next_start, time.monotonic() + min(seconds, self.patience_s))

    async def _tend(self) -> None:
        if self.alone:
            await asyncio.Event().wait()
        await self._tender.run(self._look, self._list_models)

    async def _look(self, at: Endpoint) -> str | None:
        try:
            await self._list_models(at)
        except Refusal as refusal:
            if refusal.status in (401, 403):
                raise
        return await self._check(at) if self._check is not None else None

    async def _list_models(self, at: Endpoint) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await OneServer(self._connections, at).get("/models")
        except TimeoutError:
            raise Trouble("away", f"{at.url} did not list its models within {LOOK_S:g} s") from None

    def _note_trouble(self, at: Endpoint, trouble: Trouble, failed: int) -> None:
        if not self.alone:
            if trouble.kind == "away":
                self.pool.put_out(at, trouble.reason)
            elif trouble.kind == "broken":
                at.stumbled(trouble.reason)
            else:
                self._let_rest(at, pause(failed, trouble.wait_s))
        elif trouble.kind == "away" and failed > 1 and self._away_since is None:
            # A single lost connection is no absence.
            self._away_since = time.monotonic()
            log.warning("the server is away, waiting up to %g s: %s", self.patience_s, trouble.reason)

    def _note_answer(self, at: Endpoint) -> None:
        now = self._last_answer = time.monotonic()
        at.answered()
        if self._away_since is not None:
            log.warning("the server at %s is back after %.0f s", self.url, now - self._away_since)
            self._away_since = None

    def _lost(self) -> str | None:
        why = self._why_lost()
        return None if why is None else self.key.scrub(why)


class OneServer:
    """Asks a certain server of a pool, once and without patience: to look at it.

    Args:
        connections: the pool's connections.
        endpoint: the server.
    """

    def __init__(self, connections: Connections, endpoint: Endpoint):
        self._connections = connections
        self._endpoint = endpoint
        self.url = endpoint.url

    async def post(self, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> T:
        """Like ``ServerClient.post``, but raises ``Trouble`` as it comes."""
        return await self._connections.once(self._endpoint, "POST", path, orjson.dumps(body), read)

    async def get(self, path: str) -> Any:
        """Like ``ServerClient.get``, but raises ``Trouble`` as it comes."""
        return await self._connections.once(self._endpoint, "GET", path, None, lambda answer: answer)


#: Whoever can be asked: the whole pool, or one server of it.
Asked = ServerClient | OneServer
