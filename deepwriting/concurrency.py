"""A pipeline step that works on many documents at once: thousands of asyncio tasks, not threads.

Documents leave in the order in which they came, so that shards do not depend on which task was faster.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from deepwriting.schema import is_rejected

#: Documents taken ahead for each one being worked on: a slow document at the head must not idle the others.
AHEAD = 4


class ConcurrentStep(PipelineStep):
    """Base class of steps whose work is asynchronous.

    Subclasses implement ``process``; ``open`` and ``close`` bracket a task. Rejected documents pass by untouched.

    Args:
        concurrency: documents worked on at the same time.
    """

    type = "⇉ - CONCURRENT"

    def __init__(self, concurrency: int):
        super().__init__()
        self.concurrency = concurrency

    def open(self, rank: int, world_size: int) -> None:
        """Load what the work of one task needs; called in the process that does the work."""

    def close(self) -> None:
        """Release what ``open`` took."""

    @abstractmethod
    async def process(self, doc: Document) -> Iterable[Document]:
        """Work on a document; the results, usually the document itself, travel on."""

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Process every document that is not rejected, in order."""
        self.open(rank, world_size)
        try:
            with asyncio.Runner() as runner:
                yield from self._run(iter(data), runner)
        finally:
            self.close()

    def _run(self, source: Iterator[Document], runner: asyncio.Runner) -> Iterator[Document]:
        gate = asyncio.Semaphore(self.concurrency)
        window: deque[asyncio.Task[list[Document]]] = deque()
        loop = runner.get_loop()
        more = True
        while more or window:
            while more and len(window) < AHEAD * self.concurrency:
                doc = next(source, None)
                if doc is None:
                    more = False
                else:
                    window.append(loop.create_task(self._guarded(doc, gate)))
            if window:
                yield from runner.run(_result(window.popleft()))

    async def _guarded(self, doc: Document, gate: asyncio.Semaphore) -> list[Document]:
        if is_rejected(doc.metadata):
            return [doc]
        async with gate:
            return list(await self.process(doc))


async def _result(task: asyncio.Task[list[Document]]) -> list[Document]:
    return await task
