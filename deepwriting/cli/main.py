"""The ``deepwriting`` command: its subcommands, and how errors come out."""

from __future__ import annotations

import sys
from importlib import import_module

import click

import deepwriting
from deepwriting.errors import DeepWritingError

#: Exit code of an interrupted command, as shells use it.
INTERRUPTED = 130

#: Command -> the module below ``deepwriting.cli`` and its one-line help, known without importing it.
COMMANDS = {
    "build": "build the dataset folder again, from a run or from shards",
    "diff": "show what changed between two versions of a dataset",
    "hub": "start a Hub on this machine, to try a release",
    "init": "write a commented recipe to start from",
    "plan": "forecast tokens, time and cost of a run",
    "publish": "publish a dataset folder as a version on the Hub",
    "recipes": "list the bundled recipes",
    "report": "show the funnel from raw rows to selected pairs, with every reason",
    "run": "run a recipe, whole or in part",
    "serve": "serve a recipe's model to runs on other machines",
    "show": "show one row: query, thinking before and after, answer, scores",
    "status": "show where a run stands",
    "verify": "check a dataset against its manifest, card and texts",
}


class Commands(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in alphabetic order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"deepwriting.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  deepwriting run quickstart",
)
@click.version_option(deepwriting.__version__, prog_name="deepwriting")
@click.option("--debug", is_flag=True, help="Show the full traceback of an error.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Turn known-good writing into a dataset of deep reasoning trajectories.

    A recipe, one YAML file, says where the writing comes from, which models search, and what the dataset keeps.
    """
    context.obj = {"debug": debug}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(arguments, prog_name="deepwriting", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        _interrupted()
    except KeyboardInterrupt:
        _interrupted()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except DeepWritingError as error:
        if "--debug" in arguments:
            raise
        from deepwriting.cli.repairs import explain

        click.echo(explain(error), err=True)
        sys.exit(1)


def _interrupted() -> None:
    click.echo("interrupted; the same command goes on where it stopped", err=True)
    sys.exit(INTERRUPTED)
