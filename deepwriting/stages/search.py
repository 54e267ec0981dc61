"""search: the iterative local search for every pair (paper, section 2.2)."""

from __future__ import annotations

from typing import Any

from datatrove.pipeline.base import PipelineStep

from deepwriting.recipe import Recipe
from deepwriting.reer.prompts import prompt_hashes
from deepwriting.reer.stage import ReerSearch
from deepwriting.stages.base import SimpleStage, StageContext, read_stage
from deepwriting.stages.writer import WriteShard


class SearchStage(SimpleStage):
    """Turns pairs into rows: one for each rollout."""

    name = "search"
    title = "search deep reasoning trajectories"

    def models(self, recipe: Recipe) -> bool:
        """Generators and scorer, those that are not servers elsewhere."""
        engines = recipe.engines
        return any(section.runs_here for section in (*engines.generators, engines.scoring))

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """Engines, search settings, templates and seed."""
        return {
            "generator": recipe.engines.generator.identity,
            "more_generators": [section.identity for section in recipe.engines.more_generators],
            "scorer": recipe.engines.scoring.identity,
            "search": recipe.search.model_dump(exclude={"concurrency"}),
            "prompts": prompt_hashes(recipe.search.prompts),
            "seed": recipe.seed,
        }

    def steps(self, context: StageContext) -> list[PipelineStep]:
        """Reader, search, writer."""
        recipe, folder = context.recipe, context.run.stage(self.name).path
        search = ReerSearch(
            recipe.engines,
            recipe.search,
            seed=recipe.seed,
            journal_folder=str(folder / "journal"),
            settings_hash=context.settings_hash,
            status_folder=str(folder / "status"),
            counts_folder=str(context.run.stage("select").path / "counts"),
        )
        return [read_stage(context, "select"), search, WriteShard(str(folder), multiplies=True)]
