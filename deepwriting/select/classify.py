"""The step that gives every pair its category."""

from __future__ import annotations

from collections.abc import Iterable

from datatrove.data import Document

from deepwriting.concurrency import ConcurrentStep
from deepwriting.recipe import EngineSection, SelectSection
from deepwriting.select.classifier import CategoryClassifier


class Classify(ConcurrentStep):
    """Writes ``category``, ``domain`` and ``category_probability``.

    Args:
        scorer: the scoring engine's recipe section.
        settings: the recipe's select section.
        prompts: name or folder of the prompt set.
        concurrency: pairs worked on at the same time.
    """

    name = "🗂 Categories"

    def __init__(self, scorer: EngineSection, settings: SelectSection, *, prompts: str, concurrency: int):
        super().__init__(concurrency)
        self.scorer = scorer
        self.settings = settings
        self.prompts = prompts

    def open(self, rank: int) -> None:
        """Load the scorer."""
        from deepwriting.engines import get_engine
        from deepwriting.reer.prompts import load_prompts

        self._classifier = CategoryClassifier(
            get_engine(self.scorer),
            load_prompts(self.prompts),
            calibrate=self.settings.calibrate,
            max_query_chars=self.settings.max_query_chars,
        )

    async def process(self, doc: Document) -> Iterable[Document]:
        """Classify one pair by its query."""
        found = await self._classifier.classify(doc.metadata["query"], doc.metadata["language"])
        doc.metadata |= {
            "category": found.category,
            "domain": found.domain,
            "category_probability": found.probability,
        }
        self.stat_update(f"category_{found.category}")
        return [doc]
