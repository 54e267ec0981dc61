"""``deepwriting diff``: what changed between two versions of a dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

    from deepwriting.hub.diff import Diff


@click.command(
    "diff",
    short_help="show what changed between two versions",
    epilog="Example:  deepwriting diff someone/deepwriting-20k@1.0.0 runs/mine/deepwriting-20k",
)
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option("--markdown", "as_markdown", is_flag=True, help="As Markdown, for a change log.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(old: str, new: str, as_markdown: bool, as_json: bool) -> None:
    """Show what changed from A to B, each a folder or a dataset on the Hub: REPO_OR_DIR[@VERSION].

    Rows added, removed and changed in every config, by row id and column; statistics side by side; changes of schema
    and settings; and which part of the version has to grow: major if the schema changed, minor if rows did, else patch.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown would both write to standard output")
    from deepwriting.cli.console import err
    from deepwriting.hub.changes import markdown
    from deepwriting.hub.diff import compare
    from deepwriting.hub.location import locate

    with err().status("comparing") as status:
        diff = compare(locate(old), locate(new), lambda config: status.update(f"comparing {config}"))
    if as_json:
        click.echo(json.dumps(as_dict(diff), indent=2, ensure_ascii=False))
    elif as_markdown:
        click.echo(markdown(diff))
    else:
        from deepwriting.cli.console import out

        out().print(diff_view(diff))


def as_dict(diff: Diff) -> dict[str, Any]:
    """The comparison as ``--json`` prints it."""
    from dataclasses import asdict

    from deepwriting.hub.changes import sentences

    return {
        "old": {"name": diff.old.name, "version": diff.old.version},
        "new": {"name": diff.new.name, "version": diff.new.version},
        "required_bump": diff.required_bump,
        "schema_changed": diff.schema_changed,
        "rows_changed": diff.rows_changed,
        "changes": sentences(diff),
        "configs": {config.name: asdict(config) for config in diff.configs},
        "statistics": [asdict(figure) for figure in diff.statistics],
        "settings": {name: {"old": old, "new": new} for name, (old, new) in diff.settings.items()},
        "files": list(diff.files),
    }


def diff_view(diff: Diff) -> RenderableType:
    """The comparison as tables."""
    from rich.console import Group
    from rich.text import Text

    from deepwriting.cli.tables import plain_table
    from deepwriting.hub.changes import figure_text, row_cells, sentences

    title = f"{diff.old.name} {diff.old.version} → {diff.new.name} {diff.new.version}"
    rows = plain_table("config", "before", "now", "added", "removed", "changed", "in", right=range(1, 6), title="Rows")
    for config in diff.configs:
        columns = ", ".join(f"{name} {count:,}" for name, count in config.rows.columns.items()) if config.rows else ""
        rows.add_row(config.name, *(f"{value:,}" for value in row_cells(config)), columns)
    parts: list[RenderableType] = [Text(title, style="bold"), *(Text(f"• {line}") for line in sentences(diff)), rows]
    figures = [figure for figure in diff.statistics if figure.kind != "rows"]
    if figures:
        table = plain_table("", "", "before", "now", right=(2, 3), title="Statistics (measures of the default config)")
        for figure in figures:
            table.add_row(figure.kind, figure.name, figure_text(figure, figure.old), figure_text(figure, figure.new))
        parts.append(table)
    parts.append(Text(f"The version has to grow by at least: {diff.required_bump}", style="bold"))
    return Group(*parts)
