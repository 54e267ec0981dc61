"""What is particular to the vLLM engine: its arguments, its prefix cache, several in one process, its end."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepwriting.errors import EngineError, ModelNotFoundError
from tests.engines.contract import alone, run, sample
from tests.engines.reference import save_random_llama

LONG = "The keeper of the light reads every letter that the sea brings to his rocks. " * 20


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(llama: Path, open_vllm: Callable[..., Any]) -> Any:
    return open_vllm(llama)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"max_model_len": 100}}, "the vLLM option 'max_model_len' is set by 'context_tokens'"),
        ({"options": {"no_such_thing": 1}}, "vLLM has no engine argument 'no_such_thing'"),
        ({"dtype": "float99"}, "vLLM cannot use .*float99"),
    ],
)
def test_arguments_that_cannot_be_used(
    llama: Path, open_vllm: Callable[..., Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        open_vllm(llama, **arguments)


def test_a_model_that_is_not_there(open_vllm: Callable[..., Any]) -> None:
    with pytest.raises(ModelNotFoundError, match="is not a directory"):
        open_vllm("./no/such/folder")


def test_vllm_that_does_not_start(llama: Path, open_vllm: Callable[..., Any]) -> None:
    with pytest.raises(EngineError, match="vLLM could not start"):
        open_vllm(llama, options={"kv_cache_memory_bytes": 1024})  # not one block of keys


def test_options_reach_vllm(llama: Path, open_vllm: Callable[..., Any]) -> None:
    engine = open_vllm(llama, options={"kv_cache_memory_bytes": 2**27, "block_size": 32, "max_num_batched_tokens": 64})
    config = engine._worker.config
    assert (config.cache_config.block_size, config.scheduler_config.max_num_batched_tokens) == (32, 64)
    engine.close()


def test_more_context_than_the_model_has(llama: Path, open_vllm: Callable[..., Any]) -> None:
    engine = open_vllm(llama, context_tokens=10**6)
    assert engine.info.context_tokens == 1023
    engine.close()


# Sampling and scoring


def test_a_shared_prompt_is_computed_once(engine: Any) -> None:
    tokens, before = engine.count_tokens(LONG), engine.usage
    four = alone(engine, LONG, n=4, temperature=1.0)
    after = engine.usage
    assert after.prompt_tokens - before.prompt_tokens == 4 * tokens
    block = 128  # vLLM's pages on a CPU; only whole pages are reused
    assert after.reused_tokens - before.reused_tokens >= 3 * (tokens - block)
    assert alone(engine, LONG, n=4, temperature=1.0) == four  # from the cache entirely


def test_a_score_does_not_depend_on_the_prefix_cache(engine: Any) -> None:
    first = run(engine.score(LONG, ["So. "], " It is late."))
    alone(engine, LONG + "So. ")
    again = run(engine.score(LONG, ["So. "], " It is late."))
    assert again[0].logprobs == pytest.approx(first[0].logprobs, abs=1e-5)


def test_chunks_change_nothing(llama: Path, engine: Any, open_vllm: Callable[..., Any]) -> None:
    """Steps of 64 tokens cut the text into many."""
    small = open_vllm(llama, options={"kv_cache_memory_bytes": 2**27, "max_num_batched_tokens": 64})
    texts = (LONG, ["So. ", "Then. "], " It is late, and the light turns over the rocks." * 8)
    for one, two in zip(run(engine.score(*texts)), run(small.score(*texts)), strict=True):
        assert one.logprobs == pytest.approx(two.logprobs, abs=1e-4)
    small.close()


def test_callers_that_leave_free_their_places(engine: Any) -> None:
    """Otherwise the sixteen places would be taken for thousands of steps."""

    async def leave() -> None:
        calls = [asyncio.ensure_future(sample(engine, "The sea", max_tokens=1000, seed=i)) for i in range(40)]
        await asyncio.sleep(0.2)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    before = engine.usage.sampled_tokens
    run(leave())
    alone(engine, "The sea", max_tokens=3)
    assert engine._worker.in_flight == 0
    assert engine.usage.sampled_tokens - before == 3


# Several engines in one process


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads change places many times within a forward pass instead of once in five milliseconds."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_switches")
def test_two_engines_do_not_disturb_each_other(llama: Path, engine: Any, open_vllm: Callable[..., Any]) -> None:
    """Inside one process vLLM's forward passes share module globals; without turns scores come out wrong."""
    other = open_vllm(llama)
    both = (engine, other)
    # Texts of many lengths, and not the same in both engines at the same time.
    texts = [f"The {word} " * repeats for repeats in (5, 80, 30, 120, 12) for word in ("sea", "keeper", "letter")]

    async def scores(one: Any, order: list[int]) -> dict[int, Any]:
        return {i: (await one.score(texts[i], ["So. "], " It is late."))[0].logprobs for i in order}

    forth, back = list(range(len(texts))), list(reversed(range(len(texts))))
    expected = run(scores(engine, forth))
    found: dict[tuple[Any, int], Any] = {}

    def work(one: Any, order: list[int]) -> None:
        for time in range(3):
            found[one, time] = run(scores(one, order))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(both, (forth, back), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6  # no thread ended with an error
    for scored in found.values():
        assert max(np.abs(scored[i] - expected[i]).max() for i in forth) < 1e-4
    other.close()
    assert len(alone(engine, "The sea", n=2)) == 2  # the first goes on after the second was closed


# The end


def test_closing_gives_the_memory_back(llama: Path, open_vllm: Callable[..., Any]) -> None:
    import psutil

    process, keys = psutil.Process(), 2**30
    open_vllm(llama).close()  # what vLLM keeps for ever once it was used
    before = process.memory_info().rss
    engine = open_vllm(llama, options={"kv_cache_memory_bytes": keys})
    alone(engine, LONG)
    engine.close()
    assert process.memory_info().rss - before < keys / 4


def test_a_dead_engine_answers_everybody(
    llama: Path, open_vllm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With vLLM in a process of its own, which is how it runs on GPUs; somebody kills that process."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    engine = open_vllm(llama)
    expected = alone(engine, "A letter", n=2)
    assert len(expected) == 2

    async def killed() -> list[Any]:
        calls = [asyncio.ensure_future(sample(engine, "The sea", max_tokens=1000, seed=i)) for i in range(5)]
        await asyncio.sleep(0.3)
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        return list(await asyncio.gather(*calls, return_exceptions=True))

    results = run(killed())
    assert [type(result) for result in results] == [EngineError] * 5
    assert "the engine stopped" in str(results[0])
    with pytest.raises(EngineError, match="the engine stopped"):
        alone(engine, "The sea")
    engine.close()
