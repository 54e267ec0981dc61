"""dedupe: exact duplicates out (paper, section 2.3.1)."""

from __future__ import annotations

from typing import Any

from datatrove.pipeline.base import PipelineStep

from deepwriting.recipe import Recipe
from deepwriting.select.duplicates import MarkDuplicates
from deepwriting.stages.base import SimpleStage, StageContext, read_stage
from deepwriting.stages.writer import WriteShard


class DedupeStage(SimpleStage):
    """Keeps the first of equal pairs."""

    name = "dedupe"
    title = "remove exact duplicates"
    single_task = True

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """Nothing to set."""
        return {}

    def steps(self, context: StageContext) -> list[PipelineStep]:
        """Reader, duplicates, writer."""
        return [read_stage(context, "source"), MarkDuplicates(), WriteShard(str(context.run.stage(self.name).path))]
