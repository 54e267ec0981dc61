"""A real vLLM server: started by the engine, scored and sampled through, killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import numpy as np
import pytest

from deepwriting.engines.server.engine import ServerEngine
from deepwriting.engines.server.locks import alive
from deepwriting.engines.server.process import ServerStart
from deepwriting.recipe import SearchSection
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.search import LocalSearch
from tests.engines.contract import EngineContract

OPTIONS: dict[str, Any] = {
    "n": 1, "max_tokens": 24, "temperature": 0.9, "top_p": 0.95, "top_k": 50, "frequency_penalty": 0.0, "stop": (),
    "seed": 1,
}  # fmt: skip
#: No compilation (over a minute on a CPU) and little memory for keys.
START = ServerStart("vllm", ("--enforce-eager", "--max-num-seqs", "16"), python=sys.executable)
SECTION = SearchSection.model_validate(
    {
        "prompts": "compact", "max_steps": 2, "max_thinking_tokens": 90, "min_thinking_tokens": 10,
        "max_segment_tokens": 24, "min_segment_chars": 20, "unclosed": "trim", "initial_attempts": 4,
    }
)  # fmt: skip
PAIR = (
    "Tell me about an old clock.",
    "The clock in the hall has no hands. It strikes when it likes, mostly at night, and my father says that it keeps "
    "the time of another town.",
)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """What vLLM needs on a small CPU machine; a GPU ignores it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        yield


class ServedByVllm(EngineContract):
    """The contract through a server of a small model, one way of scoring."""

    name = "server"
    long_tokens = 400
    scoring: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def open_engine(cls, folder: Path, small: None) -> Iterator[Callable[..., ServerEngine]]:
        opened: list[ServerEngine] = []

        def make(**options: Any) -> ServerEngine:
            opened.append(ServerEngine(str(folder), start=START, scoring=cls.scoring, dtype="float32", **options))
            return opened[-1]

        keeper = make()  # holds the server: the tests close their engines, and a new server takes seconds
        yield make
        for engine in opened:
            engine.close()
        assert not alive(keeper._processes[0].state()["server"])


class TestPromptLogprobs(ServedByVllm):
    scoring = "prompt_logprobs"


class TestEcho(ServedByVllm):
    scoring = "echo"


@pytest.fixture(scope="module")
def engine(small: None) -> Iterator[ServerEngine]:
    engine = ServerEngine("smollm2-135m", start=START, dtype="float32")
    yield engine
    engine.close()


def searched(engine: ServerEngine, journal: Path, meanwhile: Callable[[], None] | None = None) -> Any:
    async def work() -> Any:
        with Journal(journal, "settings") as book:
            search = LocalSearch([engine], engine, load_prompts("compact"), SECTION, seed=7, journal=book)
            found = asyncio.ensure_future(search.search("p0", *PAIR, "en"))
            if meanwhile is not None:
                await asyncio.to_thread(meanwhile)
            return await found

    return asyncio.run(work())


def test_what_the_engine_finds_out(engine: ServerEngine) -> None:
    assert engine._learned.protocol == "prompt_logprobs"
    assert engine._learned.sends_ids
    assert engine.info.context_tokens == 8191
    assert engine.info.revision.startswith("gguf-sha256:")
    assert not engine._dialect.left_out


def test_all_that_is_sent_is_known(engine: ServerEngine) -> None:
    """vLLM ignores unknown fields, so a wrong name would change nothing and tell nobody."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest

    from deepwriting.engines.server.chat import messages
    from deepwriting.engines.server.sampling import Sampling

    fields = Sampling(8, 0.9, 0.9, 40, 0.5, ("x",), 1).fields(0)
    assert set(fields) <= set(CompletionRequest.model_fields)
    assert {*fields, *messages("a", "b", "continue")} <= set(ChatCompletionRequest.model_fields)
    assert {"prompt_logprobs", "echo", "logprobs", "add_special_tokens"} <= set(CompletionRequest.model_fields)


def test_chat_continues_a_begun_turn(engine: ServerEngine) -> None:
    chat = ServerEngine("smollm2-135m", url=engine._client.url, api="chat", dtype="float32")
    try:
        turns, options = ("Tell me of a light.", "The keeper of the"), OPTIONS | {"temperature": 0.0}
        whole = asyncio.run(engine.sample(engine.render(*turns), **options))
        assert asyncio.run(chat.sample(chat.render(*turns), **options)) == whole
    finally:
        chat.close()


def test_killed_during_a_search(engine: ServerEngine, tmp_path: Path) -> None:
    expected = searched(engine, tmp_path / "quiet.jsonl")
    [process] = engine._processes
    assert process is not None
    before = process.state()

    def kill() -> None:
        journal = tmp_path / "disturbed.jsonl"
        while not (journal.exists() and '"start"' in journal.read_text()):
            time.sleep(0.01)
        os.kill(before["server"], signal.SIGKILL)

    found = searched(engine, tmp_path / "disturbed.jsonl", kill)
    assert found == expected
    process.wait_ready()  # the supervisor notices a moment after the first answer
    assert process.state()["restarts"] == before["restarts"] + 1


def test_a_text_that_is_too_long_is_named_so(engine: ServerEngine) -> None:
    """What vLLM says of an overflow is understood; asked directly, since the engine would not even send it."""
    from deepwriting.engines.server.trouble import problem
    from deepwriting.errors import ContextOverflowError

    for prompt, limit in [([5] * 9000, 1), ([5] * 10, 9000), ("sea " * 9000, 1)]:
        body = {"model": "smollm2-135m", "prompt": prompt, "max_tokens": limit}
        answer = httpx2.post(f"{engine._client.url}/completions", json=body, timeout=60)
        found = problem(answer.status_code, answer.headers, answer.content, "vLLM")
        assert isinstance(found, ContextOverflowError), answer.text


def test_scores_in_both_ways_are_equal(engine: ServerEngine) -> None:
    echo = ServerEngine("smollm2-135m", url=engine._client.url, scoring="echo", tokenizer="smollm2-135m")
    try:
        texts = ("The keeper reads", [" a letter", " nothing"], " and lights the lamp. 海")
        for one, two in zip(asyncio.run(engine.score(*texts)), asyncio.run(echo.score(*texts)), strict=True):
            assert np.abs(one.logprobs - two.logprobs).max() < 1e-4
    finally:
        echo.close()
