"""``deepwriting run``: run a recipe, whole or in part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from deepwriting.recipe import Recipe

#: Spelled out rather than imported: the stages import datatrove. A test compares them.
STAGES = ("source", "dedupe", "select", "search", "annotate", "build")
#: Likewise.
EXECUTORS = ("local", "ray", "slurm", "jobs")
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
@click.option(
    "--run-dir", metavar="DIRECTORY", help="Folder of the run, or a URL such as s3://BUCKET/NAME [runs/NAME]."
)
@click.option("--executor", type=click.Choice(EXECUTORS), help="Where the tasks run [as the recipe says].")
@click.option("--wait", is_flag=True, help="Slurm: stay and watch; interrupting ends only the watching.")
@click.option("--dry-run", is_flag=True, help="Show what would be run or submitted, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: machine-readable output.")
def command(
    recipe: str,
    until: str | None,
    start: str | None,
    redo: str | None,
    run_dir: str | None,
    executor: str | None,
    wait: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run RECIPE: a bundled recipe's name, or a YAML file.

    Finished stages are skipped, an interrupted one goes on where it stopped. A recipe that changed under a stage with
    results is refused; --redo does the stage anew. On Slurm everything is submitted and the command ends.
    """
    for option, name in (("--from", start), ("--redo", redo)):
        if name and until and STAGES.index(name) > STAGES.index(until):
            raise click.UsageError(f"{option} {name} comes after --until {until}; the stages are {', '.join(STAGES)}")
    if as_json and not dry_run:
        raise click.UsageError("--json goes with --dry-run; `deepwriting status RUN --json` tells of a run")
    from deepwriting.executors import runner
    from deepwriting.recipe import load_recipe
    from deepwriting.remote.working import run_folder

    parsed, text = load_recipe(recipe)
    folder = run_folder(run_dir) if run_dir else Path("runs") / parsed.name
    asked = {"until": until, "start": start, "redo": redo, "executor": executor}
    if dry_run:
        _describe(parsed, folder, asked, as_json)
    elif runner(parsed, executor).detached:
        _submit(parsed, text, folder, asked, wait)
    else:
        if wait:
            raise click.UsageError("--wait is for executors that submit (slurm); this one waits anyway")
        _run(parsed, text, folder, asked)


def _run(recipe: Recipe, text: str, folder: Path, asked: dict[str, str | None]) -> None:
    from deepwriting.cli.progress import RunDisplay
    from deepwriting.engines.registry import close_engines
    from deepwriting.pipeline import run_recipe

    with RunDisplay(recipe, folder) as display:
        try:
            records = run_recipe(recipe, text, folder, watcher=display, **asked)
        finally:
            close_engines()
    display.summary(records)


def _submit(recipe: Recipe, text: str, folder: Path, asked: dict[str, str | None], wait: bool) -> None:
    from deepwriting.cli.console import out
    from deepwriting.cli.tables import jobs_table
    from deepwriting.pipeline import submit_recipe
    from deepwriting.remote.places import shown

    jobs = submit_recipe(recipe, text, folder, **asked)
    if not jobs:
        click.echo("every stage has finished; there is nothing to submit")
        return
    out().print(jobs_table(jobs), crop=False)
    if wait:
        from deepwriting.cli.watch import watch_run

        watch_run(shown(folder))
    else:
        click.echo(f"{len(jobs)} jobs are in the queue. Watch them: deepwriting watch {shown(folder)}")


def _describe(recipe: Recipe, folder: Path, asked: dict[str, str | None], as_json: bool) -> None:
    from deepwriting.cli.console import out
    from deepwriting.cli.tables import planned_table
    from deepwriting.pipeline import describe_run
    from deepwriting.remote.places import shown

    stages = describe_run(recipe, folder, **asked)
    if as_json:
        click.echo(json.dumps(stages, indent=2, ensure_ascii=False))
        return
    if all(stage["action"] == "skip" for stage in stages):
        click.echo(f"{shown(folder)}: every stage has finished; there is nothing to do")
        return
    click.echo(f"{shown(folder)}, if it were run (nothing is):\n")
    out().print(planned_table(stages), crop=False)
    for job in (job for stage in stages for job in stage["jobs"]):
        if script := job.get("script"):
            click.echo(f"\n# {job['name']}\n{script}")
        if request := job.get("request"):
            click.echo(f"\n# {job['name']}\n{json.dumps(request, indent=2, ensure_ascii=False)}")
