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
from dataclasses import dataclass

import numpy as np

from deepwriting.engines.base import Engine, TargetScore
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
    """

    value: float
    perplexity: float
    tokens: int


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

    async def __call__(self, thinkings: Sequence[str], settled: str = "") -> list[Score]:
        """Score several thinkings.

        Args:
            thinkings: the alternatives.
            settled: beginning that all of them share and that later steps keep.
        """
        middles = [thinking[len(settled) :] + THINK_CLOSE + self.head for thinking in thinkings]
        return [self._score(s) for s in await self.engine.score(self.prompt + settled, middles, self.target)]

    def _score(self, scored: TargetScore) -> Score:
        logprobs = np.asarray(scored.logprobs, dtype=np.float64)
        value = clipped_mean_nll(logprobs, self.clip_logprob)
        return Score(float(value), float(perplexity(logprobs)), len(logprobs))
