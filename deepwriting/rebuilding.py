"""Building a dataset folder again, from a finished run or from shards, without running anything.

    >>> from deepwriting import rebuild
    >>> rebuild("runs/mine", "mine-v2", version="1.1.0", validation_share=0.02)      # doctest: +SKIP

The same inputs and options give the same bytes: without options, a run's dataset comes out as the run wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deepwriting.builders.build import BuildReport, build_dataset
from deepwriting.builders.selection import Choice
from deepwriting.errors import BuildError, NotFoundError, StageMissingError
from deepwriting.recipe import BuildSection, DatasetSection, Recipe, parse_recipe
from deepwriting.rundir import RunFolder
from deepwriting.stages.base import StageContext
from deepwriting.stages.build import BuildStage, build_from_run, run_without_reflection
from deepwriting.strict_yaml import read_mapping


def rebuild(
    source: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    version: str | None = None,
    configs: Sequence[str] | None = None,
    validation_share: float | None = None,
    validation_rows: int | None = None,
    no_reflection: str | None = None,
    settings: Mapping[str, Any] | None = None,
    watch: Callable[[str], None] | None = None,
) -> BuildReport:
    """Build a dataset folder from what is there.

    Args:
        source: a finished run (its folder, or its name below ``runs/``), whose recipe and facts go into card and
            manifest; or a folder of decided shards (``*.jsonl.gz``, as in ``RUN/build/shards``).
        out: folder of the dataset; must be new, empty or an earlier build.
        name: name of the dataset; None means the recipe's.
        version: version of the dataset; None means the recipe's.
        configs: tables to publish; None means the recipe's.
        validation_share: share of the queries that go to split ``validation``; None means the recipe's.
        validation_rows: instead, the most kept rows in it; None means the recipe's.
        no_reflection: another run over the same pairs with the prompts ``no-reflection``; None means the recipe's.
        settings: for shards without a run: facts for card and manifest, such as ``settings`` of another manifest.
        watch: is told the config whose table is about to be written.

    Returns:
        Where the dataset is and what it holds.

    Raises:
        NotFoundError: if there is neither a run nor a folder of that name.
        StageMissingError: if the run has not finished.
        RecipeError: if an option is not possible.
        BuildError: if the rows cannot be built from; see ``build_dataset``.
    """
    dataset = _given(name=name, version=version)
    validation = _validation(validation_share, validation_rows)
    run = _run_at(source)
    if run is not None:
        if settings is not None:
            raise BuildError(f"settings were given for the run {run.path}, which has its own; leave them out")
        build = _given(configs=configs and list(configs), no_reflection=no_reflection, **validation)
        return _from_run(run, Path(out), {"dataset": dataset, "build": build}, watch)
    other = run_without_reflection(no_reflection)
    return build_dataset(
        source,
        out,
        settings=settings or {},
        configs=configs,
        choice=Choice(**validation),
        no_reflection=other.stage(BuildStage.name).shards if other else None,
        rows_per_shard=BuildSection.model_validate({}).rows_per_shard,
        watch=watch,
        **(DatasetSection.model_validate({}).model_dump(include={"name", "version"}) | dataset),
    )


def read_settings(file: Path) -> dict[str, Any]:
    """Facts for card and manifest from a JSON file: a manifest, whose ``settings`` are taken, or the facts themselves.

    Raises:
        BuildError: if it is no JSON object.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BuildError(f"{file} is not JSON: {error}") from error
    if isinstance(found, dict) and isinstance(found.get("settings"), dict):
        found = found["settings"]
    if not isinstance(found, dict):
        raise BuildError(f"{file} holds a {type(found).__name__}; expected an object with facts about the run")
    return found


def _validation(share: float | None, rows: int | None) -> dict[str, Any]:
    """Named alone, a share replaces a number of rows that the recipe has, and the other way round."""
    if share is not None and rows is None:
        rows = 0
    elif rows is not None and share is None:
        share = 0.0
    return _given(validation_share=share, validation_rows=rows)


def _given(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _run_at(source: str | Path) -> RunFolder | None:
    try:
        return RunFolder.existing(source)
    except NotFoundError:
        if Path(source).is_dir():
            return None
        raise NotFoundError(f"there is neither a run nor a folder of shards at {str(source)!r}") from None


def _changed(text: str, origin: str, changes: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """A recipe with some keys replaced, checked as if they stood in its file."""
    data = read_mapping(text, origin)
    for section, values in changes.items():
        if values:
            data[section] = {**(data.get(section) or {}), **values}
    return parse_recipe(yaml.safe_dump(data, allow_unicode=True), origin)


def _from_run(
    run: RunFolder, out: Path, changes: Mapping[str, Mapping[str, Any]], watch: Callable[[str], None] | None
) -> BuildReport:
    recipe = _changed(run.recipe_text, str(run.path / "recipe.yaml"), changes)
    record = run.stage(BuildStage.name).record()
    if record is None or record.state != "finished":
        raise StageMissingError(
            f"stage 'build' of {run.path} has not finished, so there are no decided rows to build from"
        )
    return build_from_run(StageContext(recipe, run, record.settings_hash), out, watch)
