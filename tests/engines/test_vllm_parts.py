"""Parts of the vLLM engine that need no vLLM: the missing package, turns, sizes, reading scores."""

from __future__ import annotations

import importlib.util
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.engines.alignment import Aligned
from deepwriting.engines.vllm.core import BRIEF_CHARS, Turns, brief
from deepwriting.engines.vllm.scoring import PromptLogprobs, TargetLogprobs
from deepwriting.engines.vllm.start import LOGIT_BYTES, LOGITS_BYTES, STEP_TOKENS, step_tokens
from deepwriting.errors import EngineError

#: Seven tokens, the last three of which are the target.
ALIGNED = Aligned(np.array([11, 12, 13, 14, 15, 16, 17]), 4)
LOGPROBS = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]  # of the second token to the last: nothing predicts the first


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_vllm_that_is_not_installed() -> None:
    from deepwriting.engines.vllm.engine import VllmEngine

    with pytest.raises(EngineError, match=r"vLLM is not installed; pip install 'deepwriting\[vllm\]' installs it"):
        VllmEngine("smollm2-135m")


@given(st.integers(1, 1_000_000))
def test_logits_of_a_step_are_bounded(vocabulary: int) -> None:
    tokens = step_tokens(vocabulary)
    assert STEP_TOKENS[0] <= tokens <= STEP_TOKENS[1]
    assert tokens == STEP_TOKENS[0] or tokens * vocabulary * LOGIT_BYTES <= LOGITS_BYTES


def test_turns_are_taken_one_at_a_time_in_order() -> None:
    turns, order, inside = Turns(), [], []

    def take(name: int) -> None:
        with turns.turn():
            inside.append(name)
            assert inside == [name]
            order.append(name)
            inside.remove(name)

    threads = []
    with turns.turn():
        for name in range(8):
            threads.append(threading.Thread(target=take, args=(name,)))
            threads[-1].start()
            while turns._last < name + 2:  # it stands in the queue before the next one comes
                pass
        assert order == []
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_a_turn_ends_with_an_error() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn():
        _ = 1 // 0
    with turns.turn():
        pass


def test_long_reasons_become_one_line() -> None:
    assert brief(ValueError("two\n  lines")) == "ValueError: two lines"
    assert len(brief(ValueError("x" * 10_000))) < BRIEF_CHARS + 20


def flat(tokens: list[int]) -> Any:
    """vLLM's flat layout: nothing for the first token, then one entry a token."""
    return FlatLogprobs([0, *range(len(tokens))], tokens, LOGPROBS)


class FlatLogprobs:
    def __init__(self, start_indices: list[int], token_ids: list[int], logprobs: list[float]):
        self.start_indices, self.token_ids, self.logprobs = start_indices, token_ids, logprobs

    def __len__(self) -> int:
        return len(self.start_indices)


def dictionaries(tokens: list[int]) -> list[Any]:
    """The layout without ``flat_logprobs``: one dictionary a token, the token itself first."""
    entries = zip(tokens, LOGPROBS, strict=True)
    return [
        None,
        *({token: SimpleNamespace(logprob=value), 99: SimpleNamespace(logprob=0.0)} for token, value in entries),
    ]


@pytest.fixture
def plain() -> PromptLogprobs:
    return PromptLogprobs.__new__(PromptLogprobs)  # its construction asks the installed vLLM what it has


@pytest.mark.parametrize("layout", [flat, dictionaries])
def test_reading_prompt_logprobs(plain: PromptLogprobs, layout: Any) -> None:
    found = plain.read(SimpleNamespace(prompt_logprobs=layout([12, 13, 14, 15, 16, 17])), ALIGNED)
    assert found.tolist() == [-4.0, -5.0, -6.0]
    assert found.dtype == np.float32


@pytest.mark.parametrize("layout", [flat, dictionaries])
def test_prompt_logprobs_of_another_text(plain: PromptLogprobs, layout: Any) -> None:
    with pytest.raises(EngineError, match="log-probabilities of other tokens than those of the target"):
        plain.read(SimpleNamespace(prompt_logprobs=layout([12, 13, 14, 15, 77, 17])), ALIGNED)
    for missing, count in ((None, 0), (dictionaries([12, 13, 14, 15, 16, 17])[:5], 5)):
        with pytest.raises(EngineError, match=f"log-probabilities of {count} tokens; the text has 7"):
            plain.read(SimpleNamespace(prompt_logprobs=missing), ALIGNED)


def test_reading_target_logprobs() -> None:
    route, matrix = TargetLogprobs(), np.array([[-4.0], [-5.0], [-6.0]], dtype=np.float32)
    assert route.read(SimpleNamespace(prompt_token_id_logprobs=matrix), ALIGNED).tolist() == [-4.0, -5.0, -6.0]
    for wrong in (matrix[1:], None):
        with pytest.raises(EngineError, match=r"\(3, 1\) were asked for"):
            route.read(SimpleNamespace(prompt_token_id_logprobs=wrong), ALIGNED)
    matrix[1] = np.nan
    with pytest.raises(EngineError, match="1 log-probabilities that are not numbers"):
        route.read(SimpleNamespace(prompt_token_id_logprobs=matrix), ALIGNED)
