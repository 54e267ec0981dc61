"""The thread that does the model work of one device.

Coroutines only put jobs into its queue. Jobs (scores, and requests for samples) go before decoding steps: a scored step
is what lets a search ask for its next samples, and samples are cheaper the more of them run together.

All engines on the CPU share one worker. Two threads that both use torch would each bring a pool of helper threads, and
on few cores the pools spend their time waiting for each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from deepwriting.engines.decoder import Decoder
from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

Future = asyncio.Future[Any]


@dataclass(eq=False)
class Lane:
    """One engine's part of a worker.

    Attributes:
        decoder: the engine's sequences in flight.
        fail: called when decoding fails; the engine cannot go on then.
    """

    decoder: Decoder
    fail: Callable[[BaseException], None]


class Worker:
    """A thread with a queue of jobs and the decoders of its engines."""

    def __init__(self, name: str):
        self._queue: queue.SimpleQueue[tuple[Future, Callable[[Future], None]] | None] = queue.SimpleQueue()
        self._lanes: list[Lane] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def add(self, lane: Lane) -> None:
        """Decode this lane's sequences from now on."""
        self._lanes = [*self._lanes, lane]

    def remove(self, lane: Lane) -> None:
        """Stop decoding a lane; the thread ends with its last lane."""
        self._lanes = [other for other in self._lanes if other is not lane]
        if not self._lanes:
            self._queue.put(None)
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread still takes jobs."""
        return self._thread.is_alive()

    def submit(self, future: Future, work: Callable[[Future], None]) -> None:
        """Have ``work`` done, which resolves the future it is given."""
        self._queue.put((future, work))

    def _run(self) -> None:
        with torch.inference_mode():
            while self._take():
                for lane in self._lanes:
                    if lane.decoder.busy:
                        try:
                            lane.decoder.step()
                        except Exception as error:
                            log.exception("decoding failed")
                            self._lanes = [other for other in self._lanes if other is not lane]
                            lane.fail(error)

    def _take(self) -> bool:
        """Do all queued jobs; wait for one if nothing is being decoded. False ends the thread."""
        while True:
            try:
                job = self._queue.get(block=not any(lane.decoder.busy for lane in self._lanes))
            except queue.Empty:
                return True
            if job is None:
                return False
            future, work = job
            try:
                work(future)
            except Exception as error:  # this job fails with its reason, the others go on
                resolve(future, request_error(error))


_CPU_WORKERS: list[Worker] = []
_CPU_LOCK = threading.Lock()


def worker_for(device: torch.device) -> Worker:
    """The shared worker of the CPU, or a new one for another device."""
    if device.type != "cpu":
        return Worker(f"engine-{device}")
    with _CPU_LOCK:
        if not (_CPU_WORKERS and _CPU_WORKERS[0].alive):
            _CPU_WORKERS[:] = [Worker("engine-cpu")]
        return _CPU_WORKERS[0]


def request_error(error: Exception) -> EngineError:
    """What the caller of a request gets when its model work failed."""
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
