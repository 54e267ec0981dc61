"""The command reference, generated from the commands themselves; a test keeps ``docs/commands.md`` equal to it.

python -m deepwriting.cli.reference docs/commands.md
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deepwriting.cli.main import COMMANDS, cli

#: Width of the help texts (columns), so that the page does not depend on a terminal.
WIDTH = 100


def reference() -> str:
    """The page: help of ``deepwriting`` and of every command, as the terminal shows it."""
    parts = [
        "# Command reference",
        "",
        "Written by `make docs` from the commands' own help; do not edit it by hand.",
        "",
        "Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 an error that is",
        "explained, 2 wrong usage, 130 interrupted.",
        "",
        *_section("deepwriting", cli, None),
    ]
    parent = _context(cli, "deepwriting", None)
    for name in sorted(COMMANDS):
        command = cli.get_command(parent, name)
        assert command is not None
        parts += _section(f"deepwriting {name}", command, parent)
    return "\n".join(parts)


def _section(title: str, command: click.Command, parent: click.Context | None) -> list[str]:
    name = title if parent is None else title.rpartition(" ")[2]
    return [f"## {title}", "", "```text", command.get_help(_context(command, name, parent)).rstrip(), "```", ""]


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command, info_name=name, parent=parent, terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
