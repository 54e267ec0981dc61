"""``deepwriting verify``: check a dataset that anybody has published, with nothing but its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from deepwriting.hub.verify.report import Check, Verification
    from deepwriting.hub.verify.rescoring import Rescoring

#: Exit codes: something is wrong; nothing wrong was found, but something could not be checked.
FINDINGS, INCOMPLETE = 3, 4
_WORDS = {"passed": "ok", "failed": "WRONG", "unchecked": "not checked"}
_STYLES = {"passed": "green", "failed": "bold red", "unchecked": "yellow"}


@click.command(
    "verify",
    short_help="check a dataset against its manifest, card and texts",
    epilog="Example:  deepwriting verify someone/deepwriting-20k@1.0.0 --rescore 5",
)
@click.argument("dataset", metavar="REPO_OR_DIR[@VERSION]")
@click.option("--rescore", type=click.IntRange(min=1), metavar="N", help="Score N sampled rows again.")
@click.option("--seed", type=int, default=0, help="Decides which rows those are [0].")
@click.option(
    "--scorer-path", metavar="MODEL", help="Folder or Hub id of the scorer, if it is not where its name says."
)
@click.option("--device", default="auto", help="Where the scorer runs: auto, cpu, cuda, cuda:N, mps [auto].")
@click.option(
    "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), help="Its precision [the manifest's]."
)
@click.option("--prompts", metavar="DIR", help="Templates of the run, if they are none of the bundled sets.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_context
def command(
    context: click.Context,
    dataset: str,
    rescore: int | None,
    seed: int,
    scorer_path: str | None,
    device: str,
    dtype: str | None,
    prompts: str | None,
    as_json: bool,
) -> None:
    """Check REPO_OR_DIR[@VERSION]: a folder, or a dataset on the Hub, which is fetched.

    Checksums, schema, counts; every config loads; card, plots and metadata are made again from the tables; ids, flags
    and decisions again from the texts; every config again from `all`. With --rescore the named scorer scores rows
    again.

    Exit codes: 0 all is right, 1 no such dataset, 2 wrong usage, 3 something is wrong, 4 nothing wrong was found but
    something could not be checked.
    """
    if rescore is None and (given := _given(context, "seed", "scorer_path", "device", "dtype", "prompts")):
        raise click.UsageError(f"--{given.replace('_', '-')} is about rescoring; name the number of rows: --rescore N")
    from deepwriting.hub.location import locate, withdrawal
    from deepwriting.hub.verify.rescoring import Rescoring

    _check_options(device, prompts)
    asked = Rescoring(rescore, seed, scorer_path, device, dtype, prompts) if rescore else None
    done = _verified(locate(dataset), asked)
    if withdrawn := withdrawal(dataset, done.version):
        click.echo(f"warning: version {done.version} was withdrawn: {withdrawn}", err=True)
    if as_json:
        click.echo(json.dumps(done.as_dict() | {"withdrawn": withdrawn}, indent=2, ensure_ascii=False))
    else:
        from deepwriting.cli.console import out

        out().print(verification_view(done))
        if asked is None and done.state == "passed":
            click.echo(f"score some rows again: deepwriting verify {dataset} --rescore 5", err=True)
    context.exit({"passed": 0, "failed": FINDINGS, "unchecked": INCOMPLETE}[done.state])


def _check_options(device: str, prompts: str | None) -> None:
    """Refuse what cannot be, before anything is fetched."""
    from deepwriting.reer.prompts import load_prompts
    from deepwriting.sections.engines import TransformersSection

    try:
        TransformersSection.model_validate({"model": "any", "device": device})
    except ValueError:
        raise click.UsageError(f"--device {device!r}; allowed: auto, cpu, cuda, cuda:N, mps") from None
    if prompts is not None:
        load_prompts(prompts)


def _given(context: click.Context, *names: str) -> str | None:
    """The first of some options that stands in the command line."""
    from click.core import ParameterSource

    return next((name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE), None)


def _verified(folder: Path, asked: Rescoring | None) -> Verification:
    """Verify with a line on stderr that says what is being looked at."""
    from deepwriting.cli.console import err
    from deepwriting.hub.verify import verify

    console = err()
    with console.status("looking at the files") as status:

        def watch(name: str, done: int) -> None:
            status.update(f"checking {name}" + (f": {done:,}" if done else ""))

        try:
            return verify(folder, asked, watch)
        finally:
            if asked:
                from deepwriting.engines.registry import close_engines

                close_engines()


def verification_view(done: Verification) -> RenderableType:
    """The audit as a table, and below it whatever is wrong."""
    from rich.console import Group
    from rich.text import Text

    from deepwriting.cli.tables import plain_table

    table = plain_table("check", "result", "looked at", "asked", title=f"{done.name} {done.version}")
    for check in done.checks:
        table.add_row(
            check.name, Text(_WORDS[check.state], style=_STYLES[check.state]), check.looked_at, check.question
        )
    parts: list[RenderableType] = [Text(str(done.folder), style="dim"), table]
    for check in done.checks:
        parts += _details(check)
    return Group(*parts, Text(_verdict(done), style=_STYLES[done.state]))


def _details(check: Check) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    lines: list[RenderableType] = []
    for problem in check.problems:
        lines.append(Text(f"{check.name}: {problem.kind} ({problem.count:,})", style="bold red"))
        lines += [Padding(Text(case), (0, 0, 0, 2)) for case in problem.cases]
        if problem.count > len(problem.cases) > 0:
            lines.append(Text(f"  … and {problem.count - len(problem.cases):,} more", style="dim"))
    if check.reason:
        lines.append(Text(f"{check.name}: not checked: {check.reason}", style="yellow"))
    lines += [Text(f"{check.name}: {note}", style="dim") for note in check.notes]
    return lines


def _verdict(done: Verification) -> str:
    wrong = [check.name for check in done.checks if check.state == "failed"]
    open_ = [check.name for check in done.checks if check.state == "unchecked"]
    if wrong:
        return f"\n{len(wrong)} of {len(done.checks)} checks found something wrong: {', '.join(wrong)}"
    if open_:
        return f"\nNothing wrong was found; not checked: {', '.join(open_)}"
    return f"\nAll {len(done.checks)} checks passed."
