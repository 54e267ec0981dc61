"""Classifying a query by the likelihood of each category's name, with the engine that scores the search.

P(category | query) is proportional to P(name | query) / P(name | no query): the division takes out that some names are
longer or more usual than others (domain-conditional PMI, Holtzman et al. 2021, "Surface form competition").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepwriting.engines.base import Engine
from deepwriting.reer.prompts import PromptSet
from deepwriting.select.taxonomy import CATEGORIES, DOMAIN_OF

#: What stands in place of the query when the names' own likelihood is measured.
NO_QUERY = {"en": "(none given)", "zh": "（未给出）"}


@dataclass(frozen=True)
class Classification:
    """The likeliest category of a query.

    Attributes:
        category: one of the 25.
        domain: its domain.
        probability: its share of the probability of all 25 (0 to 1).
    """

    category: str
    domain: str
    probability: float


class CategoryClassifier:
    """Scores every category name after a query.

    Args:
        engine: the scoring engine.
        prompts: templates by language.
        calibrate: divide by each name's likelihood without a query.
        max_query_chars: how much of a query is read (characters).
    """

    def __init__(
        self, engine: Engine, prompts: Mapping[str, PromptSet], *, calibrate: bool = True, max_query_chars: int = 1000
    ):
        self.engine = engine
        self.prompts = prompts
        self.calibrate = calibrate
        self.max_query_chars = max_query_chars
        self._baselines: dict[str, NDArray[np.float64]] = {}

    async def classify(self, query: str, language: str) -> Classification:
        """The likeliest category of a query in ``en`` or ``zh``."""
        logs = await self._log_likelihoods(query[: self.max_query_chars], language)
        if self.calibrate:
            if language not in self._baselines:
                self._baselines[language] = await self._log_likelihoods(NO_QUERY[language], language)
            logs = logs - self._baselines[language]
        probabilities = np.exp(logs - logs.max())
        probabilities /= probabilities.sum()
        best = int(probabilities.argmax())
        name = CATEGORIES[best]
        return Classification(name, DOMAIN_OF[name], float(probabilities[best]))

    async def _log_likelihoods(self, query: str, language: str) -> NDArray[np.float64]:
        prompt = self.prompts[language]["category"].render(self.engine, query=query, categories="\n".join(CATEGORIES))
        scores = await self.engine.score_each(prompt.text, [f" {name}" for name in CATEGORIES])
        return np.array([float(score.logprobs.sum()) for score in scores])
