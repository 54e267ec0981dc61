"""build: the dataset directory that ``load_dataset`` opens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatrove.pipeline.base import PipelineStep

import deepwriting
from deepwriting.errors import RecipeError
from deepwriting.recipe import Recipe, parse_recipe
from deepwriting.reer.prompts import prompt_hashes
from deepwriting.remote.working import fetched, sent_tree
from deepwriting.rundir import RunFolder
from deepwriting.stages.base import SimpleStage, StageContext, read_stage
from deepwriting.stages.decide import Decide
from deepwriting.stages.writer import WriteShard

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepwriting.builders.build import BuildReport

#: What the manifest tells about a model beside its revision, which the rows hold.
_ABOUT_MODEL = {"engine", "model", "revision", "dtype"}


class BuildStage(SimpleStage):
    """Decides what is kept, then builds shards, card and manifest."""

    name = "build"
    title = "build the dataset"

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """What is kept, which tables there are, and what the dataset is called."""
        other = run_without_reflection(recipe.build.no_reflection)
        chosen = {
            "build": recipe.build.model_dump(),
            "dataset": recipe.dataset.model_dump(exclude={"previous"}),
            "history": _history(recipe),
        }
        return chosen if other is None else chosen | {"no_reflection": _origin(other)}

    def steps(self, context: StageContext) -> list[PipelineStep]:
        """Reader, decision, writer; the dataset itself is built by ``facts`` when all tasks are done."""
        folder = context.run.stage(self.name).path
        decide = Decide(context.recipe.build, deepwriting.__version__)
        return [read_stage(context, "annotate"), decide, WriteShard(str(folder))]

    def facts(self, context: StageContext) -> dict[str, Any]:
        """Build the dataset from the decided rows; returns where it is and what it holds."""
        name = context.recipe.dataset.name
        report = build_from_run(context, context.run.path / name)
        sent_tree(context.run.path / name)
        return {
            "folder": name,
            "rows": dict(report.rows),
            "kept": report.kept,
            "validation": report.validation,
            "dropped_by_reason": dict(report.dropped_by_reason),
            "bytes": report.bytes,
        }


def build_from_run(context: StageContext, out: Path, watch: Callable[[str], None] | None = None) -> BuildReport:
    """Build a run's dataset from its decided rows.

    Args:
        context: the recipe and the run.
        out: folder of the dataset.
        watch: is told the config whose table is about to be written.
    """
    from deepwriting.builders.build import build_dataset
    from deepwriting.builders.selection import Choice

    recipe = context.recipe
    other = run_without_reflection(recipe.build.no_reflection)
    fetched(context.run.stage(BuildStage.name).shards)
    return build_dataset(
        context.run.stage(BuildStage.name).shards,
        out,
        name=recipe.dataset.name,
        version=recipe.dataset.version,
        settings=run_facts(context),
        configs=recipe.build.configs,
        choice=Choice.of(recipe.build),
        no_reflection=other.stage(BuildStage.name).shards if other else None,
        rows_per_shard=recipe.build.rows_per_shard,
        watch=watch,
    )


def run_without_reflection(name: str | None) -> RunFolder | None:
    """The other run that gives config ``no-reflection``.

    Args:
        name: what ``build.no_reflection`` names; ``None`` gives ``None``.

    Raises:
        NotFoundError: if there is no such run.
        RecipeError: if it searched with other prompts, or its rows are not there.
    """
    if name is None:
        return None
    run = RunFolder.existing(name)
    prompts = parse_recipe(run.recipe_text, str(run.path / "recipe.yaml")).search.prompts
    if prompts != "no-reflection":
        raise RecipeError(
            f"build.no_reflection = {name!r}: that run searched with the prompts {prompts!r}; allowed: a run with "
            "search.prompts: no-reflection"
        )
    record = run.stage(BuildStage.name).record()
    if record is None or record.state != "finished":
        raise RecipeError(f"build.no_reflection = {name!r}: stage 'build' of that run has not finished")
    fetched(run.stage(BuildStage.name).shards)
    return run


def _origin(run: RunFolder) -> dict[str, str]:
    """What made the rows of another run, without its place on this machine."""
    record = run.stage(BuildStage.name).record()
    assert record is not None
    return {"recipe": parse_recipe(run.recipe_text).name, "build": record.settings_hash}


def _hub_dataset(path: str) -> dict[str, str]:
    """The dataset on the Hub that a source reads, for links; other paths are nobody's business."""
    found = re.match(r"hf://datasets/([^/@]+/[^/@]+)", path)
    return {"dataset": found.group(1)} if found else {}


def _history(recipe: Recipe) -> list[dict[str, Any]]:
    """The change log up to the version before.

    Raises:
        BuildError: if ``dataset.previous`` is no built dataset.
    """
    from deepwriting.builders.manifest import read_manifest
    from deepwriting.dataset_cards.changelog import history_after

    previous = recipe.dataset.previous
    return history_after(read_manifest(previous)) if previous else []


def _card_facts(recipe: Recipe) -> dict[str, Any]:
    """What the recipe tells the card; what it leaves out is absent."""
    told = recipe.dataset.model_dump(include={"pretty_name", "repo_id", "authors", "date", "changes"})
    told["source_datasets"] = sorted({id_ for source in recipe.sources for id_ in _hub_dataset(source.path).values()})
    told["history"] = _history(recipe)
    return {name: value for name, value in told.items() if value}


def run_facts(context: StageContext) -> dict[str, Any]:
    """Everything about the run that manifest and card record; no times and no paths, so that a rebuild is equal."""
    from deepwriting.stages import STAGES

    recipe, run = context.recipe, context.run
    records = {stage.name: run.stage(stage.name).record() for stage in STAGES}
    done = {name: record for name, record in records.items() if record and name != BuildStage.name}
    other = run_without_reflection(recipe.build.no_reflection)
    return {
        **_card_facts(recipe),
        "recipe": recipe.name,
        "seed": recipe.seed,
        "sources": [
            {"kind": source.kind, "name": source.label, "license": source.license, **_hub_dataset(source.path)}
            for source in recipe.sources
        ],
        "generator": recipe.engines.generator.model_dump(include=_ABOUT_MODEL),
        "more_generators": [section.model_dump(include=_ABOUT_MODEL) for section in recipe.engines.more_generators],
        "scorer": recipe.engines.scoring.model_dump(include=_ABOUT_MODEL),
        "cleaning": recipe.cleaning.model_dump(),
        "dedupe": recipe.dedupe.model_dump(),
        "decontaminate": recipe.decontaminate.model_dump(),
        "select": recipe.select.model_dump(),
        "search": recipe.search.model_dump(exclude={"concurrency"}),
        "filters": recipe.filters.model_dump(),
        "build": recipe.build.model_dump(exclude={"no_reflection"}),
        **({"no_reflection": _origin(other)} if other else {}),
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
