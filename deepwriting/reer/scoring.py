"""S(z): how surprising the solution y is, given the query x and a thinking z (paper, section 2.2, step 3).

The scorer reads the inference prompt (Listing 3: the query, never the solution), then

    <think>
    z
    </think>
    <answer>
    y

Only tokens of y count; its first paragraph may stand unscored (``split_scored``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwriting.engines.base import Abandon, Engine, TargetScore
from deepwriting.errors import ContextOverflowError
from deepwriting.metrics.perplexity import clipped_mean_nll, perplexity
from deepwriting.reer.prompts import PromptSet
from deepwriting.reer.segments import split_scored

THINK_OPEN = "<think>\n"
THINK_CLOSE = "\n</think>\n<answer>\n"


@dataclass(frozen=True)
class Score:
    """How surprising y is.

    Attributes:
        value: the search score: clipped mean negative log-likelihood (nats).
        perplexity: the true perplexity, exp of the unclipped mean.
        tokens: scored tokens of y.
        losses: clipped negative log-likelihood of each scored token, shape ``(tokens,)``, nats; the journal keeps none.
    """

    value: float
    perplexity: float
    tokens: int
    losses: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    @property
    def record(self) -> dict[str, Any]:
        """The score as the journal keeps it."""
        return {"value": self.value, "perplexity": self.perplexity, "tokens": self.tokens}


class SolutionScorer:
    """Scores thinkings for one pair.

    Args:
        engine: the scoring engine.
        prompts: templates in the query's language.
        query: the query x.
        answer: the solution y.
        clip_logprob: log-probabilities below this count as this (nats, negative).
        score_first_segment: score the first paragraph of y too.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: PromptSet,
        query: str,
        answer: str,
        *,
        clip_logprob: float,
        score_first_segment: bool,
    ):
        self.engine = engine
        self.clip_logprob = clip_logprob
        self.prompt = prompts["inference"].render(engine, query=query).text + THINK_OPEN
        self.head, self.target = split_scored(answer, score_first_segment=score_first_segment)

    @property
    def first_segment_scored(self) -> bool:
        """Whether all of y counts."""
        return not self.head

    @property
    def least_tokens(self) -> int:
        """Length of the shortest text that is ever scored: the one with an empty thinking (tokens)."""
        return self.engine.count_tokens(self.prompt + THINK_CLOSE + self.head + self.target)

    async def __call__(self, thinkings: Sequence[str]) -> list[Score]:
        """Score several thinkings.

        Raises:
            ContextOverflowError: if one of them does not fit into the scorer's context with y.
        """
        scored = await self._engine_scores(thinkings, "", None)
        return [self._score(s) for s in scored]

    async def candidates(
        self, thinkings: Sequence[str], settled: str, abandon: Abandon | None = None
    ) -> list[Score | str]:
        """Score the alternatives of one step.

        Args:
            thinkings: the alternatives.
            settled: beginning that all of them share and that later steps keep.
            abandon: may end the scoring of an alternative early.

        Returns:
            For each thinking its score, or why it has none: ``context_overflow`` or ``abandoned``.
        """
        try:
            scored: list[TargetScore | None] = [*await self._engine_scores(thinkings, settled, abandon)]
        except ContextOverflowError:
            scored = [await self._if_it_fits(thinking, settled, abandon) for thinking in thinkings]
        return ["context_overflow" if s is None else self._score(s) if s.complete else "abandoned" for s in scored]

    async def _if_it_fits(self, thinking: str, settled: str, abandon: Abandon | None) -> TargetScore | None:
        try:
            return (await self._engine_scores([thinking], settled, abandon))[0]
        except ContextOverflowError:
            return None

    async def _engine_scores(
        self, thinkings: Sequence[str], settled: str, abandon: Abandon | None
    ) -> list[TargetScore]:
        middles = [thinking[len(settled) :] + THINK_CLOSE + self.head for thinking in thinkings]
        return await self.engine.score(self.prompt + settled, middles, self.target, abandon=abandon)

    def _score(self, scored: TargetScore) -> Score:
        logprobs = np.asarray(scored.logprobs, dtype=np.float64)
        value = clipped_mean_nll(logprobs, self.clip_logprob)
        losses = -np.clip(logprobs, self.clip_logprob, 0.0)
        return Score(float(value), float(perplexity(logprobs)), len(logprobs), losses)
