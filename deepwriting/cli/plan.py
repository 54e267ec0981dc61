"""``deepwriting plan``: what a run will take, from a short pilot on its own pairs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepwriting.forecast import Forecast
    from deepwriting.pilot import Pilot
    from deepwriting.pilot_run import PilotRun
    from deepwriting.recipe import Recipe
    from deepwriting.rundir import RunFolder

#: Pairs of a pilot, if nothing else is said: a minute or two even with the embedded model, and a spread worth the name.
PILOT_PAIRS = 8
_PRICE = click.FloatRange(min=0)


@click.command(
    "plan",
    short_help="forecast tokens, time and cost of a run",
    epilog="Example:  deepwriting plan quickstart --pilot 8",
)
@click.argument("recipe")
@click.option(
    "--pilot", "count", type=click.IntRange(min=2), default=PILOT_PAIRS, help=f"Pairs to search [{PILOT_PAIRS}]."
)
@click.option("--gpus", type=click.IntRange(min=0), help="GPUs that the run uses [those that the pilot used].")
@click.option("--price", type=_PRICE, help="US dollars for one hour of one GPU.")
@click.option("--price-in", type=_PRICE, help="US dollars for a million prompt tokens of a hosted generator.")
@click.option("--price-out", type=_PRICE, help="US dollars for a million tokens that it samples.")
@click.option("--run-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run [runs/NAME].")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    recipe: str,
    count: int,
    gpus: int | None,
    price: float | None,
    price_in: float | None,
    price_out: float | None,
    run_dir: Path | None,
    as_json: bool,
) -> None:
    """Forecast what the search of RECIPE takes: tokens, time, GPU-hours and, given prices, cost.

    Some pairs, spread over their lengths, are searched for real in runs/NAME.plan with the recipe's own engines and
    settings; each figure comes with the interval (80 %) that their spread leaves. What the pilot has searched is kept:
    a second, larger pilot searches only what is new. Where the run itself has finished its search, the forecast stands
    beside what it really took.
    """
    from deepwriting.cli.plan_view import plan_data, print_plan
    from deepwriting.engines.registry import close_engines
    from deepwriting.forecast import Prices, forecast
    from deepwriting.recipe import ServerSection, load_recipe
    from deepwriting.rundir import RunFolder

    parsed, text = load_recipe(recipe)
    folder = run_dir or Path("runs") / parsed.name
    named = folder if folder.name not in ("", "..") else folder.resolve()
    run, home = RunFolder(folder), RunFolder(named.with_name(named.name + ".plan"))
    try:
        pairs = run if _selected(parsed, run) else _select(parsed, text, home)
        pilot, known = _measure(parsed, pairs, home, count)
    finally:
        close_engines()
    engines = parsed.engines
    hosted = [
        role
        for role, section in zip(engines.generator_roles, engines.generators, strict=True)
        if isinstance(section, ServerSection) and section.start is None and section.endpoints is None
    ]
    found = forecast(
        pilot,
        pairs=known,
        rollouts=parsed.search.rollouts,
        workers=_workers(parsed),
        gpus=gpus,
        hosted=hosted,
        prices=Prices(price, price_in, price_out),
    )
    actual = _actual(parsed, run, found)
    if as_json:
        click.echo(json.dumps(plan_data(found, actual, home.path), indent=2, ensure_ascii=False))
    else:
        print_plan(parsed, recipe, found, actual, home.path)


def _selected(recipe: Recipe, run: RunFolder) -> bool:
    """Whether a run's pairs are there, selected under this recipe."""
    from deepwriting.errors import RunError
    from deepwriting.pipeline import plan

    try:
        return all(stage.action == "skip" for stage in plan(recipe, run, until="select"))
    except RunError:
        return False


def _select(recipe: Recipe, text: str, home: RunFolder) -> RunFolder:
    """Make the pairs in the pilot's own folder; what an earlier version of the recipe left there is done anew."""
    from deepwriting.cli.progress import RunDisplay
    from deepwriting.errors import StageChangedError
    from deepwriting.pipeline import plan, run_recipe
    from deepwriting.stages import STAGE_NAMES

    redo = None
    for name in STAGE_NAMES[: STAGE_NAMES.index("select") + 1]:
        try:
            plan(recipe, home, until=name)
        except StageChangedError:
            redo = name
            break
    with RunDisplay(recipe, home.path) as display:
        run_recipe(recipe, text, home.path, until="select", redo=redo, watcher=display)
    return home


def _measure(recipe: Recipe, pairs: RunFolder, home: RunFolder, count: int) -> tuple[Pilot, int]:
    """Draw pairs and search them; the pilot, and how many pairs there are."""
    from deepwriting.pilot import draw, size
    from deepwriting.pilot_run import PilotRun
    from deepwriting.pipeline import plan
    from deepwriting.stages.rows import stage_documents

    sizes = [(document["id"], size(document)) for document in stage_documents(pairs, "select")]
    drawn = set(draw(sizes, count, recipe.seed))
    documents = [document for document in stage_documents(pairs, "select") if document["id"] in drawn]
    # "redo": results that the run's search may have under other settings are none of the pilot's business.
    digest = plan(recipe, pairs, until="search", redo="search")[-1].context.settings_hash
    with home.locked():
        piloting = PilotRun(recipe, home.path / "pilot" / digest, digest)
        return _watched(piloting, documents), len(sizes)


def _watched(piloting: PilotRun, documents: Sequence[dict[str, Any]]) -> Pilot:
    """Measure with a bar on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from deepwriting.cli.console import err
    from deepwriting.cli.progress import LINE_SECONDS

    console, missing = err(), piloting.missing(documents)
    if missing:
        known = f", {len(documents) - len(missing)} are known" if len(missing) < len(documents) else ""
        console.print(f"pilot     searches {len(missing)} pairs{known}; interrupted, it goes on where it stopped")
    with Progress(
        TextColumn("pilot     "), BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
        console=console, disable=not console.is_terminal, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("pilot", total=len(documents), completed=len(documents) - len(missing), note="")
        said = time.monotonic()

        def watch(pilot: Pilot) -> None:
            nonlocal said
            done = len(documents) - len(piloting.missing(documents))
            note = f"{pilot.tokens_in:,} tokens in, {pilot.tokens_out:,} out"
            bar.update(task, completed=done, note=note)
            if not console.is_terminal and time.monotonic() - said >= LINE_SECONDS:
                said = time.monotonic()
                console.print(f"pilot     {done} of {len(documents)} pairs; {note}")

        return piloting.measure(documents, watch)


def _actual(recipe: Recipe, run: RunFolder, found: Forecast) -> dict[str, float] | None:
    """What the run really took, by the forecast's names; ``None`` unless it has finished under this recipe."""
    from deepwriting.errors import RunError
    from deepwriting.pipeline import plan

    try:
        done = plan(recipe, run, until="search")[-1]
    except RunError:
        return None
    status = run.search_status()
    if done.action != "skip" or status is None:
        return None
    seconds = status.seconds / _workers(recipe)
    actual: dict[str, float] = {
        name: sum(engine[name] for engine in status.engines)
        for name in ("prompt_tokens", "sampled_tokens", "scored_tokens")
    }
    actual |= {
        "skipped": status.skipped.total() + status.left_out.total(),
        "steps": status.steps,
        "seconds": seconds,
    }
    if found.gpus:
        actual["gpu_hours"] = seconds * found.gpus / 3600
    return actual


def _workers(recipe: Recipe) -> int:
    """Tasks that run at the same time."""
    return recipe.execution.of("search").workers
