"""One server's HTTP client: keeps to its limits, tries again, and waits for a server that is away.

Callers are coroutines, thousands if need be: no thread a request, and no more connections than ``max_concurrency``. A
connection belongs to an event loop, and each stage of a run has a loop of its own; so there is one pool for each loop,
closed when the loop ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
import orjson

from deepwriting.engines.server.key import ApiKey
from deepwriting.engines.server.trouble import Trouble, excerpt, pause, problem
from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Attempts whose answers cannot be used (status 500, not JSON, wrong shape) before a request fails.
MAX_BROKEN = 5
#: Limit for making a connection (seconds); the limit of a request is the caller's.
CONNECT_S = 20.0
#: Idle connections are closed by us before servers do it (uvicorn: after 5 s), which could meet a request on its way.
KEEP_IDLE_S = 3.0


@dataclass(eq=False)
class _Pool:
    """What belongs to one event loop."""

    client: httpx2.AsyncClient
    gate: asyncio.Semaphore
    keeper: asyncio.Task[None] | None = None
    waiting: set[asyncio.Timeout] = field(default_factory=set)

    def stop(self) -> None:
        """Send everybody away who waits; called in the pool's own loop."""
        now = asyncio.get_running_loop().time()
        while self.waiting:  # each once: a scope that runs out cannot be moved any more
            self.waiting.pop().reschedule(now)
        if self.keeper is not None:
            self.keeper.cancel()


class ServerClient:
    """Asks one server.

    Args:
        url: the server's address, up to and with ``/v1``.
        key: its key.
        max_concurrency: most requests in flight in one event loop.
        requests_per_minute: most requests a minute, spaced evenly; ``None`` for no limit. It counts for this process.
        timeout_s: limit of one attempt (seconds).
        patience_s: how long to go on trying while the server is away or busy (seconds).
        lost: says why the server will not come back; ``None`` as long as it may.
        proxies: whether the environment's proxy settings count; not for a server on this machine.
    """

    def __init__(
        self,
        url: str,
        *,
        key: ApiKey,
        max_concurrency: int,
        requests_per_minute: int | None,
        timeout_s: float,
        patience_s: float,
        lost: Callable[[], str | None] = lambda: None,
        proxies: bool = True,
    ):
        self.url = url.rstrip("/")
        self.root = self.url.removesuffix("/v1")
        self.key = key
        self.max_concurrency = max_concurrency
        self.timeout_s = timeout_s
        self.patience_s = patience_s
        self._lost = lost
        self._proxies = proxies
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._spacing_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next_start = 0.0  # when the next request may start: rate limit, and pauses that the server asked for
        self._last_answer = time.monotonic()
        self._away_since: float | None = None

    async def post(self, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> T:
        """Send a request until its answer can be used.

        Args:
            path: ``/completions`` and so on; one that starts with ``//`` lies outside of ``/v1``.
            body: the request, as JSON.
            read: takes what is needed from the answer; raises ``Trouble`` if that is not there.

        Raises:
            Refusal: if the server says that the request is wrong.
            ContextOverflowError: if it says that the text is too long.
            EngineError: if the server stays away, or its answers stay unusable, or the client is closed.
        """
        content = orjson.dumps(body)
        return await self._until_answered(lambda pool: self._once(pool, "POST", path, content, read))

    async def get(self, path: str) -> Any:
        """The JSON behind a path; raises like ``post``."""
        return await self._until_answered(lambda pool: self._once(pool, "GET", path, None, lambda answer: answer))

    def close(self) -> None:
        """Send away everybody who waits; may be called from any thread, and twice."""
        self._closed = True
        for loop, pool in list(self._pools.items()):
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
                loop.call_soon_threadsafe(pool.stop)

    async def _until_answered(self, attempt: Callable[[_Pool], Awaitable[T]]) -> T:
        self.refuse_if_closed()
        pool = self._pool()
        try:
            async with asyncio.timeout(None) as scope:
                pool.waiting.add(scope)
                try:
                    return await self._try(pool, attempt)
                finally:
                    pool.waiting.discard(scope)
        except TimeoutError:  # the scope has no limit of its own: ``close`` set one
            self.refuse_if_closed()
            raise

    async def _try(self, pool: _Pool, attempt: Callable[[_Pool], Awaitable[T]]) -> T:
        broken = failed = 0
        first_failure = time.monotonic()
        while True:
            try:
                async with pool.gate:
                    await self._turn()
                    result = await attempt(pool)
            except Trouble as trouble:
                failed += 1
                now = time.monotonic()
                if failed == 1:
                    first_failure = now
                if trouble.kind == "broken":
                    broken += 1
                    if broken >= MAX_BROKEN:
                        raise EngineError(f"gave up after {broken} answers of no use: {trouble.reason}") from None
                elif trouble.kind == "away" and failed > 1:  # a single lost connection is no absence
                    self._note_away(trouble, now)
                # A busy server that answers others is not away, however long this request has waited.
                since = max(first_failure, self._last_answer) if trouble.kind == "busy" else first_failure
                if now - since > self.patience_s:
                    raise EngineError(
                        f"the server did not recover for {self.patience_s:g} s (patience_s): {trouble.reason}"
                    ) from None
                if (why := self._lost()) is not None:
                    raise EngineError(f"the server is lost: {self.key.scrub(why)}") from None
                await self._rest(failed, trouble)
            else:
                self._note_answer()
                return result

    async def _turn(self) -> None:
        """Wait for this request's place in the rate limit."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next_start)
            if self._spacing_s:
                self._next_start = start + self._spacing_s
        if start > now:
            await asyncio.sleep(start - now)

    async def _rest(self, failed: int, trouble: Trouble) -> None:
        delay = min(pause(failed, trouble.wait_s), self.patience_s)
        if trouble.kind == "busy" and trouble.wait_s is not None:
            with self._lock:  # what a server asks of one request holds for all
                self._next_start = max(self._next_start, time.monotonic() + min(trouble.wait_s, self.patience_s))
        await asyncio.sleep(delay)

    async def _once(self, pool: _Pool, method: str, path: str, content: bytes | None, read: Callable[[Any], T]) -> T:
        address = self.root + path[1:] if path.startswith("//") else self.url + path
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            async with asyncio.timeout(self.timeout_s):
                response = await pool.client.request(method, address, content=content, headers=headers)
        except TimeoutError:
            raise Trouble("away", f"{address} did not answer within {self.timeout_s:g} s (timeout_s)") from None
        except httpx2.TransportError as error:
            what = self.key.scrub(str(error))
            if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
                raise EngineError(f"{address} cannot be asked: {what}") from None
            raise Trouble("away", f"{address}: {type(error).__name__} {what}".rstrip()) from None
        body = response.content
        if not 200 <= response.status_code < 300:
            scrubbed = self.key.scrub(body.decode(errors="replace")).encode()
            raise problem(response.status_code, response.headers, scrubbed, address)
        try:
            return read(orjson.loads(body))
        except orjson.JSONDecodeError:
            reason = f"{address} answered no JSON: {self.key.scrub(excerpt(body))}"
            raise Trouble("broken", reason) from None
        except Trouble as trouble:
            trouble.reason = f"{address} answered {trouble.reason}: {self.key.scrub(excerpt(body))}"
            raise

    def _pool(self) -> _Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            connections = httpx2.Limits(
                max_connections=self.max_concurrency,
                max_keepalive_connections=self.max_concurrency,
                keepalive_expiry=KEEP_IDLE_S,
            )
            client = httpx2.AsyncClient(
                headers=self.key.headers(),
                limits=connections,
                timeout=httpx2.Timeout(None, connect=CONNECT_S),
                trust_env=self._proxies,
            )
            pool = self._pools[loop] = _Pool(client, asyncio.Semaphore(self.max_concurrency))
            pool.keeper = loop.create_task(self._keep(loop, pool), name="server-connections")
        return pool

    async def _keep(self, loop: asyncio.AbstractEventLoop, pool: _Pool) -> None:
        """Close the pool when its loop ends: a runner cancels all tasks before it closes its loop."""
        try:
            await asyncio.Event().wait()
        finally:
            self._pools.pop(loop, None)
            await pool.client.aclose()

    def refuse_if_closed(self) -> None:
        """Raise ``EngineError`` once the client is closed."""
        if self._closed:
            raise EngineError("the engine stopped: it was closed")

    def _note_away(self, trouble: Trouble, now: float) -> None:
        if self._away_since is None:
            self._away_since = now
            log.warning("the server is away, waiting up to %g s: %s", self.patience_s, trouble.reason)

    def _note_answer(self) -> None:
        now = self._last_answer = time.monotonic()
        if self._away_since is not None:
            log.warning("the server at %s is back after %.0f s", self.url, now - self._away_since)
            self._away_since = None
