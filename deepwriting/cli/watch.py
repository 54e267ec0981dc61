"""``deepwriting watch``: look at a run again and again."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepwriting.errors import NotFoundError, RunError

if TYPE_CHECKING:
    from rich.console import Group

    from deepwriting.watching import RunView, RunWatch

#: Seconds between two looks.
WATCH_SECONDS = 2.0
#: Seconds between two looks at a run that has to be fetched.
FETCH_SECONDS = 15.0
#: Exit code where the run has failed or was interrupted.
NOT_WELL = 1


@click.command(
    "watch",
    short_help="watch a run until it ends",
    epilog="Example:  deepwriting watch quickstart --prometheus /var/lib/node_exporter/quickstart.prom",
)
@click.argument("run")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help=f"Time between two looks [{WATCH_SECONDS:g}; {FETCH_SECONDS:g} for an address].",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output, one line a look.")
@click.option("--prometheus", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the figures into FILE, too, for Prometheus' node exporter.")  # fmt: skip
def command(run: str, every: float | None, as_json: bool, prometheus: Path | None) -> None:
    """Watch RUN (a name below runs/, a folder, or an address) until nobody works on it any more.

    Shows stages, tasks, speed, time left and scores so far, and of each task that failed or stalled the last line of
    its log. Works on any machine that sees the run's folder; Ctrl-C ends the watching and nothing else. The exit code
    is 0 if the run ended in order, else 1.
    """
    watch_run(run, every, as_json=as_json, prometheus=prometheus)


def opened(run: str) -> RunWatch:
    """Someone to look at a run.

    Raises:
        NotFoundError: if there is none, or it cannot be read.
    """
    from deepwriting.rundir import RunFolder
    from deepwriting.watching import RunWatch

    try:
        return RunWatch(lambda: RunFolder.existing(run), run if "://" in run else None)
    except PermissionError as error:
        raise NotFoundError(f"the run {run!r} cannot be read: {error.strerror}") from error


def check_metrics_file(file: Path | None) -> None:
    """See that metrics can be written.

    Raises:
        click.UsageError: if no collector would take the file, or its folder is not there or not ours to write into.
    """
    if file is None:
        return
    if file.suffix != ".prom":
        raise click.UsageError(f"--prometheus {file}: node exporter reads only files whose names end in .prom")
    if not file.resolve().parent.is_dir() or not os.access(file.resolve().parent, os.W_OK):
        raise click.UsageError(f"--prometheus {file}: its folder is not there, or nothing may be written into it")


def watch_run(run: str, every: float | None = None, *, as_json: bool = False, prometheus: Path | None = None) -> None:
    """Show a run again and again while somebody works on it.

    Args:
        run: its name, folder or address.
        every: seconds between two looks.
        as_json: whether to print JSON lines.
        prometheus: where to write metrics.

    Raises:
        NotFoundError: if there is no such run, or it cannot be read.
        RunError: if a record in it is damaged.
        SystemExit: with code 1 if the run has failed or was interrupted.
    """
    from rich.live import Live

    from deepwriting.cli.console import out

    check_metrics_file(prometheus)
    watch, console, condition = opened(run), out(), ""
    every = every or (FETCH_SECONDS if "://" in run else WATCH_SECONDS)
    live = None if as_json or not console.is_terminal else Live(console=console, auto_refresh=False)
    try:
        with live or contextlib.nullcontext():
            for view in _looks(watch, every):
                condition = view.condition
                write(prometheus, view)
                if live is not None:
                    live.update(drawn(watch, view, console.width), refresh=True)
                elif as_json:
                    click.echo(json.dumps(view.as_dict(), ensure_ascii=False))
                else:
                    console.print(drawn(watch, view, console.width), crop=False)
    except KeyboardInterrupt:  # to stop looking is not to interrupt anything
        return
    if condition in ("failed", "interrupted"):
        raise SystemExit(NOT_WELL)


def drawn(watch: RunWatch, view: RunView, width: int) -> Group:
    """A view for people.

    Args:
        watch: who looks.
        view: the run.
        width: of the terminal (columns).
    """
    from deepwriting.cli.watch_view import go_on, run_view

    over = view.condition in ("failed", "interrupted")
    command = go_on(watch.run.path, watch.run.recipe_text, watch.name) if over else ""
    return run_view(view, width=width, go_on=command)


def _looks(watch: RunWatch, every: float) -> Iterator[RunView]:
    """Views of a run, until it is certain that nobody works on it."""
    yield (view := first_look(watch))
    # A file server, or a store, that is away for a moment is no reason to stop watching for the night.
    away = (OSError, RunError) if "://" in watch.name else (OSError,)
    while view.going or not view.certain:
        time.sleep(every)
        try:
            view = watch.look()
        except away as error:
            click.echo(f"cannot be read just now: {error}", err=True)
        else:
            yield view


def first_look(watch: RunWatch) -> RunView:
    """How a run stands.

    Raises:
        NotFoundError: if it cannot be read.
        RunError: if a record in it is damaged.
    """
    try:
        return watch.look()
    except OSError as error:
        raise NotFoundError(f"the run {watch.name} cannot be read: {error.strerror or error}") from error


def write(file: Path | None, view: RunView) -> None:
    """Write the metrics, if they are wanted; whoever watches goes on without them."""
    from deepwriting.watching import write_metrics

    if file is not None:
        try:
            write_metrics(file, view)
        except OSError as error:
            click.echo(f"{file} cannot be written: {error.strerror or error}", err=True)
