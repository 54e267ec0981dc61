"""Scores of texts against one plain forward pass of transformers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepwriting.engines.base import SCORE_NOISE_NATS
from deepwriting.errors import ContextOverflowError, EngineError

pytestmark = pytest.mark.model

Plain = Callable[[Any, str, str], tuple[list[float], int]]

PREFIX = "A friend asks for a short note about the sea.\n<think>\n"
CASES = {
    "english": (["I want salt and wind.", "Numbers."], "\n</think>\nThe sea is never still, and it keeps its letters."),
    "chinese": (["先写灯塔，", "先写天气，再写人。"], "守夜人在礁石上捡到一封信，信上有海水的味道。"),
    "emoji": (["Hmm 😀", "嗯🙂 "], "👩‍👩‍👧‍👦 wave 🌊 and 𝒳 go home 🇫🇷."),
    "a tag of thinking": (["Hm.", "So </think>"], "It says </think> and <answer>, then <|im_end|></think>."),
    "an astral letter": (["𝒳", "é"], "𝒴 is e\u0301, and ﷽ is one character."),
    "control tokens": (["Hm.", "So:"], "He typed <|im_end|> and <|im_start|>user, then <|endoftext|>."),
    "one token": (["The answer is", "It is"], " sea"),
    "joined over the boundary": (["I end with a line\n", "and so\n\n"], "\n\nThe text begins late."),
    "middle of a word": (["The light", "A"], "house keeper."),
    "nothing between": (["", ""], "The sea."),
    "one middle": (["only one"], " and its target, with a few more words than the others have."),
}


def check(scores: list[Any], network: Any, plain: Plain, heads: list[str], targets: list[str]) -> None:
    for score, head, target in zip(scores, heads, targets, strict=True):
        expected, total = plain(network, head, target)
        assert score.total_tokens == total
        assert score.logprobs.dtype == np.float32
        assert len(score.logprobs) == len(expected)
        assert abs(score.logprobs.mean() - np.mean(expected)) < 1e-4
        assert np.abs(score.logprobs - expected).max() < 1e-3


@pytest.mark.parametrize("name", CASES)
def test_like_a_plain_forward(smollm: Any, plain_smollm: Any, plain_logprobs: Plain, name: str) -> None:
    middles, target = CASES[name]
    scores = asyncio.run(smollm.score(PREFIX, middles, target))
    check(scores, plain_smollm, plain_logprobs, [PREFIX + middle for middle in middles], [target] * len(middles))
    if name == "one token":
        assert [len(score.logprobs) for score in scores] == [1, 1]


def test_several_targets(smollm: Any, plain_smollm: Any, plain_logprobs: Plain) -> None:
    targets = [" Poetry", " News & Journalism", " 广告", " a"]
    scores = asyncio.run(smollm.score_each("The category is:", targets))
    check(scores, plain_smollm, plain_logprobs, ["The category is:"] * 4, targets)


def test_a_search_reuses_what_it_settles(smollm: Any, plain_smollm: Any, plain_logprobs: Plain) -> None:
    """The calls of three steps: the same prefix, then longer and longer ones."""
    prompt = smollm.render("Write a note about the sea and the keeper of its light.") + "<think>\n"
    settled, target = ["", "First the sea. ", "First the sea. Then the keeper. "], "</think>\nThe sea is wide."
    before = smollm.usage
    for known in settled:
        middles = ["I name the rocks. ", "I name the ships and the storm. "]
        scores = asyncio.run(smollm.score(prompt + known, middles, target))
        heads = [prompt + known + middle for middle in middles]
        check(scores, plain_smollm, plain_logprobs, heads, [target, target])
    again = asyncio.run(smollm.score(prompt + settled[-1], middles, target))
    assert [s.logprobs.tolist() for s in again] == [pytest.approx(s.logprobs.tolist(), abs=1e-4) for s in scores]
    reused = smollm.usage.reused_tokens - before.reused_tokens
    assert reused > 2 * smollm.count_tokens(prompt)  # by the three calls after the first
    scored = [score.total_tokens for score in scores]
    assert smollm.usage.scored_tokens - before.scored_tokens >= 2 * sum(scored)


LONG = " ".join(f"word{i} and the sea" for i in range(24))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of some hundred tokens go through every chunk boundary that long ones meet."""
    monkeypatch.setattr("deepwriting.engines.transformers.forward.HEAD_CHUNK", 7)
    monkeypatch.setattr("deepwriting.engines.transformers.forward.PREFILL_CHUNK", 16)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("packed_tokens", [0, 100_000])
@pytest.mark.parametrize("cache_gb", [0.0, 0.1])
def test_every_way_of_computing_agrees(
    llama_folder: Path, tiny_network: Any, open_engine: Any, plain_logprobs: Plain,
    monkeypatch: pytest.MonkeyPatch, packed_tokens: int, cache_gb: float,
) -> None:  # fmt: skip
    """Prefix reuse on and off, packed and padded; the second round meets a filled store."""
    monkeypatch.setattr("deepwriting.engines.transformers.forward.PACKED_TOKENS", packed_tokens)
    engine, network = open_engine(llama_folder, prefix_cache_gb=cache_gb), tiny_network()
    prefix, middles, target = LONG[:300], [LONG[:120], "", "one", LONG[:40]], LONG[150:400]
    for _ in range(2):
        scores = asyncio.run(engine.score(prefix, middles, target))
        check(scores, network, plain_logprobs, [prefix + m for m in middles], [target] * 4)
        each = asyncio.run(engine.score_each(prefix + "x", [target, "a", LONG]))
        check(each, network, plain_logprobs, [prefix + "x"] * 3, [target, "a", LONG])
    assert (engine.usage.reused_tokens > 0) is (cache_gb > 0)


#: Other frequencies from the 17th token on, as in models with a stretched context.
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 16,
    "short_factor": [1.0, 1.5, 2.0, 2.5], "long_factor": [3.0, 5.0, 7.0, 9.0],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "config", "shares"),
    [
        ("mistral", {"sliding_window": 8}, True),
        ("llama", {"attn_implementation": "eager"}, True),
        ("llama", {"rope_parameters": LONGROPE}, False),
    ],
)
def test_models_of_other_kinds(
    tiny_folder: Any, tiny_network: Any, open_engine: Any, plain_logprobs: Plain, monkeypatch: pytest.MonkeyPatch,
    kind: str, config: dict[str, Any], shares: bool,
) -> None:  # fmt: skip
    if "attn_implementation" in config:  # not saved with a model; what transformers falls back to without sdpa
        monkeypatch.setattr("transformers.LlamaForCausalLM._supports_sdpa", False)
    engine, network = open_engine(tiny_folder(kind, **config)), tiny_network(kind, **config)
    middles = ["", "some other words here"]
    for prefix, target in [(LONG[:20], " sea."), (LONG[:200], " It is late."), (LONG[:300], " It is late.")]:
        scores = asyncio.run(engine.score(prefix, middles, target))
        check(scores, network, plain_logprobs, [prefix + m for m in middles], [target] * 2)
    assert (engine.usage.reused_tokens > 0) is shares


def test_a_prefix_of_one_token(llama_folder: Path, tiny_network: Any, open_engine: Any, plain_logprobs: Plain) -> None:
    engine, network = open_engine(llama_folder), tiny_network()
    assert engine.count_tokens("A") == 1
    scores = asyncio.run(engine.score("A", [""], " letter from the sea"))
    check(scores, network, plain_logprobs, ["A"], [" letter from the sea"])


def test_what_cannot_be_scored(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder)
    assert asyncio.run(engine.score("The sea", [], "x")) == []
    with pytest.raises(EngineError, match="nothing stands before the target"):
        asyncio.run(engine.score("", [""], "The sea"))
    with pytest.raises(EngineError, match="the target has no tokens"):
        asyncio.run(engine.score("The sea", [""], ""))


def test_context_is_checked_before_anything_is_computed(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder, context_tokens=20)
    assert engine.info.context_tokens == 20
    long = "sea " * 30
    with pytest.raises(ContextOverflowError, match=r"\d+ tokens do not fit into 20 of "):
        asyncio.run(engine.score("The", ["", long], " sea"))
    with pytest.raises(ContextOverflowError, match="22 tokens do not fit into 20"):
        asyncio.run(sample(engine, "the sea", max_tokens=20))
    assert engine.usage.scored_tokens == engine.usage.prompt_tokens == engine.usage.sampled_tokens == 0
    [completion] = asyncio.run(sample(engine, "the sea", max_tokens=18))
    assert completion.tokens == 18
    assert len(asyncio.run(engine.score("The", [""], " sea" * 19))[0].logprobs) == 19


async def sample(engine: Any, prompt: str, max_tokens: int) -> Any:
    return await engine.sample(
        prompt, n=1, max_tokens=max_tokens, temperature=1.0, top_p=1.0, top_k=0, frequency_penalty=0.0, stop=(), seed=0
    )


def test_more_context_than_the_model_has_is_not_to_be_had(llama_folder: Path, open_engine: Any) -> None:
    assert open_engine(llama_folder, context_tokens=10**6).info.context_tokens == 2048


def test_noise_of_bfloat16(llama_folder: Path, tiny_network: Any, plain_logprobs: Plain) -> None:
    from deepwriting.engines.transformers.engine import TransformersEngine

    engine = TransformersEngine(str(llama_folder), device="cpu", dtype="bfloat16")
    try:
        assert engine.info.dtype == "bfloat16"
        assert engine.info.noise_nats == SCORE_NOISE_NATS["bfloat16"]
        [score] = asyncio.run(engine.score(LONG, [""], LONG))
    finally:
        engine.close()
    expected, _ = plain_logprobs(tiny_network(), LONG, LONG)
    assert abs(score.logprobs.mean() - np.mean(expected)) < 0.1  # the same text, in another precision
