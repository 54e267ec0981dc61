"""What ``deepwriting publish`` shows: the checks, the plan, and what was done."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from deepwriting.cli.console import err, out
from deepwriting.cli.tables import plain_table

if TYPE_CHECKING:
    from deepwriting.hub.prepare import Prepared
    from deepwriting.hub.send import Published

#: Verdict -> how a terminal shows it.
_STYLES = {"ok": "green", "warning": "yellow", "refused": "bold red", "skipped": "dim"}
#: States of a plan's files, in words.
_STATES = {
    "new": "new",
    "changed": "changed",
    "stored": "there already, under another name",
    "same": "there already",
}


def megabytes(size: int) -> str:
    """A size for people: ``12.3 MB``, small ones in kB."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def show_checks(prepared: Prepared) -> None:
    """Every check with its verdict; what repairs a refused one stands below."""
    from rich.text import Text

    table = plain_table("check", "verdict", "found")
    for check in prepared.checks:
        table.add_row(check.name, Text(check.verdict, style=_STYLES[check.verdict]), Text(check.detail))
    out().print(table)
    for check in prepared.checks:
        if check.repair and check.verdict in ("refused", "warning"):
            err().print(f"{check.name}\n  → {check.repair}", soft_wrap=True)


def show_plan(prepared: Prepared) -> None:
    """What would be sent."""
    plan = prepared.plan
    if plan is None or prepared.done:
        return
    table = plain_table("files", "", "bytes", right=(1, 2))
    for state, words in _STATES.items():
        files = [planned.file for planned in plan.files if planned.state == state]
        if files:
            table.add_row(words, str(len(files)), megabytes(sum(file.bytes for file in files)))
    if plan.deleted:
        table.add_row("deleted (of the release before)", str(len(plan.deleted)), "")
    if plan.kept:
        table.add_row("left alone (of no release)", str(len(plan.kept)), "")
    console = out()
    console.print(table)
    share = plan.new_bytes / plan.total_bytes if plan.total_bytes else 0.0
    console.print(
        f"To send: at most {megabytes(plan.new_bytes)} of {megabytes(plan.total_bytes)} ({share:.0%}), counted in "
        "whole files. A store that keeps chunks (Xet) takes less of a changed file; how much, only the store knows.",
        soft_wrap=True,
    )


def show_outcome(prepared: Prepared, published: Published | None) -> None:
    """What was done, and what to do next."""
    for version, entry in prepared.yanked.items():
        click.echo(f"withdrawn: {version}: {entry.reason}", err=True)
    if published is None:
        if prepared.refused:
            names = ", ".join(check.name for check in prepared.refused)
            click.echo(f"refused ({names}): nothing was sent", err=True)
        else:
            click.echo("planned: nothing was sent. Leave out --dry-run to publish.", err=True)
        return
    if published.outcome == "already published":
        click.echo(f"{prepared.repo} {prepared.version} is published already, with this very content: nothing to do")
        return
    how = "published" if published.outcome == "published" else "was committed before and has got its tag"
    click.echo(f"{prepared.repo} {prepared.version} {how}: {published.url} (commit {published.commit[:8]})")
    loading = f'load_dataset("{prepared.repo}", revision="{published.tag}")'
    click.echo(f"Load it: python -c {shlex.quote(f'from datasets import load_dataset; print({loading})')}", err=True)
    click.echo(f"Check it: deepwriting verify {prepared.repo}@{published.tag}", err=True)
