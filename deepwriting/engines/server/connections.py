"""Connections to servers, and one attempt of a request over them.

A connection belongs to an event loop, and each stage of a run has a loop of its own; so there is one set of connections
for each loop, closed when the loop ends. What has to go on in the background of a loop that uses them, such as looking
after a pool, ends with it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
import orjson

from deepwriting.engines.server.endpoint import Endpoint
from deepwriting.engines.server.key import ApiKey
from deepwriting.engines.server.trouble import Trouble, excerpt, problem
from deepwriting.errors import EngineError

T = TypeVar("T")

#: Limit for making a connection (seconds); the limit of a request is the caller's.
CONNECT_S = 20.0
#: Idle connections are closed by us before servers do it (uvicorn: after 5 s), which could meet a request on its way.
KEEP_IDLE_S = 3.0


@dataclass(eq=False)
class _Loop:
    """What belongs to one event loop."""

    client: httpx2.AsyncClient
    keeper: asyncio.Task[None] | None = None
    waiting: set[asyncio.Timeout] = field(default_factory=set)

    def stop(self) -> None:
        """Send everybody away who waits; called in the loop itself."""
        now = asyncio.get_running_loop().time()
        while self.waiting:  # each once: a scope that runs out cannot be moved any more
            self.waiting.pop().reschedule(now)
        if self.keeper is not None:
            self.keeper.cancel()


class Connections:
    """Sends requests, each once. How many there are at a time is for the caller to limit.

    Args:
        key: sent with every request.
        timeout_s: limit of one attempt (seconds).
        proxies: whether the environment's proxy settings count.
        background: what goes on in every loop for as long as it uses the connections.
    """

    def __init__(self, *, key: ApiKey, timeout_s: float, proxies: bool, background: Callable[[], Awaitable[Any]]):
        self.key = key
        self.timeout_s = timeout_s
        self._proxies = proxies
        self._background = background
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._closed = False

    async def once(self, at: Endpoint, method: str, path: str, content: bytes | None, read: Callable[[Any], T]) -> T:
        """One attempt at one server.

        Args:
            at: the server.
            method: HTTP method.
            path: ``/completions`` and so on; one that starts with ``//`` lies outside of ``/v1``.
            content: the request, as JSON.
            read: takes what is needed from the answer; raises ``Trouble`` if that is not there.

        Raises:
            Trouble: if another attempt may pass.
            EngineError: if none will; see ``trouble.problem``.
        """
        address = at.root + path[1:] if path.startswith("//") else at.url + path
        headers = {"Content-Type": "application/json"} if content is not None else {}
        client, began = self._here().client, time.monotonic()
        scope = asyncio.timeout(self.timeout_s)
        try:
            async with scope:
                at.attempts[scope] = asyncio.get_running_loop()
                response = await client.request(method, address, content=content, headers=headers)
            at.heard = time.monotonic()
        except TimeoutError:
            if time.monotonic() - began < self.timeout_s:
                raise Trouble("away", f"{address} was given up: the server does not answer any more") from None
            raise Trouble("away", f"{address} did not answer within {self.timeout_s:g} s (timeout_s)") from None
        except httpx2.TransportError as error:
            what = self.key.scrub(str(error))
            if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
                raise EngineError(f"{address} cannot be asked: {what}") from None
            raise Trouble("away", f"{address}: {type(error).__name__} {what}".rstrip()) from None
        finally:
            at.attempts.pop(scope, None)
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

    async def until_closed(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something that ``close`` ends.

        Raises:
            EngineError: if it did, or had before.
        """
        self.refuse_if_closed()
        here = self._here()
        try:
            async with asyncio.timeout(None) as scope:
                here.waiting.add(scope)
                try:
                    return await work()
                finally:
                    here.waiting.discard(scope)
        except TimeoutError:  # the scope has no limit of its own: ``close`` set one
            self.refuse_if_closed()
            raise

    def close(self) -> None:
        """Send away everybody who waits; may be called from any thread, and twice."""
        self._closed = True
        for loop, there in list(self._loops.items()):
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
                loop.call_soon_threadsafe(there.stop)

    def refuse_if_closed(self) -> None:
        """Raise ``EngineError`` once the connections are closed."""
        if self._closed:
            raise EngineError("the engine stopped: it was closed")

    def _here(self) -> _Loop:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            limits = httpx2.Limits(max_connections=None, keepalive_expiry=KEEP_IDLE_S)
            client = httpx2.AsyncClient(
                headers=self.key.headers(),
                limits=limits,
                timeout=httpx2.Timeout(None, connect=CONNECT_S),
                trust_env=self._proxies,
            )
            here = self._loops[loop] = _Loop(client)
            here.keeper = loop.create_task(self._keep(loop, here), name="server-connections")
        return here

    async def _keep(self, loop: asyncio.AbstractEventLoop, here: _Loop) -> None:
        """Close the connections when the loop ends: a runner cancels all tasks before it closes its loop."""
        try:
            await self._background()
        finally:
            self._loops.pop(loop, None)
            await here.client.aclose()
