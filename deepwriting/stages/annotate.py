"""annotate: measurements and flags for every row (paper, section 2.3.2)."""

from __future__ import annotations

from typing import Any

from datatrove.pipeline.base import PipelineStep

from deepwriting.filters import Copying, EndOfThinking, Repetition, ThinkingPatterns
from deepwriting.recipe import FiltersSection, Recipe
from deepwriting.stages.base import SimpleStage, StageContext, read_stage
from deepwriting.stages.writer import WriteShard
from deepwriting.steps import Annotator


def annotators(filters: FiltersSection) -> list[Annotator]:
    """The annotating filters in order, with the thresholds of a recipe."""
    return [
        Repetition(filters.repetition_n, filters.max_repetition),
        ThinkingPatterns(),
        EndOfThinking(filters.tail_fraction, filters.max_end_patterns),
        Copying(filters.copy_min_run, filters.max_copy_ratio, filters.max_copy_run),
    ]


class AnnotateStage(SimpleStage):
    """Runs the annotating filters; nothing is dropped here."""

    name = "annotate"
    title = "measure and flag"

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """The filters' thresholds."""
        return {"filters": recipe.filters.model_dump()}

    def steps(self, context: StageContext) -> list[PipelineStep]:
        """Reader, filters, writer."""
        return [
            read_stage(context, "search"),
            *annotators(context.recipe.filters),
            WriteShard(str(context.run.stage(self.name).path)),
        ]
