"""Several servers behind one client: who is asked, what happens when some fail, come, and go."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deepwriting.engines.server import client as server_client
from deepwriting.engines.server import tending
from deepwriting.engines.server import trouble as server_trouble
from deepwriting.engines.server.addresses import Addresses, Announced, Fixed
from deepwriting.engines.server.affinity import BLOCK_BYTES, blocks
from deepwriting.engines.server.client import OneServer, ServerClient
from deepwriting.engines.server.endpoint import MAX_MISSED, MAX_STUMBLES, Endpoint
from deepwriting.engines.server.key import ApiKey
from deepwriting.engines.server.pool import Pool
from deepwriting.errors import ContextOverflowError, EngineError
from tests.engines.openai_server import Fault, OpenAIServer
from tests.engines.quick_server import QuickModel, quick_server

SERVERS = 3


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_trouble, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(server_trouble, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(tending, "TICK_S", 0.02)
    monkeypatch.setattr(tending, "REFRESH_S", 0.05)
    random.seed(0)


@pytest.fixture(scope="module")
def started() -> Iterator[list[OpenAIServer]]:
    found = [quick_server() for _ in range(SERVERS)]
    yield found
    for server in found:
        server.close()


@pytest.fixture
def servers(started: list[OpenAIServer]) -> list[OpenAIServer]:
    for server in started:
        server.requests, server.faults, server.key, server._model = [], [], "", QuickModel(seconds=0.004)
    return started


def client(where: Addresses | str, **options: Any) -> ServerClient:
    defaults: dict[str, Any] = {"max_concurrency": 64, "requests_per_minute": None, "timeout_s": 30, "patience_s": 30}
    return ServerClient(where, key=ApiKey(None), **defaults | options)


def urls(servers: Sequence[OpenAIServer]) -> Fixed:
    return Fixed([server.url for server in servers])


def text(number: int, length: int = 60) -> str:
    return f"{number} " + "".join(random.Random(number).choices("abcdefgh ", k=length))


async def ask(asked: ServerClient, prompt: str, seed: int = 0) -> str:
    body = {"model": "quick", "prompt": prompt, "max_tokens": 4, "seed": seed}
    found: str = await asked.post("/completions", body, lambda answer: answer["choices"][0]["text"])
    return found


async def known(asked: ServerClient) -> None:
    """Wait until every server has been looked at."""
    await asked.get("/models")
    while any(member.state == "new" for member in asked.pool.members.values()):
        await asyncio.sleep(0.005)


def work(asked: ServerClient, prompts: Sequence[str], meanwhile: Callable[[], Any] | None = None) -> list[str]:
    """Ask for all prompts at once, and meanwhile do something."""

    async def run() -> list[str]:
        await known(asked)
        running = asyncio.gather(*(ask(asked, prompt) for prompt in prompts))
        if meanwhile is not None:
            await asyncio.to_thread(meanwhile)
        return list(await running)

    return asyncio.run(run())


def answered(servers: Sequence[OpenAIServer]) -> list[int]:
    return [len(server.asked("/v1/completions")) for server in servers]


def expected(prompts: Sequence[str]) -> list[str]:
    model = QuickModel()
    return [model.generate(model.ids(p), {"seed": 0, "max_tokens": 4}, lambda: False)["text"] for p in prompts]


# Who is asked


def test_requests_spread_evenly(servers: list[OpenAIServer]) -> None:
    prompts = [text(number) for number in range(60)]
    assert work(client(urls(servers)), prompts) == expected(prompts)
    assert sum(answered(servers)) == 60
    assert max(answered(servers)) - min(answered(servers)) <= 12


def test_the_first_to_be_ready_does_not_get_all_that_waits(servers: list[OpenAIServer]) -> None:
    asked = client(urls(servers))

    async def run() -> None:
        await asyncio.gather(*(ask(asked, text(number)) for number in range(60)))

    asyncio.run(run())  # nobody has been looked at when all of these come
    assert min(answered(servers)) > 0
    assert max(answered(servers)) <= 40


def test_clients_that_know_nothing_of_each_other_do_not_pile_up(servers: list[OpenAIServer]) -> None:
    """As tasks on many machines do: each asks for little, all begin at the same moment."""

    async def run() -> None:
        clients = [client(urls(servers)) for _ in range(12)]
        for asked in clients:
            await known(asked)
        await asyncio.gather(*(ask(one, text(10 * at + i)) for at, one in enumerate(clients) for i in range(2)))

    asyncio.run(run())
    assert sum(answered(servers)) == 24
    assert max(answered(servers)) <= 14


def test_a_text_goes_where_its_beginning_is_known(servers: list[OpenAIServer]) -> None:
    asked = client(urls(servers))

    async def run() -> list[int]:
        await known(asked)
        changes = []
        for number in range(12):
            before, prompt = answered(servers), text(number, 4 * BLOCK_BYTES)
            for _ in range(5):  # as a search does: each step has a little more behind the same beginning
                await ask(asked, prompt)
                prompt += text(number + 100, BLOCK_BYTES // 2)
            changes.append(sum(a > b for a, b in zip(answered(servers), before, strict=True)))
        return changes

    assert asyncio.run(run()) == [1] * 12
    assert min(answered(servers)) > 0


def test_a_beginning_that_everybody_shares_ties_nobody(servers: list[OpenAIServer]) -> None:
    template = text(0, 3 * BLOCK_BYTES)
    prompts = [template + text(number, 5 * BLOCK_BYTES) for number in range(1, 25)]
    asked = client(urls(servers))

    async def run() -> None:
        await known(asked)
        for prompt in prompts:
            await ask(asked, prompt)

    asyncio.run(run())
    assert max(answered(servers)) <= 14


def test_one_beginning_does_not_fill_one_server(servers: list[OpenAIServer]) -> None:
    work(client(urls(servers)), [text(1, 4 * BLOCK_BYTES)] * 45)
    assert min(answered(servers)) >= 9


def test_candidates_of_one_step_stay_together(servers: list[OpenAIServer]) -> None:
    asked = client(urls(servers))
    for number in range(6):
        before = answered(servers)
        work(asked, [text(number, 2 * BLOCK_BYTES)] * 2)
        assert sorted(a - b for a, b in zip(answered(servers), before, strict=True)) == [0, 0, 2]


def test_beginnings_of_requests() -> None:
    long = text(1, 3 * BLOCK_BYTES)
    found = blocks({"prompt": long})
    assert len(found) == 3
    assert blocks({"prompt": long + "more"})[:3] == found
    assert blocks({"prompt": "x" + long})[0] != found[0]
    assert blocks({"prompt": list(range(300))}) == blocks({"input_ids": list(range(300))})
    assert len(blocks({"prompt": list(range(300))})) == 2
    assert len(blocks({"messages": [{"role": "user", "content": long}]})) == 3
    assert blocks({"prompt": "short"}) == []


def test_each_server_keeps_its_limit(servers: list[OpenAIServer]) -> None:
    for server in servers:
        server.most_at_once = 0
    prompts = [text(number) for number in range(60)]
    work(client(urls(servers), max_concurrency=3), prompts)
    # More than one at a time, or there was nothing to limit; a slow machine may never reach the limit itself.
    assert 1 < max(server.most_at_once for server in servers) <= 3


# Who fails


def test_a_server_that_dies_with_requests_in_hand(
    servers: list[OpenAIServer], caplog: pytest.LogCaptureFixture
) -> None:
    prompts = [text(number) for number in range(60)]
    asked = client(urls(servers), patience_s=20)
    dead = servers[1]

    def disturb() -> None:
        while len(dead.asked("/v1/completions")) < 5:
            time.sleep(0.001)
        dead.die()

    try:
        assert work(asked, prompts, disturb) == expected(prompts)
        assert caplog.text.count(f"the server at {dead.url} is left out until it answers again") == 1
        before = answered(servers)
        assert work(asked, prompts) == expected(prompts)
        assert answered(servers)[1] == before[1]
    finally:
        dead.revive()

    async def back() -> None:
        await ask(asked, "a request, so that somebody looks after the servers")
        while not asked.pool.members[dead.url].usable:
            await asyncio.sleep(0.01)
        await asyncio.gather(*(ask(asked, prompt) for prompt in prompts))

    asyncio.run(back())
    assert answered(servers)[1] > before[1] + 8
    assert f"the server at {dead.url} is back after" in caplog.text


def test_all_away_and_one_back(servers: list[OpenAIServer], caplog: pytest.LogCaptureFixture) -> None:
    prompts = [text(number) for number in range(30)]
    asked = client(urls(servers))
    for server in servers:
        server._model = QuickModel(seconds=0.05)  # type: ignore[assignment]

    def disturb() -> None:
        while sum(answered(servers)) < 6:
            time.sleep(0.001)
        for server in servers:
            server.die()
        time.sleep(0.3)
        servers[2].revive()

    try:
        assert work(asked, prompts, disturb) == expected(prompts)
    finally:
        servers[0].revive()
        servers[1].revive()
    assert "no server is ready, waiting up to 30 s: " in caplog.text


def test_patience_ends_when_all_are_away(servers: list[OpenAIServer]) -> None:
    for server in servers:
        server.die()
    try:
        with pytest.raises(EngineError, match=r"no server was ready for 0.2 s \(patience_s\): http://127.0.0.1:\d+/v1"):
            work(client(urls(servers), patience_s=0.2), ["a"])
        with pytest.raises(EngineError, match="the server is lost: it was killed"):
            work(client(urls(servers), lost=lambda: "it was killed"), ["a"])
    finally:
        for server in servers:
            server.revive()


def test_closing_sends_waiting_callers_away(servers: list[OpenAIServer]) -> None:
    asked = client(urls(servers))

    async def run() -> None:
        waiting = asyncio.gather(ask(asked, "a"), ask(asked, "b"))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(asked.close)
        await waiting

    for server in servers:
        server.die()
    try:
        with pytest.raises(EngineError, match="the engine stopped: it was closed"):
            asyncio.run(run())
    finally:
        for server in servers:
            server.revive()


@pytest.mark.parametrize(
    "fault",
    [Fault(drop=True), Fault(503, "loading"), Fault(500, "tripped"), Fault(429, "slow", {"Retry-After": "60"})],
    ids=["connection", "503", "500", "429"],
)
def test_another_server_does_what_one_could_not(servers: list[OpenAIServer], fault: Fault) -> None:
    asked = client(urls(servers))
    work(asked, [])
    for server in servers[:2]:
        server.faults.append(Fault(fault.status, fault.body, fault.headers, drop=fault.drop, path="/completions"))
    prompts = [text(number) for number in range(12)]
    begun = time.monotonic()
    assert work(asked, prompts) == expected(prompts)
    assert time.monotonic() - begun < 20
    assert sum(answered(servers)) == 14


def test_a_server_that_freezes_with_requests_in_hand(
    servers: list[OpenAIServer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a machine does that is cut off: its connections stay open, and nothing comes."""
    monkeypatch.setattr(tending, "QUIET_S", 0.3)
    monkeypatch.setattr(server_client, "LOOK_S", 0.2)
    asked = client(urls(servers), timeout_s=1000)
    prompts = [text(number) for number in range(30)]

    async def run() -> list[str]:
        await known(asked)
        servers[1].faults += [Fault(hang=True) for _ in range(100)]
        return list(await asyncio.gather(*(ask(asked, prompt) for prompt in prompts)))

    assert asyncio.run(run()) == expected(prompts)
    assert servers[1].asked("/v1/completions")
    assert "did not list its models within 0.2 s" in caplog.text
    assert [member.in_flight for member in asked.pool.members.values()] == [0, 0, 0]
    servers[1].faults.clear()
    servers[1].die()  # ends what hangs there
    servers[1].revive()


def test_a_server_that_is_slow_is_not_given_up(servers: list[OpenAIServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "QUIET_S", 0.05)
    asked = client(urls(servers))
    for server in servers:
        server._model = QuickModel(seconds=1.0)  # type: ignore[assignment]
        monkeypatch.setattr(server, "_computing", ThreadPoolExecutor(8))  # a list of models takes no time
    prompts = [text(number) for number in range(6)]
    assert work(asked, prompts) == expected(prompts)
    assert sum(answered(servers)) == 6  # each once


def test_looks_that_are_missed_now_and_then_put_nobody_out() -> None:
    """Only those in a row count: a server under full load leaves one or two without an answer."""
    where = Fixed(["http://node7:8000/v1"])
    pool = Pool(1)
    pool.update(where.read())
    [at] = pool.members.values()
    at.admit()
    tender = tending.Tender(pool, where, patience_s=1, lost=lambda: None)
    answers = iter([False] * (MAX_MISSED - 1) + [True] + [False] * MAX_MISSED)

    async def look(at: Endpoint) -> None:
        if not next(answers):
            raise server_trouble.Trouble("away", "no answer")
        at.heard += 1.0

    for _ in range(2 * MAX_MISSED - 1):
        asyncio.run(tender._listen(at, look))
        assert at.state == "ready"
    asyncio.run(tender._listen(at, look))
    assert (at.state, at.reason) == ("away", "no answer")


def test_a_server_whose_answers_are_of_no_use_is_left_alone(servers: list[OpenAIServer]) -> None:
    asked = client(urls(servers))
    servers[0].faults += [Fault(500, "tripped", path="/completions") for _ in range(200)]
    prompts = [text(number) for number in range(40)]
    assert work(asked, prompts) == expected(prompts)
    assert answered(servers)[0] >= MAX_STUMBLES
    assert 0 < len(servers[0].faults) < 200


def test_a_server_that_lost_the_model(servers: list[OpenAIServer], caplog: pytest.LogCaptureFixture) -> None:
    asked = client(urls(servers))

    async def fit(server: OneServer) -> str | None:
        return None

    asyncio.run(asked.look_at_all(fit, limit_s=10))
    servers[0].faults.append(Fault(404, '{"message": "The model does not exist."}', path="/completions"))
    prompts = [text(number) for number in range(12)]
    assert work(asked, prompts) == expected(prompts)
    assert f"the server at {servers[0].url} is not used" in caplog.text
    for server in servers:
        server.key = "secret"
    with pytest.raises(EngineError, match=r"no server can be used: .* answered 401: wrong key"):
        work(client(urls(servers)), prompts)


def test_what_one_request_is_refused_for_costs_no_server(servers: list[OpenAIServer]) -> None:
    asked = client(urls(servers))
    for status, message, kind in (
        (400, "not this one", EngineError),
        (400, "This model's maximum context length is 9 tokens.", ContextOverflowError),
    ):
        for server in servers:
            server.faults = [Fault(status, json.dumps({"error": {"message": message}}), path="/completions")]
        with pytest.raises(kind, match=message):
            work(asked, ["a"])
        assert all(member.usable for member in asked.pool.members.values() if member.state != "new")


# What each has to show


def test_no_server_is_asked_before_it_has_passed(servers: list[OpenAIServer]) -> None:
    looked: list[str] = []

    async def check(server: OneServer) -> str | None:
        looked.append(server.url)
        await server.get("/models")
        return "it is the second" if server.url == servers[1].url else None

    asked = client(urls(servers))

    async def run() -> None:
        await ask(asked, "before")
        for server in servers:
            server.requests.clear()
        await asked.look_at_all(check, limit_s=10)
        await asyncio.gather(*(ask(asked, text(number)) for number in range(30)))

    asyncio.run(run())
    assert Counter(looked) == Counter(server.url for server in servers)
    assert answered(servers)[1] == 0
    assert sum(answered(servers)) == 30
    assert [member.state for member in asked.pool.members.values()] == ["ready", "unfit", "ready"]


def test_a_stage_that_ends_while_servers_are_looked_at(servers: list[OpenAIServer]) -> None:
    """The loop of a stage ends at any moment; the next stage's finds the servers all the same."""
    for moment in range(12):
        asked = client(urls(servers), patience_s=20)

        async def brief(asked: ServerClient = asked, seconds: float = 0.001 * moment) -> None:
            asking = asyncio.ensure_future(ask(asked, "a"))
            await asyncio.sleep(seconds)
            asking.cancel()

        asyncio.run(brief())
        assert work(asked, ["a"]) == expected(["a"])
        assert [member.in_flight for member in asked.pool.members.values()] == [0, 0, 0]


# Who comes and goes


def test_a_file_of_addresses_that_changes(servers: list[OpenAIServer], tmp_path: Path) -> None:
    file = tmp_path / "endpoints.txt"
    asked = client(Announced(str(file), model="quick", revision=None), patience_s=20)

    async def run() -> list[list[int]]:
        seen = []

        async def phase(*listed: OpenAIServer) -> None:
            file.write_text("# ours\n" + "".join(f"{server.url}  # one\n\n" for server in listed))
            while {m.url for m in asked.pool.members.values() if m.usable} != {server.url for server in listed}:
                await asyncio.sleep(0.01)
            before = answered(servers)
            await asyncio.gather(*(ask(asked, text(number)) for number in range(30)))
            seen.append([now - then for now, then in zip(answered(servers), before, strict=True)])

        early = asyncio.ensure_future(ask(asked, "before there is a file"))
        await asyncio.sleep(0.1)
        assert not early.done()
        await phase(servers[0])
        assert await early
        await phase(*servers)
        await phase(servers[1], servers[2])
        file.unlink()
        file.mkdir()
        (file / "mine.json").write_text(json.dumps({"url": servers[2].url}))
        while len(asked.pool.members) != 1:
            await asyncio.sleep(0.01)
        await ask(asked, "one more")
        return seen

    one, all_of_them, two = asyncio.run(run())
    assert one[0] >= 30  # and perhaps the early one
    assert one[1:] == [0, 0]
    assert min(all_of_them) > 0
    assert two[0] == 0
    assert min(two[1:]) > 0


def test_nobody_registers(tmp_path: Path) -> None:
    asked = client(Announced(str(tmp_path / "none"), model="quick", revision=None), patience_s=0.1)
    with pytest.raises(EngineError, match=r"no server was ready for 0.1 s \(patience_s\): the servers in .*none"):
        work(asked, ["a"])
