"""Sampling: alone and together, cut at stop strings, and what goes wrong."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from deepwriting.engines.base import Completion
from deepwriting.engines.transformers.decoder import Decoder
from deepwriting.engines.transformers.engine import TransformersEngine
from deepwriting.engines.transformers.forward import CausalModel
from deepwriting.engines.transformers.prefixes import PrefixStore
from deepwriting.engines.transformers.sequences import SampleRequest
from deepwriting.engines.transformers.worker import _CPU_WORKERS, Worker
from deepwriting.errors import EngineError, ModelNotFoundError

pytestmark = pytest.mark.model

OPTIONS = {
    "n": 1, "max_tokens": 10, "temperature": 0.9, "top_p": 0.95, "top_k": 50, "frequency_penalty": 0.0, "stop": (),
    "seed": 1,
}  # fmt: skip


#: Positions whose encoding depends on the length of the text: no reuse, and transformers' own generation.
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 16,
    "short_factor": [1.0, 1.5, 2.0, 2.5], "long_factor": [3.0, 5.0, 7.0, 9.0],
}  # fmt: skip


async def sample(engine: Any, prompt: str, **options: Any) -> list[Completion]:
    found: list[Completion] = await engine.sample(prompt, **OPTIONS | options)
    return found


def alone(engine: Any, prompt: str, **options: Any) -> list[Completion]:
    return asyncio.run(sample(engine, prompt, **options))


# One sequence


def greedy_ids(network: Any, tokenizer: Any, prompt: str, tokens: int) -> str:
    import torch

    ids = torch.tensor([tokenizer(prompt, add_special_tokens=False)["input_ids"]])
    out = network.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens)
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def test_temperature_zero_is_greedy(smollm: Any, plain_smollm: Any, tokenizer: Any) -> None:
    prompt = smollm.render("Name three things that a lighthouse keeper does.", "The keeper")
    [found] = alone(smollm, prompt, temperature=0.0, max_tokens=10)
    assert found.text == greedy_ids(plain_smollm, tokenizer, prompt, 10)
    assert (found.tokens, found.finish_reason) == (10, "length")


@pytest.mark.parametrize(("kind", "config"), [("llama", {}), ("mistral", {"sliding_window": 8})])
def test_tiny_models_are_greedy_too(
    tiny_folder: Any, tiny_network: Any, open_engine: Any, tokenizer: Any, kind: str, config: dict[str, Any]
) -> None:
    engine, network = open_engine(tiny_folder(kind, **config)), tiny_network(kind, **config)
    for prompt in ["The sea", "The keeper climbs the stairs before dawn and reads the letter again", "A"]:
        [found] = alone(engine, prompt, temperature=0.0, max_tokens=24)
        assert found.text == greedy_ids(network, tokenizer, prompt, 24)


def test_the_model_ends(smollm: Any) -> None:
    [found] = alone(smollm, smollm.render("Say yes.", "Yes."), temperature=0.0, max_tokens=30)
    assert found.finish_reason == "eos"
    assert found.tokens < 30
    assert "<|im_end|>" not in found.text


def test_a_penalty_lowers_repetition(smollm: Any) -> None:
    prompt = "one, two, one, two, one, two, one, two,"
    texts = [alone(smollm, prompt, temperature=0.0, max_tokens=18, frequency_penalty=p)[0].text for p in (0.0, 1.5)]
    most = [Counter(text.split()).most_common(1)[0][1] for text in texts]
    assert most[1] < most[0] / 2


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_a_penalty_counts_every_use(
    tiny_folder: Any, tiny_network: Any, open_engine: Any, tokenizer: Any, kind: str
) -> None:
    """Greedy decoding by hand, with the penalty of the OpenAI API."""
    import torch

    config = {"sliding_window": 8} if kind == "mistral" else {}
    engine, network = open_engine(tiny_folder(kind, **config)), tiny_network(kind, **config)
    ids = tokenizer("The sea and the sea", add_special_tokens=False)["input_ids"]
    new: list[int] = []
    for _ in range(20):
        with torch.no_grad():
            logits = network(torch.tensor([ids + new]), use_cache=False).logits[0, -1]
        for token, count in Counter(new).items():
            logits[token] -= 2.0 * count
        new.append(int(logits.argmax()))
    [found] = alone(engine, "The sea and the sea", temperature=0.0, max_tokens=20, frequency_penalty=2.0)
    assert found.text == tokenizer.decode(new, skip_special_tokens=True)


def test_stop_strings_cut(smollm: Any) -> None:
    prompt = "The numbers are one, two, three, four,"
    [free] = alone(smollm, prompt, temperature=0.0, max_tokens=6)
    assert free.text.startswith(" five, six,")
    for stop in [("ix", "never"), ("x", " six")]:
        [found] = alone(smollm, prompt, temperature=0.0, max_tokens=6, stop=stop)
        cut = min(at for s in stop if (at := free.text.find(s)) >= 0)
        assert (found.text, found.tokens, found.finish_reason) == (free.text[:cut], 3, "stop")


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_any_piece_of_a_text_can_stop_it(tiny_folder: Any, open_engine: Any, kind: str) -> None:
    engine = open_engine(tiny_folder(kind, **({"sliding_window": 8} if kind == "mistral" else {})))
    [free] = alone(engine, "The sea", max_tokens=12)
    for start in range(0, len(free.text), 5):
        piece = free.text[start : start + 7]
        [found] = alone(engine, "The sea", max_tokens=12, stop=(piece, "never, never"))
        assert (found.text, found.finish_reason) == (free.text[: free.text.find(piece)], "stop")
        assert found.tokens <= free.tokens
    assert alone(engine, "The sea", max_tokens=12, stop=("never, never",)) == [free]


def test_a_stop_string_of_many_bytes(llama_folder: Path, open_engine: Any) -> None:
    """Ten Chinese characters are up to thirty tokens, more than the stop string has characters."""
    engine = open_engine(llama_folder)
    stop = "礁罐鹭鸶褴褛缱绻饕餮"
    ids = engine.tokenizer("嗯" + stop + "了", add_special_tokens=False)["input_ids"]
    assert len(engine.tokenizer(stop, add_special_tokens=False)["input_ids"]) > len(stop) + 8
    decoder = Decoder(engine._causal, engine.tokenizer, 1)
    seen = [decoder._ending.stopped((stop,), list(ids[:end])) for end in range(1, len(ids) + 1)]
    first = next(end for end in range(1, len(ids) + 1) if stop in engine.tokenizer.decode(ids[:end]))
    assert seen.index(True) + 1 == first


# Many sequences

REQUESTS = [
    ("The sea is", {"n": 2, "max_tokens": 6, "seed": 1}),
    ("A letter lies on the rocks, and nobody", {"n": 1, "max_tokens": 9, "seed": 2}),
    ("In the morning the keeper of the light", {"n": 2, "max_tokens": 4, "seed": 3, "stop": (" the", ",")}),
    ("Why", {"n": 1, "max_tokens": 7, "seed": 4, "temperature": 0.3, "frequency_penalty": 1.0}),
]


def test_together_as_alone(smollm: Any) -> None:
    """Six sequences in three slots, of several lengths, give what each gives alone."""

    async def together() -> list[list[Completion]]:
        return await asyncio.gather(*(sample(smollm, prompt, **options) for prompt, options in REQUESTS))

    found = asyncio.run(together())
    assert found == [alone(smollm, prompt, **options) for prompt, options in REQUESTS]
    assert found[0][0] != found[0][1]


def test_scores_between_samples_change_nothing(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder, max_batch=2)

    async def mixed() -> tuple[Any, Any, Any]:
        return await asyncio.gather(
            sample(engine, "The sea is", n=2, seed=1, max_tokens=9),
            engine.score("The sea is", [" wide", " deep and"], " and it is old."),
            sample(engine, "Why", n=1, seed=4, max_tokens=6),
        )

    first, scores, last = asyncio.run(mixed())
    assert first == alone(engine, "The sea is", n=2, seed=1, max_tokens=9)
    assert last == alone(engine, "Why", n=1, seed=4, max_tokens=6)
    again = asyncio.run(engine.score("The sea is", [" wide", " deep and"], " and it is old."))
    for one, two in zip(scores, again, strict=True):
        assert one.logprobs == pytest.approx(two.logprobs, abs=1e-4)


@pytest.fixture(scope="session")
def causal(tiny_network: Callable[..., Any]) -> CausalModel:
    return CausalModel(tiny_network(), PrefixStore(10**7))


WORDS = ["The", " sea", " letter", " keeper", " and", " rocks", " light", " of"]
PLANS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt": st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map("".join),
            "n": st.integers(1, 5),
            "max_tokens": st.integers(1, 20),
            "seed": st.integers(0, 3),
            "temperature": st.sampled_from([0.0, 0.7, 1.0]),
            "frequency_penalty": st.sampled_from([0.0, 1.0]),
            "stop": st.sampled_from([(), ("e",), (" a", "st")]),
            "after": st.integers(0, 6),  # decoding steps before it arrives
        }
    ),
    min_size=1,
    max_size=6,
)


def request_of(plan: dict[str, Any], tokenizer: Any, done: Callable[[Any], None]) -> SampleRequest:
    import numpy as np

    ids = np.array(tokenizer(plan["prompt"], add_special_tokens=False)["input_ids"], dtype=np.int64)
    return SampleRequest(
        ids, plan["n"], plan["max_tokens"], plan["temperature"], 0.95, 50, plan["frequency_penalty"], plan["stop"],
        plan["seed"], done=done, failed=done,
    )  # fmt: skip


def run_all(model: CausalModel, tokenizer: Any, slots: int, plans: list[dict[str, Any]]) -> list[Any]:
    """Submit each plan after its number of steps, decode until nothing is left."""
    decoder, results = Decoder(model, tokenizer, slots), {}
    queue = list(enumerate(plans))
    while queue or decoder.busy:
        if queue and (not decoder.busy or queue[0][1]["after"] <= 0):
            number, plan = queue.pop(0)
            decoder.submit(request_of(plan, tokenizer, lambda found, key=number: results.__setitem__(key, found)))
        else:
            decoder.step()
            assert len(decoder._active) <= slots
            if queue:
                queue[0][1]["after"] -= 1
    return [results[number] for number in range(len(plans))]


@given(plans=PLANS, slots=st.integers(1, 4))
# Shrinking a failure would take minutes; a plan of six requests can be read as it is.
@settings(max_examples=15, phases=(Phase.reuse, Phase.generate))
def test_slots_never_mix(causal: CausalModel, tokenizer: Any, plans: list[dict[str, Any]], slots: int) -> None:
    """Whatever joins and leaves at whatever step: each request gets what it gets alone."""
    import torch

    with torch.inference_mode():
        expected = [run_all(causal, tokenizer, 5, [dict(plan)])[0] for plan in plans]
        found = run_all(causal, tokenizer, slots, [dict(plan) for plan in plans])
    assert found == expected
    for plan, completions in zip(plans, found, strict=True):
        assert len(completions) == plan["n"]
        for completion in completions:
            assert completion.tokens <= plan["max_tokens"]
            assert not any(stop in completion.text for stop in plan["stop"])


def test_each_continuation_depends_on_its_index_alone(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder, max_batch=2)  # five continuations in two slots
    five = alone(engine, "The sea", n=5, seed=3)
    assert len({completion.text for completion in five}) == 5
    assert alone(engine, "The sea", n=2, seed=3) == five[:2]
    assert alone(engine, "The sea", n=2, seed=4) != five[:2]
    assert alone(open_engine(llama_folder, max_batch=8), "The sea", n=5, seed=3) == five


def test_a_shared_prefix_is_computed_once(llama_folder: Path, open_engine: Any) -> None:
    engine, other = open_engine(llama_folder), open_engine(llama_folder, prefix_cache_gb=0.0)
    head = "The keeper of the light reads every letter that the sea brings to his rocks. "
    for prompt in (head + "One", head + "Two and three"):
        assert alone(engine, prompt) == alone(other, prompt)
    assert engine.usage.reused_tokens >= engine.count_tokens(head) - 1
    assert other.usage.reused_tokens == 0
    assert engine.usage.sampled_tokens == other.usage.sampled_tokens == 20


def test_a_sliding_window_shares_too(tiny_folder: Any, open_engine: Any) -> None:
    engine = open_engine(tiny_folder("mistral", sliding_window=8), max_batch=2)
    requests = [("The sea and the rocks and the light", 3, 12), ("A letter", 1, 5), ("The keeper", 2, 8)]

    async def together() -> list[list[Completion]]:
        return await asyncio.gather(*(sample(engine, p, n=n, max_tokens=m) for p, n, m in requests))

    found = asyncio.run(together())
    assert found == [alone(engine, p, n=n, max_tokens=m) for p, n, m in requests]
    assert [len(completions) for completions in found] == [3, 1, 2]
    assert len({completion.text for completion in found[0]}) == 3
    assert engine.usage.reused_tokens > 0


# What goes wrong


@pytest.mark.parametrize("config", [{}, {"rope_parameters": LONGROPE}], ids=["shared", "alone"])
def test_a_request_that_fails_takes_no_other_with_it(
    tiny_folder: Any, open_engine: Any, config: dict[str, Any]
) -> None:
    engine = open_engine(tiny_folder("llama", **config), max_batch=4)

    async def mixed() -> list[Any]:
        return await asyncio.gather(
            sample(engine, "The sea", n=2, max_tokens=20),
            sample(engine, "The sea", frequency_penalty=float("nan")),
            sample(engine, "A letter", max_tokens=7),
            engine.score("The sea", [" is"], " wide"),
            return_exceptions=True,
        )

    good, bad, later, scores = asyncio.run(mixed())
    assert isinstance(bad, EngineError)
    assert str(bad) == "the model's logits are not numbers"
    assert good == alone(engine, "The sea", n=2, max_tokens=20)
    assert later == alone(engine, "A letter", max_tokens=7)
    assert len(scores) == 1


def test_a_decoding_step_that_fails_does_not_stop_the_engine(
    llama_folder: Path, open_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(llama_folder, max_batch=2)
    expected = alone(engine, "The sea", n=2)
    cache = engine._decoder._cache

    def full(*_: Any) -> Any:
        raise RuntimeError("the device is lost")

    async def fails() -> list[Any]:
        return await asyncio.gather(*(sample(engine, "The sea", n=2) for _ in range(3)), return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(cache, "aim", full)
        results = asyncio.run(asyncio.wait_for(fails(), 20))
    assert [str(result) for result in results] == ["a request failed: RuntimeError: the device is lost"] * 3
    assert alone(engine, "The sea", n=2) == expected
    with monkeypatch.context() as patch:
        patch.setattr(cache, "load", full)
        results = asyncio.run(asyncio.wait_for(fails(), 20))
    assert [str(result) for result in results] == ["a request failed: RuntimeError: the device is lost"] * 3
    assert alone(engine, "The sea", n=2) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0 and max_tokens is 10; at least 1 of each"),
        ({"max_tokens": 0}, "n is 1 and max_tokens is 0"),
        ({"temperature": float("nan")}, "temperature is nan; 0 or more is allowed"),
        ({"temperature": -1.0}, "temperature is -1.0; 0 or more is allowed"),
    ],
)
def test_requests_for_nothing(llama_folder: Path, open_engine: Any, options: dict[str, int], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        alone(open_engine(llama_folder), "The sea", **options)


def test_an_empty_prompt(llama_folder: Path, open_engine: Any) -> None:
    with pytest.raises(EngineError, match="the prompt has no tokens"):
        alone(open_engine(llama_folder), "")


def test_a_closed_engine_answers_nobody(llama_folder: Path, open_engine: Any) -> None:
    engine, other = open_engine(llama_folder), open_engine(llama_folder)

    async def closed_while_sampling() -> list[Any]:
        waiting = [asyncio.ensure_future(sample(engine, "The sea", max_tokens=1500)) for _ in range(2)]
        await asyncio.sleep(0.05)
        engine.close()
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)

    for result in asyncio.run(closed_while_sampling()):
        assert isinstance(result, EngineError)
        assert "it was closed" in str(result)
    with pytest.raises(EngineError, match="the engine stopped: it was closed"):
        alone(engine, "The sea")
    with pytest.raises(EngineError, match="the engine stopped: it was closed"):
        asyncio.run(engine.score("The sea", [""], " is"))
    assert len(alone(other, "The sea")) == 1  # on the same worker


def test_engines_that_open_and_close_at_once_find_a_worker() -> None:
    """The last engine of a worker leaves while the next one joins: it must not join a thread that ends."""
    worker, one, other = Worker("short"), object(), object()
    assert worker.join(one)
    assert worker.join(other)
    worker.leave(one)
    worker.leave(one)  # a second time does nothing
    assert worker.call(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 // 0)
    worker.leave(other)
    assert not worker.join(one)


def test_a_model_that_cannot_be_loaded_keeps_no_worker(llama_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(llama_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    known = [len(worker._engines) for worker in _CPU_WORKERS]
    with pytest.raises(ModelNotFoundError, match="could not be loaded"):
        TransformersEngine(str(folder))
    assert [len(worker._engines) for worker in _CPU_WORKERS if worker._engines] == [count for count in known if count]


@pytest.mark.parametrize("text", ["half \ud83d of it", "\udc00"])
def test_half_a_character(llama_folder: Path, open_engine: Any, text: str) -> None:
    engine = open_engine(llama_folder)
    for call in (
        lambda: engine.count_tokens(text),
        lambda: alone(engine, text),
        lambda: asyncio.run(engine.score("A", [text], "b")),
    ):
        with pytest.raises(EngineError, match="lone surrogate"):
            call()


def test_a_caller_that_leaves_does_not_disturb(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder, max_batch=2)
    expected = alone(engine, "A letter", n=2)

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sample(engine, "The sea", n=2, max_tokens=60), 0.01)

    asyncio.run(impatient())  # its event loop is closed while the worker still samples for it
    assert alone(engine, "A letter", n=2) == expected


def test_base_models_get_plain_prompts(llama_folder: Path, open_engine: Any) -> None:
    engine = open_engine(llama_folder)
    assert engine.render("Hello", "Yes").endswith("<|im_start|>assistant\nYes")
    assert "<|im_end|>" in engine.control_tokens()
    engine.tokenizer.chat_template = None
    assert engine.render("Hello", "Yes") == "Hello\n\nYes"
