"""What a run has to do: which stages are finished, which go on, which begin, and which are refused.

For each stage: finished under the same settings → skipped; begun under the same settings → continued; anything under
other settings → refused, unless it is to be redone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deepwriting.errors import NotFoundError, StageChangedError, StageMissingError, StageOrderError
from deepwriting.recipe import Recipe, parse_recipe, settings_hash
from deepwriting.rundir import RunFolder, StageRecord
from deepwriting.stages import STAGE_NAMES, STAGES, Stage, StageContext


@dataclass(frozen=True)
class Planned:
    """What will become of a stage.

    Attributes:
        stage: the stage.
        context: recipe, folder, and the settings hash.
        settings: everything that decides the stage's outcome; what the hash is of.
        action: ``skip``, ``run`` or ``continue``.
    """

    stage: Stage
    context: StageContext
    settings: dict[str, Any]
    action: str


def plan(
    recipe: Recipe,
    run: RunFolder,
    *,
    until: str | None = None,
    start: str | None = None,
    redo: str | None = None,
) -> list[Planned]:
    """Decide what each stage needs.

    Args:
        recipe: the recipe.
        run: the run's folder.
        until: last stage to run.
        start: first stage to run; the ones before must have finished.
        redo: this stage and all behind it are done anew.

    Raises:
        NotFoundError: if there is no stage of a given name.
        StageOrderError: if ``start`` or ``redo`` comes after ``until``.
        StageChangedError: if a stage has results under other settings.
        StageMissingError: if a stage before ``start`` has not finished.
    """
    for name in (until, start, redo):
        if name is not None and name not in STAGE_NAMES:
            raise NotFoundError(f"there is no stage {name!r}; the stages are {', '.join(STAGE_NAMES)}")
    for option, name in (("from", start), ("redo", redo)):
        if name and until and STAGE_NAMES.index(name) > STAGE_NAMES.index(until):
            raise StageOrderError(
                f"{option} {name!r} comes after until {until!r}; the order is {', '.join(STAGE_NAMES)}"
            )
    planned: list[Planned] = []
    upstream = ""
    redoing, started = False, start is None
    for stage in STAGES:
        settings = stage_settings(stage, recipe)
        digest = settings_hash({"settings": settings, "upstream": upstream})
        context = StageContext(recipe, run, digest)
        record = run.stage(stage.name).record()
        started = started or stage.name == start
        redoing = redoing or stage.name == redo
        if redoing or record is None:
            action = "run"
        elif record.settings_hash != digest:
            raise StageChangedError(_changed(stage, record, settings))
        else:
            # Results behind a stage that has to run came from rows that are gone.
            stale = any(item.action != "skip" for item in planned)
            action = "run" if stale else "skip" if record.state == "finished" else "continue"
        if not started and action != "skip":
            raise StageMissingError(f"stage {stage.name!r} has not finished, and --from {start} would leave it out")
        planned.append(Planned(stage, context, settings, action))
        upstream = digest
        if stage.name == until:
            break
    return planned


def stage_settings(stage: Stage, recipe: Recipe) -> dict[str, Any]:
    """Everything that decides a stage's outcome, its version and its number of tasks included; JSON values."""
    settings = {"version": stage.version, "tasks": stage.tasks(recipe), **stage.settings(recipe)}
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _changed(stage: Stage, record: StageRecord, settings: dict[str, Any]) -> str:
    old, new = dict(_flat(record.settings)), dict(_flat(settings))
    changes = [
        f"{key} was {old.get(key, 'absent')!r}, is {new.get(key, 'absent')!r}"
        # Hashes of templates last: the setting that brought other templates says more.
        for key in sorted(old.keys() | new.keys(), key=lambda key: (key.startswith("prompts."), key))
        if old.get(key, "absent") != new.get(key, "absent")
    ]
    what = "; ".join(changes[:3]) if changes else "a stage before it changed"
    what += f"; and {len(changes) - 3} more" if len(changes) > 3 else ""
    state = "was begun" if record.state == "running" else f"is {record.state}"
    return f"stage {stage.name!r} {state} under other settings: {what}"


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flat(item, f"{key}[{index}]")
    else:
        yield key, value


def to_do(planned: list[Planned]) -> list[Planned]:
    """The stages that have not finished."""
    return [item for item in planned if item.action != "skip"]


def plan_of(run: RunFolder, name: str) -> Planned:
    """One stage of a run that is under way, under the recipe kept in its folder.

    Args:
        run: the run's folder.
        name: the stage.
    """
    recipe = parse_recipe(run.recipe_text, str(run.path / "recipe.yaml"))
    upstream = ""
    for stage in STAGES:
        settings = stage_settings(stage, recipe)
        upstream = settings_hash({"settings": settings, "upstream": upstream})
        if stage.name == name:
            return Planned(stage, StageContext(recipe, run, upstream), settings, "run")
    raise NotFoundError(f"there is no stage {name!r}; the stages are {', '.join(STAGE_NAMES)}")
