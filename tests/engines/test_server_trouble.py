"""Servers that fail, vanish, come back, ask for time, or answer nonsense; and keys that must not be seen."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from deepwriting.engines.base import Completion
from deepwriting.engines.server import client as server_client
from deepwriting.engines.server import trouble as server_trouble
from deepwriting.engines.server.client import ServerClient
from deepwriting.engines.server.engine import ServerEngine
from deepwriting.engines.server.key import ApiKey
from deepwriting.engines.server.trouble import Refusal, Trouble, pause, problem, retry_after
from deepwriting.errors import ContextOverflowError, EngineError
from tests.engines.openai_server import Fault, OpenAIServer

OPTIONS: dict[str, Any] = {
    "n": 1, "max_tokens": 8, "temperature": 0.9, "top_p": 0.95, "top_k": 20, "frequency_penalty": 0.0, "stop": (),
    "seed": 1,
}  # fmt: skip
PROMPT = "Write a passage of a story in which lamps under trees"
KEY = "sk-lamp-0123456789abcdef"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_trouble, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(server_trouble, "LONGEST_PAUSE_S", 0.05)


@pytest.fixture(scope="module")
def shared(pocket_model: Path) -> Iterator[OpenAIServer]:
    server = OpenAIServer(pocket_model)
    assert server.model.context == 4096  # loaded before a test's own time limits count
    yield server
    server.close()


@pytest.fixture
def server(shared: OpenAIServer) -> Iterator[OpenAIServer]:
    shared.requests, shared.faults, shared.key = [], [], ""
    yield shared
    shared.key = ""


@pytest.fixture
def connect(server: OpenAIServer) -> Iterator[Callable[..., ServerEngine]]:
    opened = []

    def make(**options: Any) -> ServerEngine:
        opened.append(ServerEngine(server.name, url=server.url, **{"scoring": "prompt_logprobs"} | options))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


async def sampling(engine: ServerEngine, **options: Any) -> list[Completion]:
    return await engine.sample(PROMPT, **OPTIONS | options)


def sample(engine: ServerEngine, **options: Any) -> list[Completion]:
    return asyncio.run(sampling(engine, **options))


NAN = '{"choices": [{"prompt_logprobs": [null, {"1": {"logprob": NaN}}]}]}'


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, '{"error": {"message": "the model tripped"}}'),
        Fault(424, "generation failed"),
        Fault(503, "loading"),
        Fault(502),
        Fault(529),
        Fault(429, '{"error": {"message": "too fast"}}', {"Retry-After": "0"}),
        Fault(408),
        Fault(200, "<html>maintenance</html>"),
        Fault(200, "[]"),
        Fault(200, '{"choices": [{"text": "a", "finish_reason": "abort"}]}'),
        Fault(drop=True),
        Fault(hang=True),
    ],
    ids=lambda fault: f"{fault.status} {fault.body[:12]}" if fault.status != 200 or fault.body else "connection",
)
def test_what_passes(connect: Any, server: OpenAIServer, fault: Fault) -> None:
    engine = connect(timeout_s=2.0)
    expected = sample(engine)
    server.requests.clear()
    server.faults += [fault, fault]
    assert sample(engine) == expected
    assert len(server.requests) == 3
    assert engine.usage.sampled_tokens == 2 * expected[0].tokens


@pytest.mark.parametrize("value", ["NaN", "null", '"x"'])
def test_log_probabilities_that_are_none(connect: Any, server: OpenAIServer, value: str) -> None:
    engine = connect()
    ids = server.model.ids("Write a lamp under trees")
    entries = ["null", *(f'{{"{token}": {{"logprob": {value}}}}}' for token in ids[1:])]
    body = f'{{"choices": [{{"prompt_logprobs": [{", ".join(entries)}]}}]}}'
    [expected] = asyncio.run(engine.score("Write a", [" lamp"], " under trees"))
    server.faults += [Fault(body=body)] * 2
    [found] = asyncio.run(engine.score("Write a", [" lamp"], " under trees"))
    assert found.logprobs.tolist() == expected.logprobs.tolist()
    server.faults += [Fault(body=body)] * 5
    with pytest.raises(EngineError, match=r"gave up after 5 answers of no use: .*(no JSON|numbers|not finite)"):
        asyncio.run(engine.score("Write a", [" lamp"], " under trees"))


def test_a_server_that_is_broken_for_good(connect: Any, server: OpenAIServer) -> None:
    engine = connect()
    server.faults += [Fault(500, '{"error": {"message": "the model tripped"}}')] * 5
    with pytest.raises(EngineError, match=r"gave up after 5 answers of no use: .* answered 500: the model tripped"):
        sample(engine)
    assert not server.faults
    server.faults += [Fault(body="<html>" + "maintenance " * 100)] * 5
    with pytest.raises(EngineError, match="answered no JSON: <html>maintenance maintenance") as caught:
        sample(engine)
    assert len(str(caught.value)) < 500


def test_one_failure_ends_the_whole_call(connect: Any, server: OpenAIServer) -> None:
    engine = connect()
    server.faults.append(Fault(400, '{"error": {"message": "not this one"}}'))
    with pytest.raises(EngineError, match="answered 400: not this one"):
        sample(engine, n=3)
    assert len(sample(engine, n=3)) == 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(400, '{"error": {"message": "no such thing"}}'), "answered 400: no such thing"),
        (Fault(422, '{"detail": [{"loc": ["body", "stop"], "msg": "too many"}]}'), "answered 422: body.stop: too many"),
        (Fault(403, "keep out"), "answered 403: keep out"),
        (Fault(404, '{"message": "gone"}'), "answered 404: gone"),
        (Fault(422, '{"error": "no", "error_type": "validation"}'), "answered 422: no"),
        (Fault(501, ""), "answered 501: nothing"),
        (
            Fault(302, "", {"Location": "https://elsewhere"}),
            "it points to https://elsewhere; redirects are not followed",
        ),
        (Fault(429, '{"error": {"message": "pay", "code": "insufficient_quota"}}'), "answered 429: pay"),
    ],
)
def test_what_does_not_pass(connect: Any, server: OpenAIServer, fault: Fault, said: str) -> None:
    engine = connect()
    server.requests.clear()
    server.faults.append(fault)
    with pytest.raises(EngineError, match=said):
        sample(engine)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "This model's maximum context length is 9 tokens.", "code": 400}},
        {"error": {"message": "too long", "code": "context_length_exceeded"}},
        {"error": {"message": "request exceeds the available context size", "type": "exceed_context_size_error"}},
        {"object": "error", "message": "The input (9 tokens) is longer than the model's context length (8 tokens)."},
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 9",
            "error_type": "validation",
        },
        {"error": {"message": "The prompt is longer than the maximum model length of 8."}},
        {"error": {"message": "max_tokens=9 cannot be greater than max_model_len=max_total_tokens=8.", "code": 400}},
    ],
)
def test_how_servers_say_that_a_text_is_too_long(body: Any) -> None:
    found = problem(400, {}, json.dumps(body).encode(), "somewhere")
    assert isinstance(found, ContextOverflowError)


def test_which_field_is_refused() -> None:
    bodies: list[Any] = [
        {"error": {"message": "no", "param": "top_k"}}, {"detail": [{"loc": ["body", "top_k"], "msg": "Extra inputs"}]},
    ]  # fmt: skip
    for body in bodies:
        found = problem(400, {}, json.dumps(body).encode(), "somewhere")
        assert isinstance(found, Refusal)
        assert found.field == "top_k"


def test_retry_after() -> None:
    assert retry_after({"retry-after": "7"}) == 7.0
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({}) is None
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)}) == 0.0
    later = retry_after({"retry-after": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)})
    assert later is not None
    assert 3000 < later <= 3600


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_trouble, "FIRST_PAUSE_S", 1.0)
    monkeypatch.setattr(server_trouble, "LONGEST_PAUSE_S", 8.0)
    for attempt, longest in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (5000, 8.0)]:
        drawn = {pause(attempt, None) for _ in range(20)}
        assert longest / 2 <= min(drawn) < max(drawn) <= longest
    assert 30.5 <= pause(1, 30.0) <= 31.0


# Away


def test_a_server_that_dies_and_comes_back_loses_nothing(
    connect: Any, server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    engine = connect()

    async def work() -> list[Any]:
        calls = [sampling(engine, seed=seed, max_tokens=30) for seed in range(12)]
        calls += [engine.score("Write a", [" lamp", f" tree {i}"], " under trees") for i in range(12)]
        return list(await asyncio.gather(*calls))

    async def disturbed() -> list[Any]:
        running = asyncio.ensure_future(work())
        await asyncio.sleep(0.05)
        await asyncio.to_thread(server.die)
        await asyncio.sleep(0.3)
        assert not running.done()
        await asyncio.to_thread(server.revive)
        return await running

    expected = asyncio.run(work())
    caplog.clear()
    found = asyncio.run(disturbed())
    assert found[:12] == expected[:12]
    for one, two in zip(found[12:], expected[12:], strict=True):
        assert [score.logprobs.tolist() for score in one] == [score.logprobs.tolist() for score in two]
    messages = [record.getMessage() for record in caplog.records]
    assert [sum("is away" in message for message in messages), sum("is back" in message for message in messages)] == [
        1,
        1,
    ]


def test_patience_ends(connect: Any, server: OpenAIServer) -> None:
    engine = connect(patience_s=0.3)
    server.die()
    try:
        with pytest.raises(EngineError, match=r"did not recover for 0.3 s \(patience_s\): .*ConnectError"):
            sample(engine)
        with pytest.raises(EngineError, match="did not recover"):
            ServerEngine(server.name, url=server.url, patience_s=0.1)
    finally:
        server.revive()
    impatient = connect(timeout_s=1.0, patience_s=0.1)
    server.faults += [Fault(hang=True)] * 2
    with pytest.raises(EngineError, match=r"did not answer within 1 s \(timeout_s\)"):
        sample(impatient)


def test_a_server_that_is_lost_is_not_waited_for(server: OpenAIServer) -> None:
    async def ask() -> None:
        client = ServerClient(
            "http://127.0.0.1:9/v1", key=ApiKey(None), max_concurrency=1, requests_per_minute=None, timeout_s=5,
            patience_s=1000, lost=lambda: "it cannot be started",
        )  # fmt: skip
        await client.post("/completions", {}, lambda answer: answer)

    with pytest.raises(EngineError, match="the server is lost: it cannot be started"):
        asyncio.run(ask())


# Limits


def test_many_callers_and_few_connections(connect: Any, server: OpenAIServer) -> None:
    engine = connect(max_concurrency=7)
    threads = []

    async def many() -> list[Any]:
        running = asyncio.gather(*(engine._client.get("/models") for _ in range(2000)))
        await asyncio.sleep(0.1)
        threads.append(threading.active_count())
        return list(await running)

    before = threading.active_count()
    server.most_at_once = 0
    found = asyncio.run(many())
    assert len(found) == 2000
    assert 1 < server.most_at_once <= 7
    assert threads[0] <= before + 1


def test_requests_are_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ServerClient(
        "http://127.0.0.1:9/v1", key=ApiKey(None), max_concurrency=9, requests_per_minute=600, timeout_s=5, patience_s=5
    )
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def four() -> None:
        [server] = client.pool.members.values()
        for _ in range(4):
            await client._turn(server)
        await client._rest(server, 1, Trouble("busy", "slow down", 3.0))
        slept.pop()  # this request's own pause
        await client._turn(server)

    monkeypatch.setattr(server_client.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(server_client.asyncio, "sleep", sleep)
    asyncio.run(four())
    assert slept == pytest.approx([0.1, 0.2, 0.3, 3.0])


# Keys


def test_the_key_is_sent_and_never_shown(
    connect: Any, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.key = KEY
    monkeypatch.setenv("LAMP_KEY", f" {KEY}\n")
    engine = connect(api_key_env="LAMP_KEY")
    assert len(sample(engine)) == 1
    assert {headers["authorization"] for _, headers, _ in server.requests} == {f"Bearer {KEY}"}
    server.key = "another"
    errors = []
    with pytest.raises(EngineError, match=r"answered 401: wrong key: Bearer \[key\]") as caught:
        sample(engine)
    errors.append(str(caught.value))
    echo = f"you sent Authorization: Bearer {KEY}"
    for fault in (Fault(500, echo), Fault(200, echo), Fault(200, json.dumps({"choices": [], "you": KEY}))):
        server.faults += [fault] * 5
        with pytest.raises(EngineError, match="gave up") as caught:
            sample(engine)
        errors.append(str(caught.value))
        assert "[key]" in errors[-1]
    shown = [*errors, caplog.text, repr(engine._client.key), repr(vars(engine)), repr(vars(engine._client))]
    shown += [repr(engine.info), repr(vars(pickle.loads(pickle.dumps(engine._client.key)))["variable"])]
    assert not [text for text in shown if KEY in text]
    assert KEY.encode() not in pickle.dumps(engine._client.key)


def test_keys_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMP_KEY", raising=False)
    for value, message in [("", "LAMP_KEY, which api_key_env names, is not set"), ("two words", "LAMP_KEY is no key")]:
        if value:
            monkeypatch.setenv("LAMP_KEY", value)
        with pytest.raises(EngineError, match=message) as caught:
            ServerEngine("m", url="http://127.0.0.1:1/v1", api="chat", api_key_env="LAMP_KEY")
        assert "two words" not in str(caught.value)


@pytest.mark.parametrize("url", [f"http://user:{KEY}@127.0.0.1/v1", f"http://127.0.0.1/v1?key={KEY}"])
def test_a_key_in_the_address(url: str) -> None:
    with pytest.raises(EngineError, match="the url holds a user, a password or a query") as caught:
        ServerEngine("m", url=url, api="chat")
    assert KEY not in str(caught.value)
