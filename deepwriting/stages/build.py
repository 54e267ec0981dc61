"""build: the dataset directory that ``load_dataset`` opens."""

from __future__ import annotations

from typing import Any

from datatrove.pipeline.base import PipelineStep

import deepwriting
from deepwriting.recipe import Recipe
from deepwriting.reer.prompts import prompt_hashes
from deepwriting.stages.base import SimpleStage, StageContext, read_stage
from deepwriting.stages.decide import Decide
from deepwriting.stages.writer import WriteShard

#: What the manifest tells about a model beside its revision, which the rows hold.
_ABOUT_MODEL = {"engine", "model", "revision", "dtype"}


class BuildStage(SimpleStage):
    """Decides what is kept, then builds shards, card and manifest."""

    name = "build"
    title = "build the dataset"

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """What is kept and what the dataset is called."""
        return {"build": recipe.build.model_dump(), "dataset": recipe.dataset.model_dump()}

    def steps(self, context: StageContext) -> list[PipelineStep]:
        """Reader, decision, writer; the dataset itself is built by ``facts`` when all tasks are done."""
        folder = context.run.stage(self.name).path
        decide = Decide(context.recipe.build, deepwriting.__version__)
        return [read_stage(context, "annotate"), decide, WriteShard(str(folder))]

    def facts(self, context: StageContext) -> dict[str, Any]:
        """Build the dataset from the decided rows; returns where it is and what it holds."""
        from deepwriting.builders.build import build_dataset

        recipe, run = context.recipe, context.run
        report = build_dataset(
            run.stage(self.name).shards,
            run.path / recipe.dataset.name,
            name=recipe.dataset.name,
            version=recipe.dataset.version,
            settings=run_facts(context),
            rows_per_shard=recipe.build.rows_per_shard,
        )
        return {
            "folder": recipe.dataset.name,
            "rows": dict(report.rows),
            "kept": report.kept,
            "dropped_by_reason": dict(report.dropped_by_reason),
            "bytes": report.bytes,
        }


def run_facts(context: StageContext) -> dict[str, Any]:
    """Everything about the run that manifest and card record; no times and no paths, so that a rebuild is equal."""
    from deepwriting.stages import STAGES

    recipe, run = context.recipe, context.run
    records = {stage.name: run.stage(stage.name).record() for stage in STAGES}
    done = {name: record for name, record in records.items() if record and name != BuildStage.name}
    return {
        "pretty_name": recipe.dataset.pretty_name,
        "recipe": recipe.name,
        "seed": recipe.seed,
        "sources": [source.model_dump(include={"kind", "name", "license"}) for source in recipe.sources],
        "generator": recipe.engines.generator.model_dump(include=_ABOUT_MODEL),
        "more_generators": [section.model_dump(include=_ABOUT_MODEL) for section in recipe.engines.more_generators],
        "scorer": recipe.engines.scoring.model_dump(include=_ABOUT_MODEL),
        "cleaning": recipe.cleaning.model_dump(),
        "dedupe": recipe.dedupe.model_dump(),
        "decontaminate": recipe.decontaminate.model_dump(),
        "select": recipe.select.model_dump(),
        "search": recipe.search.model_dump(exclude={"concurrency"}),
        "filters": recipe.filters.model_dump(),
        "build": recipe.build.model_dump(),
        "prompts": prompt_hashes(recipe.search.prompts),
        "stages": {name: record.settings_hash for name, record in done.items()},
        "counts": [
            {
                "stage": name,
                "in": record.counts.rows_in,
                "out": record.counts.rows_out,
                "rejected": record.counts.rejected,
                "reasons": record.counts.reasons,
            }
            for name, record in done.items()
        ],
    }
