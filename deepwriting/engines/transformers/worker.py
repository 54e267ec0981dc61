"""The thread that does the model work of one device.

Coroutines only put jobs into its queue; a job hands its request to the engine's scorer or decoder, where it meets those
of other coroutines. Scores go before decoding steps: a scored step is what lets a search ask for its next samples, and
samples are cheaper the more of them run together.

All engines on the CPU share one worker, and their models are loaded by it too. Two threads that both use torch each
bring a pool of helper threads. With more threads than cores OpenMP puts helpers to sleep between two operations instead
of letting them wait: on two cores the matrix products of a decoding step took 1.5 times as long in a thread beside one
that had computed before.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future as Answer
from dataclasses import dataclass
from typing import TypeVar

import torch

from deepwriting.engines.futures import Future, request_error, resolve
from deepwriting.engines.transformers.decoder import Decoder
from deepwriting.engines.transformers.scoring import Scorer

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(eq=False)
class Lane:
    """One engine's part of a worker.

    Attributes:
        scorer: the engine's texts to score.
        decoder: the engine's sequences in flight.
        fail: called when either fails as a whole; the engine cannot go on then.
    """

    scorer: Scorer
    decoder: Decoder
    fail: Callable[[BaseException], None]


class Worker:
    """A thread with a queue of jobs and the lanes of its engines; it ends with the last engine that has joined."""

    def __init__(self, name: str):
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lanes: list[Lane] = []
        self._lock = threading.Lock()
        self._engines: set[object] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        atexit.register(self._end)

    def join(self, engine: object) -> bool:
        """Have the thread live as long as this engine; False if it is ending and the engine needs another worker."""
        with self._lock:
            if not self._closed:
                self._engines.add(engine)
            return not self._closed

    def add(self, lane: Lane) -> None:
        """Work for an engine's lane from now on."""
        with self._lock:
            self._lanes = [*self._lanes, lane]

    def leave(self, engine: object, lane: Lane | None = None) -> None:
        """Stop working for an engine and its lane; an engine that has left already changes nothing."""
        with self._lock:
            self._lanes = [other for other in self._lanes if other is not lane]
            self._engines.discard(engine)
            if self._engines or self._closed:
                return
            self._closed = True
        self._end()
        atexit.unregister(self._end)

    def call(self, work: Callable[[], T]) -> T:
        """Have the thread call ``work``, and wait for what it returns or raises."""
        answer: Answer[T] = Answer()

        def job() -> None:
            try:
                answer.set_result(work())
            except BaseException as error:
                answer.set_exception(error)

        self._queue.put(job)
        return answer.result()

    def submit(self, future: Future, work: Callable[[], None]) -> None:
        """Have the thread call ``work``, which sees to it that the future is resolved one day."""

        def job() -> None:
            try:
                work()
            except Exception as error:  # this job fails with its reason, the others go on
                resolve(future, request_error(error))

        self._queue.put(job)

    def _end(self) -> None:
        """End the thread after the step in flight, at the latest when the process ends.

        Torch has helper threads that must not outlive it: one process in thirty aborted at its exit.
        """
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        with torch.inference_mode():
            while self._take():
                scoring = [lane for lane in self._lanes if lane.scorer.busy]
                for lane in scoring or [lane for lane in self._lanes if lane.decoder.busy]:
                    try:
                        (lane.scorer if scoring else lane.decoder).step()
                    except Exception as error:
                        log.exception("the engine's model work failed")
                        with self._lock:
                            self._lanes = [other for other in self._lanes if other is not lane]
                        lane.fail(error)

    def _take(self) -> bool:
        """Do all queued jobs; wait for one if there is nothing else to do. False ends the thread."""
        while True:
            try:
                job = self._queue.get(block=not any(lane.scorer.busy or lane.decoder.busy for lane in self._lanes))
            except queue.Empty:
                return True
            if job is None:
                return False
            job()


_CPU_WORKERS: list[Worker] = []
_CPU_LOCK = threading.Lock()


def join_worker(device: torch.device, engine: object) -> Worker:
    """A worker for an engine: the shared one of the CPU, or a new one for another device."""
    if device.type != "cpu":
        worker = Worker(f"engine-{device}")
        worker.join(engine)
        return worker
    with _CPU_LOCK:
        while not (_CPU_WORKERS and _CPU_WORKERS[0].join(engine)):
            _CPU_WORKERS[:] = [Worker("engine-cpu")]
        return _CPU_WORKERS[0]
