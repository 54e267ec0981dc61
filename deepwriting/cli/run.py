"""``deepwriting run``: run a recipe, whole or in part."""

from __future__ import annotations

from pathlib import Path

import click

#: Spelled out rather than imported: the stages import datatrove. A test compares them.
STAGES = ("source", "dedupe", "select", "search", "annotate", "build")
_STAGE = click.Choice(STAGES)


@click.command(
    "run",
    short_help="run a recipe, whole or in part",
    epilog="Example:  deepwriting run quickstart --until search",
)
@click.argument("recipe")
@click.option("--until", type=_STAGE, help="Last stage to run.")
@click.option("--from", "start", type=_STAGE, help="First stage to run; the ones before must have finished.")
@click.option("--redo", type=_STAGE, help="Do this stage anew, and all behind it.")
@click.option("--run-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run [runs/NAME].")
def command(recipe: str, until: str | None, start: str | None, redo: str | None, run_dir: Path | None) -> None:
    """Run RECIPE: a bundled recipe's name, or a YAML file.

    Finished stages are skipped, an interrupted one goes on where it stopped. A recipe that changed under a stage with
    results is refused; --redo does the stage anew.
    """
    for option, name in (("--from", start), ("--redo", redo)):
        if name and until and STAGES.index(name) > STAGES.index(until):
            raise click.UsageError(f"{option} {name} comes after --until {until}; the stages are {', '.join(STAGES)}")
    from deepwriting.cli.progress import RunDisplay
    from deepwriting.engines.registry import close_engines
    from deepwriting.pipeline import run_recipe
    from deepwriting.recipe import load_recipe

    parsed, text = load_recipe(recipe)
    folder = run_dir or Path("runs") / parsed.name
    with RunDisplay(parsed, folder) as display:
        try:
            records = run_recipe(parsed, text, folder, until=until, start=start, redo=redo, watcher=display)
        finally:
            close_engines()
    display.summary(records)
