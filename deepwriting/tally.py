"""An engine that counts what one caller asks of it.

``Engine.usage`` counts for the whole process. Where many searches run at the same time, each gets a ``TallyEngine`` of
its own in front of the engine that they share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepwriting.engines.base import Abandon, Completion, Engine, EngineInfo, TargetScore, Usage


@dataclass
class Tally:
    """Tokens that a caller's finished requests took; field names as in ``Usage``.

    What an engine did not have to compute again is inside these figures: it is known for the engine only.
    """

    prompt_tokens: int = 0
    sampled_tokens: int = 0
    scored_tokens: int = 0


class TallyEngine:
    """Forwards everything to an engine, and counts.

    Args:
        engine: who does the work.
        tally: where the tokens of finished requests are added.
        counted: called after each addition.
    """

    def __init__(self, engine: Engine, tally: Tally, counted: Callable[[], None]):
        self.engine = engine
        self.tally = tally
        self.counted = counted

    @property
    def info(self) -> EngineInfo:
        """What stands behind the engine."""
        return self.engine.info

    @property
    def usage(self) -> Usage:
        """Tokens that the engine has processed for everybody."""
        return self.engine.usage

    def count_tokens(self, text: str) -> int:
        """Length of a text (tokens), without special tokens."""
        return self.engine.count_tokens(text)

    def render(self, user: str, assistant: str = "") -> str:
        """The model's prompt; see ``Engine.render``."""
        return self.engine.render(user, assistant)

    def control_tokens(self) -> Sequence[str]:
        """Texts that the tokeniser reads as control tokens."""
        return self.engine.control_tokens()

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
        """Sample, and count the prompt once and every continuation; see ``Engine.sample``."""
        completions = await self.engine.sample(
            prompt,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            frequency_penalty=frequency_penalty,
            stop=stop,
            seed=seed,
        )
        self.tally.prompt_tokens += self.engine.count_tokens(prompt)
        self.tally.sampled_tokens += sum(completion.tokens for completion in completions)
        self.counted()
        return completions

    async def score(
        self, prefix: str, middles: Sequence[str], target: str, *, abandon: Abandon | None = None
    ) -> list[TargetScore]:
        """Score, and count every text whole; see ``Engine.score``."""
        return self._scored(await self.engine.score(prefix, middles, target, abandon=abandon))

    async def score_each(self, prefix: str, targets: Sequence[str]) -> list[TargetScore]:
        """Score several targets, and count every text whole; see ``Engine.score_each``."""
        return self._scored(await self.engine.score_each(prefix, targets))

    def _scored(self, scores: list[TargetScore]) -> list[TargetScore]:
        self.tally.scored_tokens += sum(score.total_tokens for score in scores)
        self.counted()
        return scores

    def close(self) -> None:
        """Nothing: the engine belongs to all its callers."""
