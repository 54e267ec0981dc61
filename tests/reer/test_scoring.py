from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest

from deepwriting.errors import ContextOverflowError
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.scoring import THINK_CLOSE, THINK_OPEN, SolutionScorer

PROMPTS = load_prompts()


def scorer(engine: Any, query: str, answer: str, **changes: Any) -> SolutionScorer:
    values = {"clip_logprob": -2.0, "score_first_segment": False, **changes}
    return SolutionScorer(engine, PROMPTS["en"], query, answer, **values)


def test_layout_and_values(counting_engine: Any, pair: tuple[str, str]) -> None:
    """The text that is scored, and both numbers, computed again from the engine's log-probabilities."""
    engine, (query, answer) = counting_engine(), pair
    score = scorer(engine, query, answer)
    head, target = answer.split("\n\n", 1)
    [found] = asyncio.run(score(["I think of the letter."]))
    user = PROMPTS["en"]["inference"].user.replace("{{query}}", query)
    text = f"[user]\n{user}\n[assistant]\n<think>\nI think of the letter.\n</think>\n<answer>\n{head}\n\n"
    [expected] = asyncio.run(engine.score(text, [""], target))
    logs = expected.logprobs.astype(float)
    assert found.value == pytest.approx(-np.maximum(logs, -2.0).mean(), abs=1e-12)
    assert found.perplexity == pytest.approx(math.exp(-logs.mean()), rel=1e-12)
    assert found.tokens == len(logs) == engine.count_tokens(target)
    assert found.perplexity > math.exp(found.value)  # some log-probabilities are below the floor
    assert not score.first_segment_scored
    assert THINK_OPEN + "z" + THINK_CLOSE == "<think>\nz\n</think>\n<answer>\n"


def test_scoring_everything_counts_more_tokens(counting_engine: Any, pair: tuple[str, str]) -> None:
    engine, (query, answer) = counting_engine(), pair
    whole = scorer(engine, query, answer, score_first_segment=True)
    assert whole.first_segment_scored
    assert asyncio.run(whole([""]))[0].tokens == engine.count_tokens(answer)


def test_what_is_settled_changes_nothing(counting_engine: Any, pair: tuple[str, str]) -> None:
    engine, (query, answer) = counting_engine(), pair
    score = scorer(engine, query, answer, clip_logprob=-20.0)
    thinkings = ["The sea first.\n\nThen the keeper.", "The sea first.\n\nThen the lamp."]
    assert asyncio.run(score(thinkings)) == asyncio.run(score.candidates(thinkings, "The sea first.\n\n"))


def test_a_candidate_that_does_not_fit_takes_no_other_with_it(counting_engine: Any, pair: tuple[str, str]) -> None:
    free = scorer(counting_engine(), *pair)
    [expected] = asyncio.run(free(["The lamp."]))
    engine = counting_engine(context_tokens=free.least_tokens + 5)
    score = scorer(engine, *pair)
    found = asyncio.run(score.candidates(["The lamp.", "The lamp. " * 5], ""))
    assert found == [expected, "context_overflow"]
    with pytest.raises(ContextOverflowError):
        asyncio.run(score(["The lamp.", "The lamp. " * 5]))


def test_the_shortest_text(counting_engine: Any, pair: tuple[str, str]) -> None:
    free = scorer(counting_engine(), *pair)
    assert asyncio.run(scorer(counting_engine(context_tokens=free.least_tokens), *pair)([""]))
    with pytest.raises(ContextOverflowError):
        asyncio.run(scorer(counting_engine(context_tokens=free.least_tokens - 1), *pair)([""]))


def test_an_abandoned_candidate_has_no_score(counting_engine: Any, pair: tuple[str, str]) -> None:
    score = scorer(counting_engine(), *pair)
    seen: list[int] = []

    def abandon(logprobs: np.ndarray) -> bool:
        seen.append(len(logprobs))
        return len(logprobs) >= 20

    assert asyncio.run(score.candidates(["A lamp."], "", abandon)) == ["abandoned"]
    assert seen == list(range(1, 21))
    assert asyncio.run(score.candidates(["A lamp."], "", lambda _: False)) == asyncio.run(score(["A lamp."]))


def test_thinking_that_names_what_comes_is_rewarded(counting_engine: Any, pair: tuple[str, str]) -> None:
    score = scorer(counting_engine(), *pair, clip_logprob=-20.0)
    near, far = asyncio.run(score(["A bottle on the rocks, a lamp, a ship.", "Numbers and taxes and pears."]))
    assert near.value < far.value
