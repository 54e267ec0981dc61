"""Answers on their way from a worker thread to the coroutines that wait for them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from deepwriting.errors import EngineError

Future = asyncio.Future[Any]


def request_error(error: Exception) -> EngineError:
    """What the caller of a request gets when its model work failed."""
    if isinstance(error, EngineError):
        return error
    failure = EngineError(f"a request failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def resolve(future: Future, result: Any) -> None:
    """Hand a result, or an exception, from the worker thread to the coroutine that waits for it."""

    def deliver() -> None:
        if future.done():
            return
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        future.get_loop().call_soon_threadsafe(deliver)
