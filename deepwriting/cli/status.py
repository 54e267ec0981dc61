"""``deepwriting status``: where a run stands."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Group

    from deepwriting.rundir import RunFolder

#: Seconds between two looks of ``--watch``.
WATCH_SECONDS = 2.0


@click.command("status", short_help="show where a run stands", epilog="Example:  deepwriting status quickstart --watch")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option(
    "--watch",
    metavar="[SECONDS]",
    type=click.FloatRange(min=0.1),
    is_flag=False,
    flag_value=WATCH_SECONDS,
    help=f"Look again every SECONDS [{WATCH_SECONDS:g}] until the run ends. Give it after RUN.",
)
def command(run: str | None, as_json: bool, watch: float | None) -> None:
    """Show the stages of RUN (a name below runs/, or a folder); without RUN, list the runs.

    Works from another terminal while the run goes on, and on another machine that sees the folder. A search that
    goes on or was interrupted is shown with its steps, scores, speed and time left.
    """
    from deepwriting.rundir import RunFolder

    if run is None:
        if watch is not None:
            raise click.UsageError("--watch needs a RUN")
        _list_runs(as_json)
        return
    found = RunFolder.existing(run)
    if watch is not None:
        watch_run(found, watch, as_json)
    elif as_json:
        click.echo(json.dumps(status_data(found), indent=2, ensure_ascii=False))
    else:
        from deepwriting.cli.console import out

        out().print(_view(found), crop=False)


def status_data(run: RunFolder) -> dict[str, Any]:
    """Everything that ``--json`` shows."""
    from deepwriting.stages import STAGE_NAMES

    stages, holder, search = {}, run.holder(), run.search_status()
    for name in STAGE_NAMES:
        record = run.stage(name).record()
        stages[name] = (asdict(record) if record else {"stage": name, "state": "waiting"}) | {
            "rows_done": run.stage(name).progress()
        }
    return {
        "run": str(run.path),
        "running": asdict(holder) if holder else None,
        "stages": stages,
        "search": search.as_dict() if search else None,
    }


def _view(run: RunFolder) -> Group:
    """The stage table and, for a search that has not finished, its panel."""
    from rich.console import Group
    from rich.text import Text

    from deepwriting.cli.search_view import search_panel
    from deepwriting.cli.tables import stage_table
    from deepwriting.stages import STAGE_NAMES

    records = {name: run.stage(name).record() for name in STAGE_NAMES}
    done = {name: run.stage(name).progress() for name in STAGE_NAMES}
    held = run.holder() is not None
    table = stage_table(records, done, title=str(run.path), running=held)
    search, status = records["search"], run.search_status()
    if search is None or search.state == "finished" or status is None:
        return Group(table)
    panel = search_panel(status, held=held)
    if held or status.running:
        return Group(table, panel)
    # One line, however long: a folded command cannot be pasted.
    return Group(table, panel, Text(f"goes on with: deepwriting run {go_on(run)}", no_wrap=True, overflow="ignore"))


def go_on(run: RunFolder) -> str:
    """What to give ``deepwriting run`` to continue a run: the recipe kept in it, and its folder."""
    from deepwriting.recipe import parse_recipe

    recipe = run.path / "recipe.yaml"
    usual = Path("runs") / parse_recipe(run.recipe_text, str(recipe)).name
    where = [] if usual.resolve() == run.path.resolve() else ["--run-dir", str(run.path)]
    return shlex.join([str(recipe), *where])


def watch_run(run: RunFolder, seconds: float = WATCH_SECONDS, as_json: bool = False) -> None:
    """Show the run again and again while somebody works on it."""
    from rich.live import Live

    from deepwriting.cli.console import out

    console = out()
    try:
        if as_json or not console.is_terminal:
            while True:
                going = run.holder() is not None
                if as_json:
                    click.echo(json.dumps(status_data(run), ensure_ascii=False))
                else:
                    console.print(_view(run), crop=False)
                if not going:
                    return
                time.sleep(seconds)
        with Live(_view(run), console=console, auto_refresh=False) as live:
            while run.holder() is not None:
                time.sleep(seconds)
                live.update(_view(run), refresh=True)
    except KeyboardInterrupt:  # to stop looking is not to interrupt anything
        return


def _list_runs(as_json: bool) -> None:
    names = sorted(file.parent.name for file in Path("runs").glob("*/recipe.yaml"))
    if as_json:
        click.echo(json.dumps(names))
    elif names:
        click.echo("\n".join(names))
    else:
        click.echo("no runs below ./runs; start one with: deepwriting run quickstart", err=True)
