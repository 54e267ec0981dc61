"""The thread that does the model work of one device.

Coroutines only put jobs into its queue; a job hands its request to the engine's scorer or decoder, where it meets those
of other coroutines. Scores go before decoding steps: a scored step is what lets a search ask for its next samples, and
samples are cheaper the more of them run together.

All engines on the CPU share one worker. Two threads that both use torch would each bring a pool of helper threads, and
on few cores the pools spend their time waiting for each other.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch

from deepwriting.engines.futures import Future, request_error, resolve
from deepwriting.engines.transformers.decoder import Decoder
from deepwriting.engines.transformers.scoring import Scorer

log = logging.getLogger(__name__)


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
    """A thread with a queue of jobs and the lanes of its engines."""

    def __init__(self, name: str):
        self._queue: queue.SimpleQueue[tuple[Future, Callable[[], None]] | None] = queue.SimpleQueue()
        self._lanes: list[Lane] = []
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def add(self, lane: Lane) -> bool:
        """Work for this lane from now on; False if the thread is ending and the lane needs another worker."""
        with self._lock:
            if self._closed:
                return False
            self._lanes = [*self._lanes, lane]
            return True

    def remove(self, lane: Lane) -> None:
        """Stop working for a lane; the thread ends with its last lane."""
        with self._lock:
            self._lanes = [other for other in self._lanes if other is not lane]
            if self._lanes or self._closed:
                return
            self._closed = True
        self._queue.put(None)
        self._thread.join()

    def submit(self, future: Future, work: Callable[[], None]) -> None:
        """Have the thread call ``work``, which sees to it that the future is resolved one day."""
        self._queue.put((future, work))

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
            future, work = job
            try:
                work()
            except Exception as error:  # this job fails with its reason, the others go on
                resolve(future, request_error(error))


_CPU_WORKERS: list[Worker] = []
_CPU_LOCK = threading.Lock()


def join_worker(device: torch.device, lane: Lane) -> Worker:
    """Have a lane worked for: by the shared worker of the CPU, or by a new one for another device."""
    if device.type != "cpu":
        worker = Worker(f"engine-{device}")
        worker.add(lane)
        return worker
    with _CPU_LOCK:
        while not (_CPU_WORKERS and _CPU_WORKERS[0].add(lane)):
            _CPU_WORKERS[:] = [Worker("engine-cpu")]
        return _CPU_WORKERS[0]
