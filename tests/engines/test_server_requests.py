"""Requests of the server engine: what is sent, what becomes of the answer, what the server does not know."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.engines.base import Completion
from deepwriting.engines.server.chat import MARK, cut_at_stop, pack, unpack
from deepwriting.engines.server.engine import ServerEngine
from deepwriting.engines.server.sampling import read_answer
from deepwriting.engines.server.trouble import Trouble
from deepwriting.errors import ContextOverflowError, EngineError, ModelNotFoundError
from tests.engines.openai_server import Fault, OpenAIServer

OPTIONS: dict[str, Any] = {
    "n": 1, "max_tokens": 8, "temperature": 0.9, "top_p": 0.95, "top_k": 20, "frequency_penalty": 0.0, "stop": (),
    "seed": 1,
}  # fmt: skip
PROMPT = "Write a passage of a story in which lamps under trees"


@pytest.fixture(scope="module")
def shared(pocket_model: Path) -> Iterator[OpenAIServer]:
    server = OpenAIServer(pocket_model)
    yield server
    server.close()


@pytest.fixture
def server(shared: OpenAIServer) -> Iterator[OpenAIServer]:
    kept = dict(vars(shared))
    shared.requests, shared.faults, shared.refused, shared.scores = [], [], set(), {"echo", "prompt_logprobs", "sglang"}
    yield shared
    vars(shared).update(kept | {"_model": shared._model})


@pytest.fixture
def connect(server: OpenAIServer) -> Iterator[Callable[..., ServerEngine]]:
    opened = []

    def make(model: str | None = None, **options: Any) -> ServerEngine:
        opened.append(ServerEngine(model or server.name, url=server.url, **options))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


def sample(engine: ServerEngine, prompt: str, **options: Any) -> list[Completion]:
    return asyncio.run(engine.sample(prompt, **OPTIONS | options))


# Completions


def test_everything_that_shapes_the_distribution_is_sent(connect: Any, server: OpenAIServer) -> None:
    engine = connect()
    server.requests.clear()
    sample(engine, PROMPT, n=3, top_k=0, stop=("sheds",), frequency_penalty=0.5)
    sent = server.asked("/v1/completions")
    assert [len(sent), len({body["seed"] for body in sent})] == [3, 3]
    assert all(0 <= body["seed"] < 2**31 for body in sent)
    for body in sent:
        del body["seed"]
        assert body == {
            "model": server.name, "prompt": server.model.ids(PROMPT), "max_tokens": 8, "temperature": 0.9,
            "top_p": 0.95, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "frequency_penalty": 0.5,
            "stop": ["sheds"],
        }  # fmt: skip


def test_fields_that_a_server_does_not_know_are_left_out(
    connect: Any, server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    engine = connect(scoring="none")
    server.refused = {"top_k", "min_p", "repetition_penalty"}
    server.requests.clear()
    [first] = sample(engine, PROMPT, top_k=0)
    assert len(server.requests) == 4
    assert "does not take min_p, repetition_penalty, top_k" in caplog.text
    [second] = sample(engine, PROMPT, top_k=0)
    assert len(server.requests) == 5
    assert first == second


def test_a_renamed_limit(connect: Any, server: OpenAIServer) -> None:
    engine = connect()
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server.faults.append(Fault(400, json.dumps({"error": {"message": message, "param": "max_tokens"}})))
    [found] = sample(engine, PROMPT)
    assert found.tokens <= 8
    sample(engine, PROMPT)
    assert [body.get("max_completion_tokens") for body in server.asked("/v1/completions")[-2:]] == [8, 8]
    assert "max_tokens" not in server.asked("/v1/completions")[-1]


def test_a_field_is_not_dropped_in_vain(connect: Any, server: OpenAIServer) -> None:
    """The text of a refusal may name a field for another reason; the first refusal is what the caller learns."""
    engine = connect(scoring="none")
    server.faults += [Fault(400, '{"error": {"message": "no, because of your seed"}}'), Fault(400, '{"message": "no"}')]
    with pytest.raises(EngineError, match="answered 400: no, because of your seed"):
        sample(engine, PROMPT)
    sample(engine, PROMPT)
    assert "seed" in server.asked("/v1/completions")[-1]


def test_a_server_that_takes_only_text(connect: Any, server: OpenAIServer) -> None:
    server.takes_ids = False
    engine = connect()
    [found] = sample(engine, PROMPT)
    body = server.asked("/v1/completions")[-1]
    assert (body["prompt"], body["add_special_tokens"]) == (PROMPT, False)
    server.takes_ids = True
    assert sample(connect(), PROMPT) == [found]
    with pytest.raises(EngineError, match=r"only samples .it takes no token ids.; name another scorer"):
        asyncio.run(engine.score("a", ["b"], "c"))
    server.takes_ids = False
    with pytest.raises(EngineError, match="scoring 'echo' is not possible: it takes no token ids"):
        connect(scoring="echo")


def test_a_name_that_only_the_server_knows(connect: Any, server: OpenAIServer, pocket_model: Path) -> None:
    server.name = "lamps-large"
    engine = connect()
    assert engine.render("one", "two") == "one\n\ntwo"
    assert engine.count_tokens("灯 a") == 5
    assert engine.control_tokens() == ()
    [found] = sample(engine, PROMPT)
    assert server.asked("/v1/completions")[-1]["prompt"] == PROMPT
    with pytest.raises(EngineError, match=r"only samples .there is no tokenizer at hand"):
        asyncio.run(engine.score("a", ["b"], "c"))
    assert sample(connect(tokenizer=str(pocket_model)), PROMPT) == [found]
    with pytest.raises(EngineError, match=r"404: The model 'lamps-small' does not exist"):
        connect("lamps-small", tokenizer=str(pocket_model))
    with pytest.raises(ModelNotFoundError, match=r"'./nowhere' is not a directory"):
        connect(tokenizer="./nowhere")


def test_a_server_that_does_not_say_why_it_stopped(connect: Any, server: OpenAIServer) -> None:
    server.says_stop = False
    engine = connect(scoring="none")
    [free] = sample(engine, PROMPT, temperature=0.0)
    [cut] = sample(engine, PROMPT, temperature=0.0, stop=(free.text[3:6],))
    assert (cut.text, cut.finish_reason) == (free.text[:3], "stop")
    server.faults.append(Fault(body=json.dumps({"choices": [{"text": free.text, "finish_reason": "length"}]})))
    # A server that ignores stop strings: they are found here, and tokens are counted here.
    assert sample(engine, PROMPT, stop=(free.text[3:6],)) == [
        Completion(cut.text, engine.count_tokens(cut.text), "stop")
    ]


def test_the_context(connect: Any, server: OpenAIServer) -> None:
    assert connect(scoring="none").info.context_tokens == 4096
    assert connect().info.context_tokens == 4095
    assert connect(context_tokens=100).info.context_tokens == 100
    server.states_context = False
    assert connect(context_tokens=100).info.context_tokens == 100
    with pytest.raises(EngineError, match=r"does not state the context of '.*'; name context_tokens"):
        connect()


def test_the_server_says_that_a_text_is_too_long(connect: Any, server: OpenAIServer) -> None:
    server.name = "lamps-large"  # no tokenizer here, so only the server can tell
    engine = connect()
    with pytest.raises(ContextOverflowError, match="maximum context length is 4096 tokens"):
        sample(engine, PROMPT * 400)


# Answers


@pytest.mark.parametrize(
    ("choice", "stopping", "expected"),
    [
        ({"text": "a", "finish_reason": "stop", "stop_reason": None}, True, "eos"),
        ({"text": "a", "finish_reason": "stop", "stop_reason": 128009}, True, "eos"),
        ({"text": "a", "finish_reason": "stop", "matched_stop": "x"}, True, "stop"),
        ({"text": "a", "finish_reason": "stop", "matched_stop": 2}, True, "eos"),
        ({"text": "a", "finish_reason": "stop"}, True, "stop"),
        ({"text": "a", "finish_reason": "stop"}, False, "eos"),
        ({"text": "a", "finish_reason": "eos_token"}, True, "eos"),
        ({"text": "a", "finish_reason": "length"}, False, "length"),
        ({"message": {"content": "a"}, "finish_reason": "content_filter"}, False, "length"),
        ({"message": {"content": None, "reasoning_content": "hm"}, "finish_reason": "length"}, False, "length"),
    ],
)
def test_finish_reasons(choice: dict[str, Any], stopping: bool, expected: str) -> None:
    assert read_answer({"choices": [choice]}, stopping=stopping).finish_reason == expected


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([], "no choices"),
        ({"choices": []}, "no choices"),
        ({"choices": None}, "no choices"),
        ({"choices": ["a"]}, "no choices"),
        ({"choices": [{"finish_reason": "stop"}]}, "a choice without text"),
        ({"choices": [{"message": "a", "finish_reason": "stop"}]}, "a choice without text"),
        ({"choices": [{"text": "a", "finish_reason": "abort"}]}, "a choice that finished with 'abort'"),
        ({"choices": [{"text": "a"}]}, "a choice that finished with None"),
    ],
)
def test_answers_that_cannot_be_used(answer: Any, reason: str) -> None:
    with pytest.raises(Trouble, match=reason) as caught:
        read_answer(answer, stopping=False)
    assert caught.value.kind == "broken"


# Chat


@given(st.text(), st.text(), st.text())
def test_turns_survive_the_packing(user: str, assistant: str, more: str) -> None:
    assert unpack(pack(user, assistant) + more) == (user, assistant + more)
    assert unpack(pack(pack(user, assistant), more)) == (pack(user, assistant), more)


@pytest.mark.parametrize("prompt", ["Hello", "", MARK, f"{MARK}-1\nab", f"{MARK}9\nab", f"{MARK}²\nab", f"{MARK}2"])
def test_what_was_not_packed(prompt: str) -> None:
    with pytest.raises(EngineError, match="is not rendered; a chat server takes what render"):
        unpack(prompt)


def test_cut_at_the_first_stop() -> None:
    assert cut_at_stop("one two three", ("three", "two", "four")) == ("one ", True)
    assert cut_at_stop("one two three", ("four",)) == ("one two three", False)


def test_a_begun_turn_is_continued(connect: Any, server: OpenAIServer) -> None:
    chat = connect(api="chat", context_tokens=200)
    completions = connect(scoring="none")
    for begun in ("", "Okay, I'm asked for"):
        found = sample(chat, chat.render(PROMPT, begun), n=2)
        assert found == sample(completions, f"{PROMPT}\n\n{begun}", n=2)
    turns = server.asked("/v1/chat/completions")[-1]
    assert turns["messages"] == [
        {"role": "user", "content": PROMPT}, {"role": "assistant", "content": "Okay, I'm asked for"},
    ]  # fmt: skip
    assert (turns["continue_final_message"], turns["add_generation_prompt"]) == (True, False)
    assert chat.info.device == server.url
    with pytest.raises(EngineError, match=r"only samples .a chat server gives no log-probabilities"):
        asyncio.run(chat.score("a", ["b"], "c"))


def test_a_begun_turn_is_asked_for(connect: Any, server: OpenAIServer) -> None:
    engine = connect(api="chat", prefill="ask", context_tokens=200)
    prompt = engine.render("Write.", "<think>\nOkay,")

    def answer(text: str, reason: str = "stop") -> str:
        return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": reason}]})

    server.faults += [Fault(body=answer(" <think>\nOkay, a lamp\nand a tree")), Fault(body=answer("A lamp\nand"))]
    [repeated] = sample(engine, prompt, stop=("\n", "</think>"), max_tokens=50)
    assert (repeated.text, repeated.finish_reason) == (" a lamp", "stop")
    body = server.requests[-1][2]
    # The model's own beginning holds a stop string: the server would end before the answer begins.
    assert body["stop"] == ["</think>"]
    assert body["max_tokens"] == 50 + len("<think>\nOkay,")
    assert body["messages"][0]["content"].startswith("Write.\n\n")
    assert body["messages"][0]["content"].endswith("-----\n<think>\nOkay,\n-----")
    assert len(body["messages"]) == 1
    [other] = sample(engine, prompt, stop=("\n",))
    assert (other.text, other.finish_reason) == ("A lamp", "stop")


def test_chat_with_a_tokenizer_knows_what_fits(connect: Any, server: OpenAIServer, pocket_model: Path) -> None:
    engine = connect(api="chat", context_tokens=30, tokenizer=str(pocket_model))
    server.requests.clear()
    with pytest.raises(ContextOverflowError, match="tokens do not fit into 30 of"):
        sample(engine, engine.render(PROMPT), max_tokens=25)
    assert not server.requests
    with pytest.raises(EngineError, match="half of a surrogate pair"):
        sample(engine, engine.render("\ud83d"))


# Scores


def test_the_cheapest_way_is_chosen(connect: Any, server: OpenAIServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deepwriting")
    found = []
    for name in ("sglang", "prompt_logprobs", "echo"):
        engine = connect()
        [score] = asyncio.run(engine.score("Write a", [" passage of"], " lamps under trees"))
        found.append(score.logprobs.tolist())
        assert caplog.records[-1].getMessage().endswith(f"scores: {name}")
        server.scores.discard(name)
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert found[0] == pytest.approx(found[2], abs=1e-5)
    with pytest.raises(EngineError, match=r"sglang: .*404.*; prompt_logprobs: no prompt_logprobs; echo: no token_log"):
        asyncio.run(connect().score("a", ["b"], "c"))


def test_equal_texts_are_scored_once(connect: Any, server: OpenAIServer) -> None:
    engine = connect(scoring="sglang")
    server.requests.clear()
    one, two, three = asyncio.run(engine.score("Write a", [" lamp", " tree", " lamp"], " under trees"))
    assert len(server.requests) == 2
    assert one.logprobs is three.logprobs
    assert one.logprobs.tolist() != two.logprobs.tolist()
    assert engine.usage.reused_tokens > 0


@pytest.mark.parametrize(
    ("scoring", "answer"),
    [
        ("sglang", {"meta_info": {"input_token_logprobs": [[None, 1, None], [-1.0, 2, None]]}}),
        ("prompt_logprobs", {"choices": [{"prompt_logprobs": [None, {"7": {"logprob": -1.0}}]}]}),
        ("prompt_logprobs", {"choices": [{"prompt_logprobs": [None, *[{"100000": {"logprob": -1.0}}] * 5]}]}),
        ("echo", {"choices": [{"logprobs": {"token_logprobs": [-1.0]}}]}),
        ("echo", {"choices": [{"logprobs": {"token_logprobs": [-1.0] * 7}}], "usage": {"prompt_tokens": 7}}),
    ],
)
def test_a_server_that_reads_other_tokens(connect: Any, server: OpenAIServer, scoring: str, answer: Any) -> None:
    engine = connect(scoring=scoring)
    tokens = len(server.model.ids("Write a lamp under trees"))
    if scoring == "prompt_logprobs" and len(answer["choices"][0]["prompt_logprobs"]) > 2:
        answer["choices"][0]["prompt_logprobs"] = answer["choices"][0]["prompt_logprobs"][:2] * (tokens // 2)
        answer["choices"][0]["prompt_logprobs"] += [None] * (tokens % 2)
    server.faults.append(Fault(body=json.dumps(answer)))
    with pytest.raises(EngineError, match="the server tokenises differently"):
        asyncio.run(engine.score("Write a", [" lamp"], " under trees"))
    assert len(server.faults) == 0


@pytest.mark.parametrize("options", [{}, {"url": "http://127.0.0.1:1/v1", "start": object()}])
def test_an_address_or_a_start(options: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="exactly one of url, urls, endpoints and start"):
        ServerEngine("m", **options)


@pytest.mark.parametrize("url", ["127.0.0.1:8000/v1", "ftp://127.0.0.1/v1", "http:///v1"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(EngineError, match="is no address"):
        ServerEngine("m", url=url, api="chat")


def test_chat_cannot_be_told_to_score() -> None:
    with pytest.raises(EngineError, match="a chat server cannot score, so scoring 'echo' is not allowed"):
        ServerEngine("m", url="http://127.0.0.1:1/v1", api="chat", scoring="echo")
