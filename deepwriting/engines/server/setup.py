"""What a server engine needs before its first request: its tokenizer, and a loop to ask in."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from deepwriting.engines.alignment import Tokeniser
from deepwriting.engines.models import ResolvedModel, resolve_model
from deepwriting.errors import ModelNotFoundError

log = logging.getLogger(__name__)

T = TypeVar("T")


def find_tokeniser(
    model: str, name: str | None, revision: str | None, api: str, resolved: ResolvedModel | None
) -> Tokeniser | None:
    """The tokenizer to use: the named one, else the model's, else none.

    Args:
        model: the model as the server calls it.
        name: embedded name, local directory or Hub id of the tokenizer; ``None`` for the model's own.
        revision: Hub revision of the model.
        api: ``completions`` or ``chat``; a chat server needs none.
        resolved: the model's files, if the run starts the server.

    Raises:
        ModelNotFoundError: if it should be there and is not.
        EngineError: if it knows no character offsets.
    """
    if name is not None:
        return Tokeniser.load(resolve_model(name, revision if name == model else None))
    if resolved is not None:
        return Tokeniser.load(resolved)
    if api == "chat":
        return None
    try:
        resolved = resolve_model(model, revision)
    except ModelNotFoundError:  # a name that only the server knows
        log.warning("no tokenizer is known for %s: it gets text and cannot score; name one as tokenizer", model)
        return None
    return Tokeniser.load(resolved)


async def together(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Results of several calls; the first failure ends the others."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def run_in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, whether or not the caller has an event loop running."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:  # raised again below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, name="server-start", daemon=True)  # Ctrl-C ends the wait
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
