"""What the cleaning steps share: settings that depend on the source that a pair comes from."""

from __future__ import annotations

from collections.abc import Mapping

from datatrove.data import Document

from deepwriting.sections.cleaning import CleaningSection
from deepwriting.steps import Annotator


class CleaningStep(Annotator):
    """A step that is switched on and set for each source.

    Subclasses name their ``switch`` and implement ``clean``.

    Args:
        settings: name of a source -> its cleaning settings. Pairs of other sources have the default settings.
    """

    #: The key of ``CleaningSection`` that turns the step on.
    switch = ""

    def __init__(self, settings: Mapping[str, CleaningSection] | None = None):
        super().__init__()
        self.settings = dict(settings or {})
        self.default = CleaningSection.model_validate({})

    def annotate(self, doc: Document) -> None:
        """Clean a document whose source has the step on."""
        settings = self.settings.get(doc.metadata.get("source", ""), self.default)
        if getattr(settings, self.switch):
            self.clean(doc, settings)
        else:
            self.stat_update(f"{self.switch}_off")

    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Change the document in place, or reject it."""
        raise NotImplementedError
