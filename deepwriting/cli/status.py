"""``deepwriting status``: where a run stands."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command("status", short_help="show where a run stands", epilog="Example:  deepwriting status quickstart")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(run: str | None, as_json: bool) -> None:
    """Show the stages of RUN (a name below runs/, or a folder); without RUN, list the runs.

    Works from another terminal while the run goes on.
    """
    from deepwriting.cli.console import out
    from deepwriting.cli.tables import stage_table
    from deepwriting.rundir import RunFolder
    from deepwriting.stages import STAGE_NAMES

    if run is None:
        _list_runs(as_json)
        return
    found = RunFolder.existing(run)
    records = {name: found.stage(name).record() for name in STAGE_NAMES}
    done = {name: found.stage(name).progress() for name in STAGE_NAMES}
    if as_json:
        stages = {
            name: (asdict(record) if record else {"stage": name, "state": "waiting"}) | {"rows_done": done[name]}
            for name, record in records.items()
        }
        click.echo(json.dumps({"run": str(found.path), "stages": stages}, indent=2, ensure_ascii=False))
        return
    out().print(stage_table(records, done, title=str(found.path)))


def _list_runs(as_json: bool) -> None:
    names = sorted(file.parent.name for file in Path("runs").glob("*/recipe.yaml"))
    if as_json:
        click.echo(json.dumps(names))
    elif names:
        click.echo("\n".join(names))
    else:
        click.echo("no runs below ./runs; start one with: deepwriting run quickstart", err=True)
