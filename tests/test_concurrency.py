from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwriting.concurrency import AHEAD, ConcurrentStep
from deepwriting.steps import reject


class Naps(ConcurrentStep):
    """Sleeps as long as a document says (turns of the event loop) and counts what goes on at the same time."""

    def __init__(self, concurrency: int = 3, copies: int = 1):
        super().__init__(concurrency)
        self.copies = copies
        self.now = self.most = 0
        self.finished: list[str] = []
        self.events: list[str] = []

    def open(self, rank: int, world_size: int) -> None:
        self.events.append(f"open {rank}")

    def close(self) -> None:
        self.events.append("close")

    async def process(self, doc: Document) -> Iterable[Document]:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(doc.metadata["naps"]):
            await asyncio.sleep(0)
        self.now -= 1
        if doc.metadata.get("broken"):
            raise RuntimeError(f"{doc.id} is broken")
        self.finished.append(doc.id)
        return [Document(doc.text, f"{doc.id}.{copy}") for copy in range(self.copies)]


def docs(naps: Iterable[int]) -> list[Document]:
    return [Document("text", f"d{i}", metadata={"naps": n}) for i, n in enumerate(naps)]


@given(naps=st.lists(st.integers(0, 12), max_size=40), concurrency=st.integers(1, 6), copies=st.integers(0, 2))
@settings(max_examples=50)
def test_order_stays_and_the_limit_holds(naps: list[int], concurrency: int, copies: int) -> None:
    step = Naps(concurrency, copies)
    found = [doc.id for doc in step.run(docs(naps), rank=4)]
    assert found == [f"d{i}.{copy}" for i in range(len(naps)) for copy in range(copies)]
    assert step.most <= concurrency
    assert step.events == ["open 4", "close"]


def test_work_overlaps_and_a_slow_document_idles_nobody() -> None:
    step = Naps(concurrency=2)
    list(step.run(docs([30, 1, 1, 1, 1])))
    assert step.most == 2
    assert step.finished == ["d1", "d2", "d3", "d4", "d0"]


def test_rejected_documents_pass_by_in_their_place() -> None:
    rows = docs([3, 0, 0])
    reject(rows[1], "too_short")
    step = Naps()
    found = list(step.run(rows))
    assert [doc.id for doc in found] == ["d0.0", "d1", "d2.0"]
    assert found[1] is rows[1]
    assert step.finished == ["d2", "d0"]


def test_no_more_is_read_than_needed() -> None:
    read = 0

    def source() -> Iterator[Document]:
        nonlocal read
        for doc in docs([0] * 100):
            read += 1
            yield doc

    step = Naps(concurrency=2)
    running = step.run(source())
    assert read == 0
    next(running)
    assert read == 2 * AHEAD
    next(running)
    assert read == 2 * AHEAD + 1
    running.close()
    assert step.events == ["open 0", "close"]


def test_an_error_ends_the_run_and_closes() -> None:
    rows = docs([0, 5, 500])
    rows[1].metadata["broken"] = True
    step, found = Naps(), []

    def collect() -> None:
        found.extend(doc.id for doc in step.run(rows))

    with pytest.raises(RuntimeError, match="d1 is broken"):
        collect()
    assert step.events[-1] == "close"
    assert "d2" not in step.finished  # it was cancelled


def test_what_cannot_be_opened_is_closed_by_nobody() -> None:
    class Broken(Naps):
        def open(self, rank: int, world_size: int) -> None:
            raise ValueError("no model")

    step = Broken()
    with pytest.raises(ValueError, match="no model"):
        list(step.run(docs([0])))
    assert step.events == []


def test_nothing_in_nothing_out() -> None:
    step = Naps()
    empty: Any = iter(())
    assert list(step.run(empty)) == []
    assert step.events == ["open 0", "close"]
