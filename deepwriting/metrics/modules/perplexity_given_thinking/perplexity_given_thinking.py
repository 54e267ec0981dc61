"""`evaluate` module around ``deepwriting.metrics.perplexity_given_thinking``."""

from __future__ import annotations

from statistics import fmean, median
from typing import Any, ClassVar

from deepwriting.metrics import evaluation
from deepwriting.metrics.given_thinking import perplexity_given_thinking
from deepwriting.metrics.perplexity import CLIP_FLOOR


class PerplexityGivenThinking(evaluation.RowMeasurement):
    """How surprising the answer is to a model that has read the query and the thinking.

    The true perplexity of the answer, and the search score of REER: the mean negative log-probability of its tokens,
    each clipped.
    """

    inputs = ("query", "thinking", "answer")
    settings: ClassVar[dict[str, Any]] = {
        "model": evaluation.REQUIRED,
        "clip_logprob": CLIP_FLOOR,
        "score_first_segment": False,
        "prompts": "default",
    }

    def check(self, *, model: Any, **settings: Any) -> None:
        """Refuse what the plain function refuses; the model is loaded when the first rows come."""
        perplexity_given_thinking(model, [], [], [], **settings)

    def measure(
        self, *, query: list[str], thinking: list[str], answer: list[str], model: Any, **settings: Any
    ) -> dict[str, Any]:
        """Perplexity and score of every row; median perplexity and mean score of all."""
        found = perplexity_given_thinking(model, query, thinking, answer, **settings)
        perplexities, scores = [one.perplexity for one in found], [one.value for one in found]
        return {
            "median_perplexity": median(perplexities),
            "mean_score": fmean(scores),
            "perplexities": perplexities,
            "scores": scores,
            "scored_tokens": [one.tokens for one in found],
        }
