"""An engine in front of several servers: its answers are those of one, and servers that would give others stay out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.engines.server import tending
from deepwriting.engines.server import trouble as server_trouble
from deepwriting.engines.server.engine import ServerEngine
from deepwriting.errors import EngineError
from tests.engines.openai_server import OpenAIServer
from tests.engines.quick_server import QuickModel, byte_model, quick_server

OPTIONS: dict[str, Any] = {
    "n": 2, "max_tokens": 8, "temperature": 0.9, "top_p": 0.95, "top_k": 20, "frequency_penalty": 0.0, "stop": (),
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_model(tmp_path_factory.mktemp("bytes"))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_trouble, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(tending, "TICK_S", 0.02)
    monkeypatch.setattr(tending, "REFRESH_S", 0.05)


@pytest.fixture(scope="module")
def started(model: Path) -> Iterator[list[OpenAIServer]]:
    found = [quick_server(str(model)) for _ in range(3)]
    yield found
    for server in found:
        server.close()


@pytest.fixture
def servers(started: list[OpenAIServer]) -> list[OpenAIServer]:
    for server in started:
        server.requests, server.faults, server._model = [], [], QuickModel()
        server.scores, server.takes_ids, server.states_context = {"sglang", "prompt_logprobs", "echo"}, True, True
    return started


@pytest.fixture
def connect(model: Path) -> Iterator[Callable[..., ServerEngine]]:
    opened = []

    def make(**options: Any) -> ServerEngine:
        opened.append(ServerEngine(str(model), **options))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


def work(engine: ServerEngine) -> list[Any]:
    async def run() -> list[Any]:
        samples = [engine.sample(f"Scene {i} of lamps", seed=i, **OPTIONS) for i in range(8)]
        scores = [engine.score(f"Scene {i}", [" of lamps", " of roads"], " after rain") for i in range(8)]
        drawn, scored = await asyncio.gather(asyncio.gather(*samples), asyncio.gather(*scores))
        return [*drawn, *([one.logprobs.tolist() for one in each] for each in scored)]

    return asyncio.run(run())


@pytest.mark.parametrize("scoring", ["sglang", "prompt_logprobs", "echo"])
def test_several_servers_answer_as_one(servers: list[OpenAIServer], connect: Any, scoring: str) -> None:
    one = connect(url=servers[0].url, scoring=scoring)
    several = connect(urls=[server.url for server in servers], scoring=scoring)
    assert several.info.context_tokens == one.info.context_tokens
    assert several.info.device == f"3 servers ({', '.join(server.url for server in servers)})"
    assert [member.state for member in several._client.pool.members.values()] == ["ready"] * 3
    for server in servers:
        server.requests.clear()
    assert work(several) == work(one)
    assert min(len(server.requests) for server in servers) > 0


def test_what_no_server_knows_puts_none_out(servers: list[OpenAIServer], connect: Any) -> None:
    """The way of scoring is found by trying; a server that has never heard of one is none the worse."""
    for server in servers:
        server.scores, server.refused = {"prompt_logprobs"}, {"min_p"}
    try:
        engine = connect(urls=[server.url for server in servers])
        assert engine._learned.protocol == "prompt_logprobs"
        assert [member.state for member in engine._client.pool.members.values()] == ["ready"] * 3
        assert len(work(engine)) == 16
    finally:
        for server in servers:
            server.refused = set()


def test_a_server_with_other_weights(
    servers: list[OpenAIServer], connect: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    servers[1]._model = QuickModel(weights=1)  # type: ignore[assignment]
    with pytest.raises(
        EngineError, match=r"the servers do not serve the same: .* its scores of a test text differ from "
    ):
        connect(urls=[server.url for server in servers])
    listed = tmp_path / "endpoints"
    listed.write_text(f"{servers[0].url}\n")
    engine = connect(endpoints=str(listed))
    expected = work(engine)
    listed.write_text("".join(f"{server.url}\n" for server in servers))  # while the run goes
    servers[1].requests.clear()

    async def joined() -> None:
        members = engine._client.pool.members
        while len(members) < 3 or any(member.state == "new" for member in members.values()):
            await engine.score("a", ["b"], "c")

    asyncio.run(joined())
    assert [member.state for member in engine._client.pool.members.values()] == ["ready", "unfit", "ready"]
    assert f"the server at {servers[1].url} is not used: its scores of a test text differ from " in caplog.text
    assert work(engine) == expected
    assert {path for path, _, _ in servers[1].requests} <= {"/v1/models", "/generate"}
    assert len(servers[1].asked("/generate")) == 1


def test_servers_that_lack_something(servers: list[OpenAIServer], connect: Any) -> None:
    urls = [server.url for server in servers]
    servers[2]._model = QuickModel(context=50_000)  # type: ignore[assignment]
    with pytest.raises(EngineError, match="it has room for 50000 tokens, where 100000 are needed"):
        connect(urls=urls, scoring="sglang")
    assert connect(urls=urls, context_tokens=4000, scoring="sglang").info.context_tokens == 4000
    servers[2]._model = QuickModel()  # type: ignore[assignment]
    servers[0].scores = servers[1].scores = {"echo"}
    servers[2].scores = set()
    with pytest.raises(EngineError, match=f"do not serve the same: {urls[2]}: {urls[2]} answered no token_logprobs"):
        connect(urls=urls, scoring="echo")
    servers[2].takes_ids = False
    with pytest.raises(EngineError, match=f"{urls[2]}.* answered 422: .* expected a string"):
        connect(urls=urls, scoring="none")


def test_a_server_that_is_away_at_the_start_joins_later(servers: list[OpenAIServer], connect: Any) -> None:
    servers[2].die()
    try:
        engine = connect(urls=[server.url for server in servers])
        expected = work(engine)
        assert engine._client.pool.members[servers[2].url].state == "away"
    finally:
        servers[2].revive()

    async def joined() -> None:
        while not engine._client.pool.members[servers[2].url].usable:
            await engine.score("a", ["b"], "c")

    asyncio.run(joined())
    servers[2].requests.clear()
    assert work(engine) == expected
    assert servers[2].requests


def test_chat_servers(servers: list[OpenAIServer], connect: Any) -> None:
    engine = connect(urls=[server.url for server in servers], api="chat")
    prompt = engine.render("Write about lamps")
    [found] = asyncio.run(engine.sample(prompt, seed=1, **OPTIONS | {"n": 1}))
    assert found.text
    assert sum(len(server.asked("/v1/chat/completions")) for server in servers) == 1


def test_arguments(model: Path) -> None:
    for options in ({"urls": ["http://a/v1"], "url": "http://b/v1"}, {"urls": ["http://a/v1"], "endpoints": "e"}):
        with pytest.raises(EngineError, match="exactly one of url, urls, endpoints and start"):
            ServerEngine(str(model), **options)  # type: ignore[arg-type]
