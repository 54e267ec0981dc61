"""What the rules for chats left unsure: is it a writing request? The scoring model's likelihood of *yes* decides.

P(yes | query) is compared with P(yes | no query), as in the classifier of categories (``select/classifier.py``): a
model that likes to say yes says it without a query too, and that is divided out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from datatrove.data import Document

from deepwriting.concurrency import ConcurrentStep
from deepwriting.engines.base import Engine
from deepwriting.reer.prompts import PromptSet
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.sections.engines import EngineSection
from deepwriting.sources.check import language_of
from deepwriting.sources.writing_requests import UNSURE
from deepwriting.steps import reject

#: What stands in place of the query when the likelihood of the answers alone is measured.
NO_QUERY = {"en": "(none given)", "zh": "（未给出）"}
#: How much of a query is read (characters).
MAX_QUERY_CHARS = 1_000
ANSWERS = (" yes", " no")


class RequestClassifier:
    """Gives the probability that a query asks for a piece of writing.

    Args:
        engine: the scoring engine.
        prompts: templates by language.
    """

    def __init__(self, engine: Engine, prompts: Mapping[str, PromptSet]):
        self.engine = engine
        self.prompts = prompts
        self._baselines: dict[str, float] = {}

    async def probability(self, query: str, language: str) -> float:
        """Probability of a writing request, 0 to 1; 0.5 where the query changes nothing.

        Args:
            query: the first turn.
            language: ``en`` or ``zh``.
        """
        if language not in self._baselines:
            self._baselines[language] = await self._margin(NO_QUERY[language], language)
        margin = await self._margin(query[:MAX_QUERY_CHARS], language) - self._baselines[language]
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, margin))))

    async def _margin(self, query: str, language: str) -> float:
        """How much likelier yes is than no (nats)."""
        prompt = self.prompts[language]["request"].render(self.engine, query=query)
        yes, no = await self.engine.score_each(prompt.text, list(ANSWERS))
        return float(yes.logprobs.sum() - no.logprobs.sum())


class WritingRequests(ConcurrentStep):
    """Decides about the pairs that a reader marked as unsure; all others pass by.

    Writes ``request_probability`` where the model was asked. Reason: ``not_a_writing_request``. Counters:
    ``requests_accepted``, ``requests_refused``, and ``requests_unsure`` for those rejected without a model.

    Args:
        scorer: the scoring engine's recipe section.
        settings: name of a source -> its cleaning settings; ``classify_requests`` says whether the model is asked.
        prompts: name or folder of the prompt set.
        concurrency: pairs worked on at the same time.
    """

    name = "❓ Writing requests"

    def __init__(
        self, scorer: EngineSection, settings: Mapping[str, CleaningSection], *, prompts: str, concurrency: int
    ):
        super().__init__(concurrency)
        self.scorer = scorer
        self.settings = dict(settings)
        self.prompts = prompts
        self._classifier: RequestClassifier | None = None

    def _loaded(self) -> RequestClassifier:
        """The classifier; not made in ``open``, since most recipes need no model here."""
        if self._classifier is None:
            from deepwriting.engines import get_engine
            from deepwriting.reer.prompts import load_prompts

            self._classifier = RequestClassifier(get_engine(self.scorer), load_prompts(self.prompts))
        return self._classifier

    def close(self) -> None:
        """Let go of the engine, which stays for the next stage."""
        self._classifier = None

    async def process(self, doc: Document) -> Iterable[Document]:
        """Decide about one pair."""
        if not doc.metadata.pop(UNSURE, False):
            return [doc]
        settings = self.settings[doc.metadata["source"]]
        if not settings.classify_requests:
            self.stat_update("requests_unsure")
            return [reject(doc, "not_a_writing_request", "the rules are unsure, and cleaning.classify_requests is off")]
        query = doc.metadata["query"]
        probability = await self._loaded().probability(query, language_of(query) or "en")
        doc.metadata["request_probability"] = probability
        if probability >= settings.min_request_probability:
            self.stat_update("requests_accepted")
            return [doc]
        self.stat_update("requests_refused")
        return [reject(doc, "not_a_writing_request", f"probability of a writing request {probability:.2f}")]
