"""Whole searches through a server: one that only chats, and one that dies on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.engines.base import Engine
from deepwriting.engines.server import trouble as server_trouble
from deepwriting.engines.server.engine import ServerEngine
from deepwriting.engines.transformers.engine import TransformersEngine
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.search import LocalSearch
from tests.engines.openai_server import OpenAIServer

pytestmark = pytest.mark.model

PAIRS = 2


@pytest.fixture(scope="module")
def server(pocket_model: Path) -> Iterator[OpenAIServer]:
    server = OpenAIServer(pocket_model)
    yield server
    server.close()


@pytest.fixture
def search(
    tmp_path: Path, own_pairs: Callable[..., Any], recipe_for: Callable[..., Any], write_lines: Callable[..., Any]
) -> Callable[..., Any]:
    """Searches all pairs at once, and meanwhile has something done."""
    pairs = own_pairs(PAIRS)
    recipe, _ = recipe_for(write_lines(tmp_path / "pairs.jsonl", *pairs))
    prompts = load_prompts(recipe.search.prompts)

    def run(name: str, generator: Engine, scorer: Engine, meanwhile: Callable[[], None] | None = None) -> list[Any]:
        async def work() -> list[Any]:
            with Journal(tmp_path / f"{name}.jsonl", "settings") as journal:
                search = LocalSearch([generator], scorer, prompts, recipe.search, seed=7, journal=journal)
                searches = asyncio.gather(*(search.search(p["id"], p["query"], p["answer"], "en") for p in pairs))
                if meanwhile is not None:
                    await asyncio.to_thread(meanwhile)
                return list(await searches)

        return asyncio.run(work())

    return run


def test_a_server_that_chats_and_a_scorer_here(server: OpenAIServer, pocket_model: Path, search: Any) -> None:
    """A model without a chat template reads the same text either way, so the results can be compared."""
    chat = ServerEngine(server.name, url=server.url, api="chat")
    whole = ServerEngine(server.name, url=server.url, scoring="sglang", dtype="float32")
    local = TransformersEngine(str(pocket_model), device="cpu", dtype="float32")
    try:
        found = search("chat", chat, local)
        expected = search("completions", whole, whole)
    finally:
        for engine in (chat, whole, local):
            engine.close()
    for one, two in zip(found, expected, strict=True):
        assert type(one) is type(two)
        if hasattr(one, "thinking"):
            assert one.thinking == two.thinking
            assert one.values["score_after"] == pytest.approx(two.values["score_after"], abs=1e-4)
    assert sum(getattr(one, "values", {}).get("accepted_edits", 0) for one in found) > 0
    assert {path for path, _, _ in server.requests} >= {"/v1/chat/completions", "/generate"}


def test_a_server_that_dies_during_a_search(
    server: OpenAIServer, search: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_trouble, "LONGEST_PAUSE_S", 0.2)
    engine = ServerEngine(server.name, url=server.url, scoring="prompt_logprobs", dtype="float32")

    def disturb() -> None:
        for asked in (4, 12, 20):  # requests
            while len(server.requests) - before < asked:
                time.sleep(0.002)
            server.die()
            server.revive()

    try:
        before = len(server.requests)
        expected = search("quiet", engine, engine)
        quiet = len(server.requests) - before
        before = len(server.requests)
        found = search("disturbed", engine, engine, disturb)
        assert len(server.requests) - before > quiet > 20  # some were lost and sent again
    finally:
        engine.close()
    assert found == expected
