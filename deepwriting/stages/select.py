"""select: a category for every pair, and the choice of those that are searched (paper, section 2.3.2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from deepwriting.recipe import Recipe
from deepwriting.reer.prompts import prompt_hashes
from deepwriting.select.apply import Apply, Move
from deepwriting.select.choose import Choose
from deepwriting.select.classify import Classify
from deepwriting.select.fast import sample_hash
from deepwriting.select.taxonomy import CATEGORIES
from deepwriting.stages.base import Phase, Stage, StageContext
from deepwriting.stages.writer import WriteShard


class SelectStage(Stage):
    """Classifies the queries, chooses pairs, and spreads these over the tasks of the search."""

    name = "select"
    title = "classify into 25 categories and choose"
    version = 2

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """The section and the taxonomy, and of scorer, prompts, sample and seed what takes part."""
        select = recipe.select
        settings: dict[str, Any] = {"select": select.model_dump(), "categories": list(CATEGORIES)}
        # A shard for every task of the search; named only where it differs, so that older runs keep their settings.
        if (spread := recipe.execution.of("search").tasks) != self.tasks(recipe):
            settings["spread"] = spread
        if select.classifier != "likelihood":
            settings["labelled_sample"] = sample_hash()
        if select.classifier != "fast":
            hashes = prompt_hashes(recipe.search.prompts)
            settings["scorer"] = recipe.engines.scoring.identity
            settings["prompts"] = {name: value for name, value in hashes.items() if name.endswith("category.txt")}
        if select.pairs is not None:
            settings["seed"] = recipe.seed
        return settings

    def phases(self, context: StageContext) -> Iterator[Phase]:
        """Classify; choose; move to other tasks what is theirs; apply."""
        recipe, folder = context.recipe, context.run.stage(self.name)
        shards, work, tasks = str(context.run.stage("dedupe").shards), str(folder.work), self.tasks(recipe)
        spread = recipe.execution.of("search").tasks
        classify = Classify(
            shards,
            work,
            recipe.engines.scoring,
            recipe.select,
            prompts=recipe.search.prompts,
            concurrency=recipe.search.concurrency,
            seed=recipe.seed,
        )
        asks = recipe.select.classifier != "fast"
        yield Phase("classify", [classify], tasks, asks and recipe.engines.scoring.runs_here)
        sources = [source.label for source in recipe.sources]
        yield Phase("choose", [Choose(shards, work, recipe.select, sources=sources, tasks=spread)], 1)
        if spread > 1:
            yield Phase("move", [Move(shards, work)], spread)
        apply = Apply(shards, work, min_probability=recipe.select.min_probability)
        yield Phase("apply", [apply, WriteShard(str(folder.path))], spread)

    def facts(self, context: StageContext) -> dict[str, Any]:
        """What was asked and what could be had: see ``deepwriting.select.report``."""
        file = context.run.stage(self.name).work / "report.json"
        facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return facts
