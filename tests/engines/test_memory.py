"""Want of memory, injected where the model begins: a forward pass of more than so many tokens fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from deepwriting.engines.transformers.memory import is_out_of_memory
from deepwriting.errors import EngineError

pytestmark = pytest.mark.model

WORDS = "the keeper of the light reads a letter from the sea and puts it on the table "


@contextmanager
def short_memory(engine: Any, fits: Callable[[int, int, int], bool]) -> Iterator[list[tuple[int, int, int]]]:
    """Passes for which ``fits(rows, tokens of a row, tokens of its past)`` is false have no memory; yields them."""
    refused = []

    def check(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rows, tokens = (args[0] if args else kwargs["input_ids"]).shape
        cache = kwargs.get("past_key_values")
        size = (rows, tokens, cache.get_seq_length() if cache is not None else 0)
        if not fits(*size):
            refused.append(size)
            raise torch.OutOfMemoryError(f"no memory for {size}")

    hook = engine._causal._body.register_forward_pre_hook(check, with_kwargs=True)
    try:
        yield refused
    finally:
        hook.remove()


async def scores(engine: Any, count: int = 4, words: int = 3) -> list[Any]:
    return await asyncio.gather(
        *(engine.score(f"Number {i}. " + WORDS * 2, [WORDS * words, "short "], WORDS) for i in range(count)),
        return_exceptions=True,
    )


def same(found: list[Any], expected: list[Any]) -> None:
    for scores_found, scores_expected in zip(found, expected, strict=True):
        for one, two in zip(scores_found, scores_expected, strict=True):
            assert one.complete
            assert one.logprobs == pytest.approx(two.logprobs, abs=1e-4)


def test_smaller_passes_after_a_failure(llama_folder: Path, open_engine: Any, caplog: pytest.LogCaptureFixture) -> None:
    engine = open_engine(llama_folder, max_batch_tokens=4096)
    expected = asyncio.run(scores(open_engine(llama_folder), words=40))
    with short_memory(engine, lambda rows, tokens, _: rows * tokens <= 900) as refused:
        same(asyncio.run(scores(engine, words=40)), expected)
        assert refused
        assert engine._scorer.limit.tokens <= 2 * 900
        same(asyncio.run(scores(engine, words=40)), expected)  # may halve once more, where windows are cut differently
        before = len(refused)
        same(asyncio.run(scores(engine, words=40)), expected)
        assert len(refused) == before  # the smaller size was remembered
    told = [record.message for record in caplog.records if "no memory for" in record.message]
    assert len(told) == 1


def test_a_long_text_goes_through_in_pieces(llama_folder: Path, open_engine: Any) -> None:
    engine, other = open_engine(llama_folder), open_engine(llama_folder)
    expected = asyncio.run(scores(other, 1, 40))
    with short_memory(engine, lambda rows, tokens, _: rows * tokens <= 300) as refused:
        same(asyncio.run(scores(engine, 1, 40)), expected)
    assert max(tokens for _, tokens, _ in refused) > 300


@pytest.mark.parametrize("reuse", [True, False], ids=["shared", "whole"])
def test_a_text_that_never_fits_fails_alone(llama_folder: Path, open_engine: Any, reuse: bool) -> None:
    engine, other = open_engine(llama_folder, max_batch_tokens=4096), open_engine(llama_folder)
    engine._causal.reusable = reuse
    expected = asyncio.run(scores(other, 2))

    async def mixed() -> list[Any]:
        return await asyncio.gather(scores(engine, 2), scores(engine, 1, 40))

    with short_memory(engine, lambda _, tokens, past: tokens + past <= 400):
        good, [bad] = asyncio.run(mixed())
    same(good, expected)
    assert isinstance(bad, EngineError)
    assert str(bad).startswith("no memory to score a text of ")
    assert isinstance(bad.__cause__, torch.OutOfMemoryError)
    assert engine._scorer.limit.tokens > 400  # that text has not made the passes of others small
    same(asyncio.run(scores(engine, 2)), expected)


async def samples(engine: Any, count: int = 3, n: int = 2, words: int = 1) -> list[Any]:
    return await asyncio.gather(
        *(
            engine.sample(
                f"{i} " + WORDS * words * (i + 1), n=n, max_tokens=12 + i, temperature=1.0, top_p=0.95, top_k=50,
                frequency_penalty=0.5,
                stop=(), seed=i,
            )
            for i in range(count)
        ),
        return_exceptions=True,
    )  # fmt: skip


def test_the_younger_half_starts_again(llama_folder: Path, open_engine: Any) -> None:
    """Decoding of more than three rows has no memory: the samples are those of an engine that has it."""
    expected = asyncio.run(samples(open_engine(llama_folder)))
    engine = open_engine(llama_folder, max_batch=8)
    with short_memory(engine, lambda rows, tokens, _: tokens > 1 or rows <= 3) as refused:
        assert asyncio.run(samples(engine)) == expected
        assert engine._decoder.slots == 3
        before = len(refused)
        assert asyncio.run(samples(engine)) == expected
        assert len(refused) == before
    assert engine._decoder._cache.rows <= 3


def test_prompts_in_smaller_passes(llama_folder: Path, open_engine: Any) -> None:
    expected = asyncio.run(samples(open_engine(llama_folder), 4, words=10))
    engine = open_engine(llama_folder, max_batch_tokens=4096)
    with short_memory(engine, lambda rows, tokens, _: rows * tokens <= 150) as refused:
        assert asyncio.run(samples(engine, 4, words=10)) == expected
    assert refused
    engine = open_engine(llama_folder, max_batch_tokens=4096)
    with short_memory(engine, lambda _, tokens, past: tokens + past <= 450):
        found = asyncio.run(samples(engine, 4, words=10))
    assert found[:2] == expected[:2]
    for bad in found[2:]:
        assert isinstance(bad, EngineError)
        assert "no memory to continue a prompt of" in str(bad)


def test_no_memory_for_one_sequence(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder)
    with short_memory(engine, lambda _rows, tokens, _past: tokens > 1):
        for found in asyncio.run(samples(engine)):
            assert isinstance(found, EngineError)
            assert "no memory to decode a sequence of" in str(found)
    assert asyncio.run(samples(engine)) == asyncio.run(samples(open_engine(llama_folder)))


def test_fewer_rows_where_the_model_samples_alone(llama_folder: Path, open_engine: Any) -> None:
    def engine_alone() -> Any:
        engine = open_engine(llama_folder)
        engine._decoder._cache, engine._causal.reusable = None, False
        return engine

    engine, expected = engine_alone(), asyncio.run(samples(engine_alone(), 2, 4))
    with short_memory(engine, lambda rows, _tokens, _past: rows <= 1):
        assert asyncio.run(samples(engine, 2, 4)) == expected
        assert engine._decoder.slots == 1
    with short_memory(engine, lambda _rows, _tokens, _past: False):
        assert all(isinstance(found, EngineError) for found in asyncio.run(samples(engine, 2, 4)))


def test_a_real_refusal_of_the_cpu_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes differ"))
