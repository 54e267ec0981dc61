"""The thread that drives vLLM.

vLLM batches what is in flight; this thread hands it new requests between two of its steps and gives finished ones
back. Its synchronous engine is used because coroutines of several event loops call (each stage of a recipe has its
own), which its asynchronous one, bound to one loop, would not serve. vLLM is opened, used and closed in this thread
alone: the current device and torch's thread pools belong to a thread.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepwriting.engines.vllm.core import Llm

log = logging.getLogger(__name__)

_KEYS = itertools.count()


@dataclass(eq=False)
class VllmRequest:
    """One request to vLLM; the callbacks run in the worker's thread.

    Attributes:
        ids: token ids of the prompt.
        params: vLLM's ``SamplingParams``, for this request alone.
        done: gets vLLM's ``RequestOutput`` when the request has finished.
        failed: gets the reason when vLLM does not take the request.
        key: vLLM's name for it.
    """

    ids: list[int]
    params: Any
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    key: str = field(default_factory=lambda: f"deepwriting-{next(_KEYS)}")


class VllmWorker:
    """A thread with vLLM's engine and the requests in flight.

    Args:
        start: opens vLLM's engine; called in the thread.
        stopped: called in the thread with the reason when vLLM cannot go on.

    Attributes:
        config: what vLLM was started with (``VllmConfig``).

    Raises:
        EngineError: what ``start`` raises.
    """

    def __init__(self, start: Callable[[], Llm], stopped: Callable[[Exception], None]):
        self._stopped = stopped
        self._jobs: queue.SimpleQueue[Callable[[Llm], None] | None] = queue.SimpleQueue()
        self._active: dict[str, VllmRequest] = {}
        started: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(start, started), name="engine-vllm", daemon=True)
        self._thread.start()
        self.config = started.result()

    @property
    def in_flight(self) -> int:
        """Requests that vLLM works on."""
        return len(self._active)

    def submit(self, requests: Sequence[VllmRequest]) -> None:
        """Hand requests to vLLM, in order."""
        self._jobs.put(lambda llm: self._add(llm, requests))

    def abandon(self, requests: Sequence[VllmRequest]) -> None:
        """Take back those of the requests that have not finished; nobody is told."""
        self._jobs.put(lambda llm: self._abort(llm, requests))

    def close(self) -> None:
        """End vLLM after the step in flight; requests that have not finished are dropped."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self, start: Callable[[], Llm], started: concurrent.futures.Future[Any]) -> None:
        try:
            llm = start()
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(llm.config)
        try:
            while self._take(llm):
                for output in llm.step():
                    if (request := self._active.pop(output.request_id, None)) is not None:
                        request.done(output)
        except Exception as error:
            log.exception("vLLM stopped")
            self._stopped(error)
        finally:
            self._active.clear()
            llm.close()

    def _take(self, llm: Llm) -> bool:
        """Do all queued jobs; wait for one if nothing is in flight. False ends the thread."""
        while True:
            try:
                job = self._jobs.get(block=not self._active)
            except queue.Empty:
                return True
            if job is None:
                return False
            job(llm)

    def _add(self, llm: Llm, requests: Sequence[VllmRequest]) -> None:
        for request in requests:
            try:
                llm.add(request.key, request.ids, request.params)
            except Exception as error:  # this request is refused with its reason, the others go on
                request.failed(error)
            else:
                self._active[request.key] = request

    def _abort(self, llm: Llm, requests: Sequence[VllmRequest]) -> None:
        keys = [request.key for request in requests if self._active.pop(request.key, None) is not None]
        if keys:
            llm.abort(keys)
