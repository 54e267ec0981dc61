"""``deepwriting build``: the dataset folder again, from a finished run or from shards."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepwriting.schema import CONFIG_COLUMNS, REQUIRED_CONFIGS

if TYPE_CHECKING:
    from deepwriting.builders.build import BuildReport


@click.command(
    "build",
    short_help="build the dataset folder again, from a run or from shards",
    epilog="Example:  deepwriting build quickstart quickstart-1.1 --version 1.1.0 --validation-rows 4",
)
@click.argument("source")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", help="Name of the dataset [the recipe's].")
@click.option("--version", help="Version of the dataset, such as 1.1.0 [the recipe's].")
@click.option(
    "--config",
    "configs",
    multiple=True,
    type=click.Choice([config for config in CONFIG_COLUMNS if config not in REQUIRED_CONFIGS]),
    help="A table to publish beside default and all; can be given several times [the recipe's, which are all].",
)
@click.option("--validation-share", type=float, help="Share of the queries in split validation, 0 to 0.5.")
@click.option("--validation-rows", type=int, help="Instead: at most this many kept rows in it.")
@click.option("--no-reflection", metavar="RUN", help="Another run of the same pairs, with those prompts.")
@click.option(
    "--settings",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For shards without a run: a manifest, or other JSON, whose facts card and manifest repeat.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    source: str,
    out: Path,
    name: str | None,
    version: str | None,
    configs: tuple[str, ...],
    validation_share: float | None,
    validation_rows: int | None,
    no_reflection: str | None,
    settings: Path | None,
    as_json: bool,
) -> None:
    """Build the dataset folder OUT from SOURCE: a finished run, or a folder of its decided shards.

    Nothing is searched or measured anew but for the thinkings of config `initial`. The same inputs and options give the
    same bytes; without options, a run's dataset comes out as the run wrote it. An earlier build in OUT is replaced when
    the new one is complete; any other folder is left alone.
    """
    from deepwriting.cli.console import err
    from deepwriting.rebuilding import read_settings, rebuild

    console = err()
    with console.status("building …") as status:
        report = rebuild(
            source,
            out,
            name=name,
            version=version,
            configs=(*REQUIRED_CONFIGS, *configs) if configs else None,
            validation_share=validation_share,
            validation_rows=validation_rows,
            no_reflection=no_reflection,
            settings=read_settings(settings) if settings else None,
            watch=lambda config: status.update(f"building config {config} …"),
        )
    if as_json:
        click.echo(json.dumps(asdict(report) | {"folder": str(out)}, indent=2, ensure_ascii=False))
        return
    _show(report, out)


def _show(report: BuildReport, out: Path) -> None:
    from deepwriting.cli.console import out as stdout
    from deepwriting.cli.tables import plain_table

    table = plain_table("config", "rows", right=(1,))
    for config, rows in report.rows.items():
        table.add_row(config, f"{rows:,}")
    stdout().print(table)
    held = f", {report.validation:,} of them for validation" if report.validation else ""
    click.echo(
        f"{report.name} {report.version}: {report.kept:,} kept rows{held}, {report.bytes / 1e6:,.1f} MB in {out}"
    )
    click.echo(
        f"""load it: python -c 'from datasets import load_dataset; print(load_dataset("{out}"))'""",
        err=True,
    )
