"""What every engine has to do: subclass ``EngineContract`` in a test module of the engine, and say how to open one.

A subclass overrides the fixture ``open_engine``, and ``folder`` (with ``ending``) if it wants another model than a
random Llama of two layers. ``reference`` and ``engine``, opened once a class, come with the class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from deepwriting.engines.base import Completion, Engine, TargetScore
from deepwriting.errors import ContextOverflowError, EngineError
from tests.engines.reference import ENDING, Reference, save_random_llama

OPTIONS: dict[str, Any] = {
    "n": 1, "max_tokens": 10, "temperature": 0.9, "top_p": 0.95, "top_k": 50, "frequency_penalty": 0.0, "stop": (),
    "seed": 1,
}  # fmt: skip
#: No answer takes this long (seconds): a test that waits longer has found an engine that hangs.
PATIENCE_S = 120.0

PREFIX = "A friend asks for a short note about the sea.\n<think>\n"
TEXTS = {
    "english": (["I want salt and wind.", "Numbers."], "\n</think>\nThe sea is never still, and it keeps its letters."),
    "chinese": (["先写灯塔，", "先写天气，再写人。"], "守夜人在礁石上捡到一封信，信上有海水的味道。"),
    "emoji": (["Hmm 😀", "嗯🙂 "], "👩‍👩‍👧‍👦 wave 🌊 and 𝒳 go home 🇫🇷."),
    "control tokens": (["Hm.", "So:"], "He typed <|im_end|> and <|im_start|>user, then <|endoftext|>."),
    "one token": (["The answer is", "It is"], " sea"),
    "joined over the boundary": (["I end with a line\n", "and so\n\n"], "\n\nThe text begins late."),
    "middle of a word": (["The light", "A"], "house keeper."),
    "nothing between": (["", ""], "The sea."),
    "one middle": (["only one"], " and its target, with a few more words than the others have."),
    "several middles": (["So. ", "Then the wind. ", "", "So. ", "1", "A letter. "], "The sea is wide."),
}
#: Requests of several kinds; each has to get what it gets alone.
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("The sea is", {"n": 2, "max_tokens": 6}),
    ("A letter lies on the rocks, and nobody", {"max_tokens": 9, "seed": 2}),
    ("In the morning the keeper of the light", {"n": 3, "max_tokens": 4, "seed": 3, "stop": (" the", ",")}),
    ("Why", {"max_tokens": 7, "seed": 4, "temperature": 0.3, "frequency_penalty": 1.0}),
    ("The rocks", {"max_tokens": 8, "temperature": 0.0}),
    ("Nobody", {"max_tokens": 5, "top_k": 0, "top_p": 1.0}),
    ("The sea and", {"max_tokens": 5, "top_k": 3}),
    ("The sea is", {"n": 2, "max_tokens": 6, "seed": 9}),
    ("One", {"max_tokens": 12, "temperature": 1.2}),
    ("A", {"max_tokens": 1}),
]


async def sample(engine: Engine, prompt: str, **options: Any) -> list[Completion]:
    return await engine.sample(prompt, **OPTIONS | options)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in an event loop of its own, as each stage of a recipe does."""

    async def bounded() -> Any:
        return await asyncio.wait_for(work, PATIENCE_S)

    return asyncio.run(bounded())


def alone(engine: Engine, prompt: str, **options: Any) -> list[Completion]:
    found: list[Completion] = run(sample(engine, prompt, **options))
    return found


class EngineContract:
    """The tests. A subclass's attributes say which engine it is and how exact.

    Attributes:
        name: what ``EngineInfo.engine`` says.
        dtype: what ``EngineInfo.dtype`` says.
        mean_tolerance: how far a mean log-probability may be from a plain forward pass in float32 (nats).
        token_tolerance: the same of a single token (nats).
        exact: whether equal requests give equal texts whatever else the engine computes. In bfloat16 a batch of another
            size rounds differently, and a token at the edge can come out otherwise.
        long_tokens: length of a continuation that is still being sampled when its caller leaves (tokens).
    """

    name: ClassVar[str]
    dtype: ClassVar[str] = "float32"
    mean_tolerance: ClassVar[float] = 1e-4
    token_tolerance: ClassVar[float] = 1e-3
    exact: ClassVar[bool] = True
    long_tokens: ClassVar[int] = 1000

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return save_random_llama(tmp_path_factory.mktemp("contract"))

    @pytest.fixture(scope="class")
    @classmethod
    def ending(cls) -> str:
        """A prompt after which the model ends by itself within 30 tokens at temperature 0."""
        return ENDING

    @pytest.fixture(scope="class")
    @classmethod
    def reference(cls, folder: Path) -> Reference:
        return Reference(folder)

    @pytest.fixture(scope="class")
    @classmethod
    def open_engine(cls) -> Callable[..., Engine]:
        raise NotImplementedError("a subclass says how its engine is opened")

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, open_engine: Callable[..., Engine]) -> Engine:
        return open_engine()

    def check(self, scores: list[TargetScore], reference: Reference, texts: list[tuple[str, str]]) -> None:
        """Compare scores with plain forward passes."""
        for score, (head, target) in zip(scores, texts, strict=True):
            expected, total = reference.logprobs(head, target)
            assert (score.total_tokens, score.complete) == (total, True)
            assert score.logprobs.dtype == np.float32
            assert len(score.logprobs) == len(expected)
            assert abs(score.logprobs.mean() - np.mean(expected)) < self.mean_tolerance
            assert np.abs(score.logprobs - expected).max() < self.token_tolerance

    # What it is

    def test_what_it_says_of_itself(self, engine: Engine, reference: Reference) -> None:
        info = engine.info
        assert (info.engine, info.dtype) == (self.name, self.dtype)
        assert info.model
        assert info.revision
        assert info.device
        longest = reference.network.config.max_position_embeddings
        assert longest - 1 <= info.context_tokens <= longest  # a server or vLLM may need one token for itself

    def test_the_tokenizer(self, engine: Engine, reference: Reference) -> None:
        for text in ["", "The sea", "守夜人 2026", "<|im_end|> 🌊"]:
            assert engine.count_tokens(text) == len(reference.tokenizer(text, add_special_tokens=False)["input_ids"])
        assert set(engine.control_tokens()) == set(reference.tokenizer.get_added_vocab())
        turns = [{"role": "user", "content": "Hello {there}"}]
        asked = reference.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert engine.render("Hello {there}", "Yes, <think>") == asked + "Yes, <think>"

    # Scores

    @pytest.mark.parametrize("case", TEXTS)
    def test_scores_like_a_plain_forward(self, engine: Engine, reference: Reference, case: str) -> None:
        middles, target = TEXTS[case]
        scores = run(engine.score(PREFIX, middles, target))
        self.check(scores, reference, [(PREFIX + middle, target) for middle in middles])

    def test_a_long_text(self, engine: Engine, reference: Reference) -> None:
        """Longer than the blocks, chunks and pages that engines compute in, up to the last token of the context."""
        head = "The keeper writes. " + "word and sea and " * 60
        target = " It is late, and the light turns over the rocks 7 times."
        self.check(run(engine.score(head[:40], [head[40:]], target)), reference, [(head, target)])
        room = engine.info.context_tokens
        if room <= 1024:  # a plain forward over more takes long
            full = "The" + " sea" * (room - 1)
            assert engine.count_tokens(full) == room
            self.check(run(engine.score("The", [""], full[3:])), reference, [("The", full[3:])])

    def test_several_targets(self, engine: Engine, reference: Reference) -> None:
        targets = [" Poetry", " News & Journalism", " 广告", " a"]
        scores = run(engine.score_each("The category is:", targets))
        self.check(scores, reference, [("The category is:", target) for target in targets])

    def test_the_calls_of_a_search(self, engine: Engine, reference: Reference) -> None:
        """A prefix that grows from step to step, with other requests between."""
        prompt = engine.render("Write a note about the sea and the keeper of its light.") + "<think>\n"
        target = "</think>\nThe sea is wide."
        for settled in ["", "First the sea. ", "First the sea. Then the keeper. "]:
            middles = ["I name the rocks. ", "I name the ships and the storm. "]
            scores = run(engine.score(prompt + settled, middles, target))
            self.check(scores, reference, [(prompt + settled + middle, target) for middle in middles])
            alone(engine, prompt + settled, n=2)

    def test_abandoning(self, engine: Engine) -> None:
        """An engine may end early where it is told so; what it has computed by then is the same."""
        middles, target = ["I want salt.", "Numbers."], " The sea is never still." * 20
        full = run(engine.score(PREFIX, middles, target))
        kept = run(engine.score(PREFIX, middles, target, abandon=lambda _: False))
        left = run(engine.score(PREFIX, middles, target, abandon=lambda found: len(found) > 0))
        for one, two, three in zip(full, kept, left, strict=True):
            assert two.complete
            assert three.total_tokens == one.total_tokens
            assert two.logprobs == pytest.approx(one.logprobs, abs=self.token_tolerance)
            assert 0 < len(three.logprobs) <= len(one.logprobs)
            assert three.complete is (len(three.logprobs) == len(one.logprobs))
            assert three.logprobs == pytest.approx(one.logprobs[: len(three.logprobs)], abs=self.token_tolerance)

    def test_nothing_to_score(self, engine: Engine) -> None:
        assert run(engine.score("The sea", [], "x")) == []
        assert run(engine.score_each("The sea", [])) == []
        with pytest.raises(EngineError, match="nothing stands before the target"):
            run(engine.score("", [""], "The sea"))
        with pytest.raises(EngineError, match="the target has no tokens"):
            run(engine.score("The sea", [" is", ""], ""))

    # Samples

    @pytest.mark.parametrize("penalty", [0.0, 1.0])
    def test_temperature_zero_is_greedy(self, engine: Engine, reference: Reference, penalty: float) -> None:
        prompts = ["The sea is", "The keeper climbs the stairs before dawn and reads the letter again"]
        for prompt in prompts if self.exact else prompts[:1]:
            [found] = alone(engine, prompt, temperature=0.0, max_tokens=16, frequency_penalty=penalty)
            tokens = 16 if self.exact else 3  # a token at the edge comes out otherwise in another precision
            expected = reference.greedy(prompt, tokens, penalty)
            assert found.text == expected if self.exact else found.text.startswith(expected)
            assert (found.tokens, found.finish_reason) == (16, "length")

    def test_the_model_ends(self, engine: Engine, reference: Reference, ending: str) -> None:
        [found] = alone(engine, ending, temperature=0.0, max_tokens=30)
        assert found.finish_reason == "eos"
        assert 1 <= found.tokens < 30
        if self.exact:
            assert found.text == reference.greedy(ending, 30)
        assert reference.tokenizer.eos_token not in found.text

    def test_length_limit(self, engine: Engine) -> None:
        for limit in (1, 5):
            [found] = alone(engine, "The sea is", max_tokens=limit)
            assert (found.tokens, found.finish_reason) == (limit, "length")

    def test_stop_strings(self, engine: Engine) -> None:
        [free] = alone(engine, "The sea is", temperature=0.0, max_tokens=12)
        for start in range(0, len(free.text), 9):
            piece = free.text[start : start + 7]
            [found] = alone(engine, "The sea is", temperature=0.0, max_tokens=12, stop=(piece, "never, never"))
            assert (found.text, found.finish_reason) == (free.text[: free.text.find(piece)], "stop")
            assert found.tokens <= free.tokens
        assert alone(engine, "The sea is", temperature=0.0, max_tokens=12, stop=("never, never",)) == [free]

    def test_each_continuation_depends_on_seed_and_index(self, engine: Engine) -> None:
        five = alone(engine, "The sea", n=5, seed=3, temperature=1.0, top_k=0)
        assert len(five) == 5
        assert len({completion.text for completion in five}) == 5
        other = alone(engine, "The sea", n=5, seed=4, temperature=1.0, top_k=0)
        assert not {completion.text for completion in five} & {completion.text for completion in other}
        if self.exact:
            assert alone(engine, "The sea", n=2, seed=3, temperature=1.0, top_k=0) == five[:2]
            assert alone(engine, "The sea", n=5, seed=3, temperature=1.0, top_k=0) == five

    def test_together_as_alone(self, engine: Engine, reference: Reference) -> None:
        """Twenty calls at once, samples and scores: each gets what it gets alone."""
        cases = list(TEXTS.values())

        async def mixed() -> list[Any]:
            samples = [sample(engine, prompt, **options) for prompt, options in REQUESTS]
            scores = [engine.score(PREFIX, middles, target) for middles, target in cases]
            return list(await asyncio.gather(*(call for pair in zip(samples, scores, strict=True) for call in pair)))

        found = run(mixed())
        assert len(found) == 20
        for (middles, target), scores in zip(cases, found[1::2], strict=True):
            self.check(scores, reference, [(PREFIX + middle, target) for middle in middles])
        for (prompt, options), completions in zip(REQUESTS, found[0::2], strict=True):
            assert len(completions) == options.get("n", 1)
            if self.exact:
                assert completions == alone(engine, prompt, **options)

    # What goes wrong

    @pytest.mark.parametrize(("options", "message"), [({"n": 0}, "n is 0"), ({"max_tokens": 0}, "max_tokens is 0")])
    def test_requests_for_nothing(self, engine: Engine, options: dict[str, int], message: str) -> None:
        with pytest.raises(EngineError, match=message):
            alone(engine, "The sea", **options)
        with pytest.raises(EngineError, match="the prompt has no tokens"):
            alone(engine, "")

    def test_half_a_surrogate_pair(self, engine: Engine) -> None:
        for call in (sample(engine, "The \ud83d sea"), engine.score("The sea", [" \ud83d"], " is")):
            with pytest.raises(EngineError):
                run(call)

    def test_a_request_that_fails_takes_no_other_with_it(self, engine: Engine) -> None:
        async def mixed() -> list[Any]:
            calls = (
                sample(engine, "The sea", n=2, max_tokens=20),
                sample(engine, "The sea", temperature=float("nan")),
                engine.score("The sea", [" is"], " wide"),
            )
            return list(await asyncio.gather(*calls, return_exceptions=True))

        good, bad, scores = run(mixed())
        assert isinstance(bad, EngineError)
        assert [completion.tokens for completion in good] == [20, 20]
        assert len(scores) == 1

    def test_context(self, open_engine: Callable[..., Engine]) -> None:
        engine = open_engine(context_tokens=20)
        try:
            assert engine.info.context_tokens == 20
            with pytest.raises(ContextOverflowError, match="32 tokens do not fit into 20 of "):
                run(engine.score("The", ["", " sea" * 30], " sea"))
            with pytest.raises(ContextOverflowError, match="22 tokens do not fit into 20 of "):
                alone(engine, "the sea", max_tokens=20)
            usage = engine.usage
            assert usage.scored_tokens == usage.prompt_tokens == usage.sampled_tokens == 0
            [completion] = alone(engine, "the sea", max_tokens=18)
            assert completion.tokens == 18
            assert len(run(engine.score("The", [""], " sea" * 19))[0].logprobs) == 19
        finally:
            engine.close()

    def test_a_caller_that_leaves_does_not_disturb(self, engine: Engine) -> None:
        expected = alone(engine, "A letter", n=2)

        async def impatient() -> list[Completion]:
            staying = asyncio.ensure_future(sample(engine, "A letter", n=2))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sample(engine, "The sea", n=2, max_tokens=self.long_tokens), 0.05)
            return await staying

        async def gone() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sample(engine, "The sea", max_tokens=self.long_tokens), 0.01)

        stayed = run(impatient())
        run(gone())  # its event loop is closed while the engine may still sample for it
        again = alone(engine, "A letter", n=2)
        assert [len(stayed), len(again)] == [2, 2]
        if self.exact:
            assert stayed == again == expected

    def test_closed_while_somebody_waits(self, open_engine: Callable[..., Engine]) -> None:
        engine = open_engine()

        async def closed() -> list[Any]:
            calls = [sample(engine, "The sea", max_tokens=self.long_tokens) for _ in range(2)]
            waiting = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0.05)
            engine.close()
            return list(await asyncio.gather(*waiting, return_exceptions=True))

        for result in run(closed()):
            assert isinstance(result, EngineError)
            assert "closed" in str(result)
        with pytest.raises(EngineError, match="closed"):
            alone(engine, "The sea")
        with pytest.raises(EngineError, match="closed"):
            run(engine.score("The sea", [""], " is"))
        engine.close()

    # Counts

    def test_usage(self, open_engine: Callable[..., Engine]) -> None:
        engine = open_engine()  # its own: another may still be sampling for a caller that has left
        prompt = "The keeper of the light reads every letter that the sea brings to his rocks. "
        steps = [engine.usage]
        [one] = alone(engine, prompt)
        steps.append(engine.usage)
        two = alone(engine, prompt, n=2, stop=(" ",))
        steps.append(engine.usage)
        scores = run(engine.score(prompt, ["So. ", "Then. "], "It is late."))
        steps.append(engine.usage)
        sampled = [later.sampled_tokens - earlier.sampled_tokens for earlier, later in pairwise(steps)]
        assert sampled == [one.tokens, sum(completion.tokens for completion in two), 0]
        prompts = [later.prompt_tokens - earlier.prompt_tokens for earlier, later in pairwise(steps)]
        tokens = engine.count_tokens(prompt)
        assert prompts[0] == tokens
        assert tokens <= prompts[1] <= 2 * tokens
        assert prompts[2] == 0
        scored = [later.scored_tokens - earlier.scored_tokens for earlier, later in pairwise(steps)]
        assert scored == [0, 0, sum(score.total_tokens for score in scores)]
        reused = [later.reused_tokens - earlier.reused_tokens for earlier, later in pairwise(steps)]
        assert reused[0] == 0
        assert all(0 <= count <= 2 * tokens for count in reused[1:])
        engine.close()
