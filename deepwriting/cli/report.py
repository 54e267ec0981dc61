"""``deepwriting report``: the funnel from raw rows to selected pairs, in the terminal or as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from deepwriting.report.model import Report
    from deepwriting.rundir import RunFolder


@click.command(
    "report",
    short_help="show what became of the rows, and why",
    epilog="Example:  deepwriting report quickstart --html quickstart.html",
)
@click.argument("run")
@click.option(
    "--html",
    "page",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path),
    help="Write one self-contained page to FILE instead; - is standard output.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(run: str, page: Path | None, as_json: bool) -> None:
    """Show what became of the rows of RUN: the funnel from raw records to selected pairs.

    Stage by stage and source by source, with every reason, what the rejected rows say, and samples of them; lengths
    before and after, languages, categories, personal details masked, and the effect of the search. Works while a run
    goes on, and says what is not there yet. A missing or damaged file is an error that names it.
    """
    from deepwriting.rundir import RunFolder

    if as_json and str(page) == "-":
        raise click.UsageError("--json and --html - would both write to standard output")
    if page is not None and str(page) != "-" and not page.absolute().parent.is_dir():
        raise click.UsageError(f"--html {page}: there is no folder {page.parent}")
    found = RunFolder.existing(run)
    report = _gathered(found)
    if page is not None:
        _write(report, page)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    elif page is None:
        from deepwriting.cli.console import out
        from deepwriting.cli.report_view import report_view

        console = out()
        console.print(report_view(report, console.width))
        click.echo(f"as a page, with charts and more samples: deepwriting report {run} --html report.html", err=True)


def _gathered(run: RunFolder) -> Report:
    """Gather with a bar on stderr, which is there only if it takes a while."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from deepwriting.cli.console import err
    from deepwriting.report.gather import gather

    console = err()
    columns = (TextColumn("reading"), BarColumn(bar_width=30), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("reading", total=None)
        return gather(run, watch=lambda done, total: progress.update(task, completed=done, total=total))


def _write(report: Report, page: Path) -> None:
    """Write the page so that whoever reads it meanwhile sees the old one or the new one."""
    import os

    from deepwriting.report.html import render

    text = render(report)
    if str(page) == "-":
        click.echo(text, nl=False)
        return
    scratch = page.with_name(f".{page.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(page)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise click.FileError(str(page), str(error.strerror)) from error
    click.echo(f"{page}: {len(text.encode()) / 1000:,.0f} kB", err=True)
