"""select: a category for every pair (paper, section 2.3.2)."""

from __future__ import annotations

from typing import Any

from datatrove.pipeline.base import PipelineStep

from deepwriting.recipe import Recipe
from deepwriting.reer.prompts import prompt_hashes
from deepwriting.select.classify import Classify
from deepwriting.select.taxonomy import CATEGORIES
from deepwriting.stages.base import SimpleStage, StageContext
from deepwriting.stages.spread import Spread
from deepwriting.stages.writer import WriteShard


class SelectStage(SimpleStage):
    """Classifies the queries and spreads the pairs over the tasks of the search."""

    name = "select"
    title = "classify queries into 25 categories"

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """Scorer, taxonomy and prompt."""
        hashes = prompt_hashes(recipe.search.prompts)
        return {
            "select": recipe.select.model_dump(),
            "scorer": recipe.engines.scoring.identity,
            "categories": list(CATEGORIES),
            "prompts": {name: value for name, value in hashes.items() if name.endswith("category.txt")},
        }

    def steps(self, context: StageContext) -> list[PipelineStep]:
        """Reader, classifier, writer."""
        recipe = context.recipe
        classify = Classify(
            recipe.engines.scoring,
            recipe.select,
            prompts=recipe.search.prompts,
            concurrency=recipe.search.concurrency,
        )
        shards = str(context.run.stage("dedupe").shards)
        return [Spread(shards), classify, WriteShard(str(context.run.stage(self.name).path))]
