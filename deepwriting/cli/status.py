"""``deepwriting status``: where a run stands."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click

from deepwriting.cli.watch import FETCH_SECONDS, WATCH_SECONDS

#: ``--watch`` without a number: as often as ``deepwriting watch`` looks, which is not the same for every run.
USUAL = math.inf


@click.command("status", short_help="show where a run stands", epilog="Example:  deepwriting status quickstart")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("--prometheus", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the figures into FILE, too, for Prometheus' node exporter.")  # fmt: skip
@click.option(
    "--watch",
    metavar="[SECONDS]",
    type=click.FloatRange(min=0.1),
    is_flag=False,
    flag_value=USUAL,
    help=f"As `deepwriting watch`: look again every SECONDS [{WATCH_SECONDS:g}; {FETCH_SECONDS:g} for an address]. "
    "Give it after RUN.",
)
def command(run: str | None, as_json: bool, prometheus: Path | None, watch: float | None) -> None:
    """Show how RUN (a name below runs/, a folder, or an address) stands; without RUN, list the runs.

    Shows stages, tasks, speed, time left and scores so far, and of each task that failed or stalled the last line of
    its log. Works while the run goes on, from another terminal or any machine that sees its folder.
    """
    from deepwriting.cli.watch import check_metrics_file, drawn, first_look, opened, watch_run, write

    if run is None:
        for option, given in (("--watch", watch), ("--prometheus", prometheus)):
            if given is not None:
                raise click.UsageError(f"{option} needs a RUN")
        _list_runs(as_json)
        return
    if watch is not None:
        watch_run(run, None if watch == USUAL else watch, as_json=as_json, prometheus=prometheus)
        return
    check_metrics_file(prometheus)
    watcher = opened(run)
    view = first_look(watcher)
    write(prometheus, view)
    if as_json:
        click.echo(json.dumps(view.as_dict(), indent=2, ensure_ascii=False))
    else:
        from deepwriting.cli.console import out

        console = out()
        console.print(drawn(watcher, view, console.width), crop=False)


def _list_runs(as_json: bool) -> None:
    names = sorted(file.parent.name for file in Path("runs").glob("*/recipe.yaml"))
    if as_json:
        click.echo(json.dumps(names))
    elif names:
        click.echo("\n".join(names))
    else:
        click.echo("no runs below ./runs; start one with: deepwriting run quickstart", err=True)
