"""Real sampling, prepared texts: for models of random weights, and for two searches that must do the same work.

A model of random weights writes no sentence that a search could use, and two samplers with different random numbers
take different paths. Here the tokens are sampled as always, then thrown away, and a text of as many tokens as the
request allows takes their place. It depends on the request's limit and seed alone, so that two searches with the same
seeds meet the same candidates and have to find the same scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from common import planning

from deepwriting.engines.base import Completion, Engine
from deepwriting.reer.writing import PARAGRAPH_END

#: Share of a completion that is analysis, where the prompts ask for one before the new paragraph.
ANALYSIS_SHARE = 0.6


def prepare(
    completions: Sequence[Completion], *, tokens: int, stop: Sequence[str], seed: int, count: Callable[[str], int]
) -> list[Completion]:
    """Put prepared texts in place of sampled ones.

    Args:
        completions: what was sampled.
        tokens: length of the prepared texts: the limit of the request, which random weights always reach.
        stop: the stop strings of the request, which tell what was asked for.
        seed: the request's seed.
        count: counts the tokens of a text.
    """
    return [
        Completion(_text(tokens, stop, f"{seed}:{index}", count), completion.tokens, "stop")
        for index, completion in enumerate(completions)
    ]


def _text(tokens: int, stop: Sequence[str], seed: str, count: Callable[[str], int]) -> str:
    if "</think>" in stop:
        return f" {planning('en', tokens, count, seed)}"
    if PARAGRAPH_END in stop:
        return f" {_paragraph(tokens, seed, count)}"
    analysis = round(ANALYSIS_SHARE * tokens)
    written = _paragraph(tokens - analysis, f"{seed}:refine", count)
    return f"{_paragraph(analysis, seed, count)}</analyze>\n<refine>\n{written}\n"


def _paragraph(tokens: int, seed: str, count: Callable[[str], int]) -> str:
    return planning("en", max(tokens, 1), count, seed).replace("\n\n", " ")


class PreparedEngine:
    """An engine whose samples are replaced by prepared texts; everything else is the engine's own.

    Args:
        engine: the engine that does the work.
    """

    def __init__(self, engine: Engine):
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def sample(
        self, prompt: str, *, max_tokens: int, stop: Sequence[str], seed: int, **settings: Any
    ) -> list[Completion]:
        """Sample as the engine does; see ``Engine.sample``."""
        sampled = await self._engine.sample(prompt, max_tokens=max_tokens, stop=stop, seed=seed, **settings)
        return prepare(sampled, tokens=max_tokens, stop=stop, seed=seed, count=self._engine.count_tokens)
