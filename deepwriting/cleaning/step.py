"""What the cleaning steps share: settings that depend on the source that a pair comes from."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from datatrove.data import Document

from deepwriting.schema import is_rejected
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.steps import Annotator


class CleaningStep(Annotator):
    """A step that is switched on and set for each source.

    Subclasses name their ``switch`` and implement ``clean``, which calls ``count`` with every outcome. The counts are
    given to datatrove's statistics when a task ends: one call there takes as long as some of the steps.

    Args:
        settings: name of a source -> its cleaning settings. Pairs of other sources have the default settings.
    """

    #: The key of ``CleaningSection`` that turns the step on.
    switch = ""

    def __init__(self, settings: Mapping[str, CleaningSection] | None = None):
        super().__init__()
        self.settings = dict(settings or {})
        self.default = CleaningSection.model_validate({})
        self._counts: Counter[str] = Counter()

    def annotate(self, doc: Document) -> None:
        """Clean a document whose source has the step on."""
        settings = self.settings.get(doc.metadata.get("source", ""), self.default)
        if getattr(settings, self.switch):
            self.clean(doc, settings)
        else:
            self.count(f"{self.switch}_off")

    def count(self, outcome: str, number: int = 1) -> None:
        """Count an outcome."""
        self._counts[outcome] += number

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Clean every document that is not rejected and pass all of them on."""
        try:
            for doc in data:
                if is_rejected(doc.metadata):
                    self.count("passed_rejected")
                else:
                    with self.track_time():
                        self.annotate(doc)
                    self.count("rejected" if is_rejected(doc.metadata) else "annotated")
                yield doc
        finally:
            for outcome, number in sorted(self._counts.items()):
                self.stat_update(outcome, value=number)
            self._counts.clear()

    @abstractmethod
    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Change the document in place, or reject it."""
