"""The one decision: which rows the default config holds."""

from __future__ import annotations

from datatrove.data import Document

from deepwriting.recipe import BuildSection
from deepwriting.steps import Annotator


class Decide(Annotator):
    """Writes ``keep``, ``drop_reasons`` and ``pipeline_version``.

    Args:
        settings: the recipe's build section.
        version: version of deepwriting.
    """

    name = "⚖ Keep or drop"

    def __init__(self, settings: BuildSection, version: str):
        super().__init__()
        self.settings = settings
        self.version = version

    def annotate(self, doc: Document) -> None:
        """Decide about one row."""
        row = doc.metadata
        reasons: list[str] = [flag for flag in self.settings.drop_flags if flag in row["flags"]]
        if self.settings.max_score is not None and row["score_after"] > self.settings.max_score:
            reasons.append("high_score")
        gained = row["score_before"] - row["score_after"]
        if self.settings.min_improvement is not None and gained < self.settings.min_improvement:
            reasons.append("low_improvement")
        row |= {"keep": not reasons, "drop_reasons": reasons, "pipeline_version": self.version}
        self.stat_update("kept" if not reasons else "dropped")
