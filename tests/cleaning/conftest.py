from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.cleaning.step import CleaningStep
from deepwriting.sections.cleaning import CleaningSection


@pytest.fixture(scope="session")
def section() -> Callable[..., CleaningSection]:
    """Cleaning settings with some keys of one's own: ``section(min_words=3)``."""

    def make(**settings: Any) -> CleaningSection:
        return CleaningSection.model_validate(settings)

    return make


@pytest.fixture(scope="session")
def cleaned(section: Callable[..., CleaningSection]) -> Callable[..., Document]:
    """A pair after one step: ``cleaned(Quality, "answer", "query", min_words=3)``."""

    def run(kind: type[CleaningStep], answer: str, query: str | None = "Write it.", **settings: Any) -> Document:
        metadata = {"query": query, "source": "own", "source_id": "1", "provenance": '{"score": 3}'}
        step = kind({"own": section(**settings)})
        (doc,) = step.run([Document(text=answer, id="own/1", metadata=metadata)])
        assert sum(stats.total for name, stats in step.stats.stats.items() if name in ("annotated", "rejected")) == 1
        found: Document = doc
        return found

    return run
