"""What a search needs from a language model: sample text, score text, count tokens.

An engine is asynchronous and small. The search calls it from many concurrent tasks and knows nothing of batches,
caches, devices or servers; the engine batches what the tasks ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

#: How far the mean NLL of one text can differ between two ways of computing it (nats), by dtype: a quarter above the
#: most that benchmarks/score_noise.py found with SmolLM2-135M over plain, prefix-cached, packed, padded and shared
#: forward passes on a CPU. float16 was not measured; it has three bits more than bfloat16.
SCORE_NOISE_NATS = {"float32": 1.25e-5, "float16": 2e-3, "bfloat16": 1.5e-2}
#: A server does not say in which precision it computes: the worst of them.
UNKNOWN_NOISE_NATS = max(SCORE_NOISE_NATS.values())

FinishReason = Literal["stop", "eos", "length"]

#: Asked between two blocks of a target: given the log-probabilities of its first tokens, is the rest not needed?
Abandon = Callable[[NDArray[np.float32]], bool]


@dataclass(frozen=True)
class Completion:
    """One sampled continuation.

    Attributes:
        text: the continuation without the prompt, cut before the stop string.
        tokens: number of sampled tokens.
        finish_reason: ``stop`` (a stop string appeared), ``eos`` (the model ended), ``length`` (limit reached).
    """

    text: str
    tokens: int
    finish_reason: FinishReason


@dataclass(frozen=True)
class TargetScore:
    """Log-probabilities of a target text.

    Attributes:
        logprobs: natural log-probability of each token that overlaps the target, shape ``(target_tokens,)``, nats; of
            the first ones only if the target was abandoned.
        total_tokens: length of the whole scored text (tokens).
        complete: whether all tokens of the target are there.
    """

    logprobs: NDArray[np.float32]
    total_tokens: int
    complete: bool = True


@dataclass(frozen=True)
class EngineInfo:
    """What stands behind an engine, as recorded in every row and manifest."""

    engine: str
    model: str
    revision: str
    dtype: str
    device: str
    context_tokens: int

    @property
    def noise_nats(self) -> float:
        """Numerical noise of a score (nats); an edit has to gain more than this."""
        return SCORE_NOISE_NATS.get(self.dtype, UNKNOWN_NOISE_NATS)


@dataclass(frozen=True)
class Usage:
    """Tokens that an engine has processed since it was loaded."""

    sampled_tokens: int = 0
    prompt_tokens: int = 0
    scored_tokens: int = 0
    reused_tokens: int = 0


class Engine(Protocol):
    """The interface that every engine implements."""

    @property
    def info(self) -> EngineInfo:
        """What stands behind this engine."""
        ...

    @property
    def usage(self) -> Usage:
        """Tokens processed so far."""
        ...

    def count_tokens(self, text: str) -> int:
        """Length of a text (tokens), without special tokens."""
        ...

    def render(self, user: str, assistant: str = "") -> str:
        """The model's prompt for a user turn, ending inside an assistant turn that starts with ``assistant``."""
        ...

    def control_tokens(self) -> Sequence[str]:
        """Texts that the tokeniser reads as control tokens; a pair must not contain them."""
        ...

    async def sample(
        self,
        prompt: str,
        *,
        n: int,
        max_tokens: int,
        temperature: float,
        top_p: float,
        top_k: int,
        frequency_penalty: float,
        stop: Sequence[str],
        seed: int,
    ) -> list[Completion]:
        """Sample ``n`` continuations of a rendered prompt.

        Args:
            prompt: rendered prompt, see ``render``.
            n: number of independent continuations.
            max_tokens: limit of each continuation (tokens).
            temperature: softmax temperature; 0 takes the likeliest token.
            top_p: nucleus probability (0 to 1].
            top_k: number of likeliest tokens considered; 0 for all.
            frequency_penalty: what a token's logit loses for each time that the continuation has used it (as in the
                OpenAI API); 0 for nothing.
            stop: strings that end a continuation; they are not part of the text.
            seed: continuation ``i`` depends on ``seed`` and ``i`` alone, not on what else is being sampled.

        Raises:
            ContextOverflowError: if prompt and continuation do not fit into the context.
        """
        ...

    async def score(
        self, prefix: str, middles: Sequence[str], target: str, *, abandon: Abandon | None = None
    ) -> list[TargetScore]:
        """Log-probabilities of ``target`` after ``prefix + middle``, for each middle.

        Each text ``prefix + middle + target`` is tokenised once, as a whole; a token belongs to the target if it
        overlaps the target's characters.

        Args:
            prefix: text that all middles share, and that later calls will extend.
            middles: the alternatives.
            target: the text whose tokens are scored.
            abandon: may end the scoring of a middle early, see ``Abandon``. An engine that computes a target in one go
                never asks it.

        Returns:
            One score a middle, in order.

        Raises:
            ContextOverflowError: if a text does not fit into the context.
        """
        ...

    async def score_each(self, prefix: str, targets: Sequence[str]) -> list[TargetScore]:
        """Log-probabilities of each of several targets after the same prefix.

        Args:
            prefix: text before every target.
            targets: texts to score, each in its own right.

        Returns:
            One score a target, in order.

        Raises:
            ContextOverflowError: if a text does not fit into the context.
        """
        ...

    def close(self) -> None:
        """Give the model's memory back; the engine cannot be used afterwards."""
        ...
