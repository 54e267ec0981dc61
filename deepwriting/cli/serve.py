"""``deepwriting serve``: a recipe's server on this machine, for runs that are elsewhere."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from deepwriting.engines.server.process import ServerProcess
    from deepwriting.recipe import Recipe, ServerSection

#: What ends a server in good order: Ctrl-C, a scheduler's end of a job, and the warning before a time limit (Slurm's
#: --signal=B:USR1@60).
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@click.command(
    "serve",
    short_help="serve a recipe's model to runs on other machines",
    epilog="Example:  deepwriting serve mine.yaml --role scorer --register /shared/endpoints",
)
@click.argument("recipe")
@click.option("--role", default="generator", show_default=True, help="generator, generator-2 and so on, or scorer.")
@click.option(
    "--register",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder in which the server is announced  [the recipe's endpoints]",
)
@click.option("--host", help="Address by which others reach this machine  [its name]")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output: one line when a server is ready.")
def command(recipe: str, role: str, folder: Path | None, host: str | None, as_json: bool) -> None:
    """Serve the model of a role of RECIPE; the server answers until this command is ended.

    It starts what the role's `start` says, watches it, starts it again when it dies, and announces its address in a
    folder that the other machines see. A run whose role has that folder as `endpoints` uses every server in it, those
    that come later too. Works as a job of any scheduler: start as many as there are GPUs for.
    """
    from deepwriting.engines.server.process import ServerStart
    from deepwriting.engines.server.serving import Serving, own_name
    from deepwriting.recipe import load_recipe

    if host is not None and not _is_host(host):
        raise click.UsageError(f"--host {host} is no name or address of a machine; the port is chosen by `start`")
    section = _section(load_recipe(recipe)[0], role)
    assert section.start is not None
    place = _folder(folder, section)
    stop = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stop.set())

    def ready(url: str, process: ServerProcess) -> None:
        if as_json:
            found = {"url": url, "model": section.model, "register": str(place), "log": str(process.log_file)}
            click.echo(json.dumps(found))
        else:
            click.echo(f"{section.model} at {url}, announced in {place}; its log is {process.log_file}")

    try:
        serving = Serving(
            ServerStart(**section.start.model_dump()),
            section.model,
            place,
            revision=section.revision,
            dtype=section.dtype,
            host=host or own_name(),
            api_key_env=section.api_key_env,
        )
    except OSError as error:
        raise click.UsageError(
            f"cannot announce a server in {place} ({error.strerror}); choose another --register"
        ) from None
    try:
        if section.api_key_env is None and serving.start.listen != "127.0.0.1":
            click.echo("Whoever reaches this machine may use the model; api_key_env asks for a key.", err=True)
        click.echo("Ctrl-C, or the end of the job, withdraws and ends it.", err=True)
        serving.run(stop, ready)
    finally:
        serving.close()
    click.echo("withdrawn and ended", err=True)


def _is_host(text: str) -> bool:
    """Whether a text can stand for a machine in a URL; a URL, or a name with a port, cannot."""
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(text))
    return re.fullmatch(r"[\w.-]+", text) is not None


def _section(recipe: Recipe, role: str) -> ServerSection:
    """The section of a role, which has to say what to start."""
    from deepwriting.errors import RecipeError
    from deepwriting.recipe import ServerSection

    engines = recipe.engines
    roles = dict(zip((name.replace(" ", "-") for name in engines.generator_roles), engines.generators, strict=True))
    if engines.scorer is not None:
        roles["scorer"] = engines.scorer
    if role not in roles:
        raise click.UsageError(f"--role {role} is not in this recipe; allowed: {', '.join(roles)}")
    section = roles[role]
    if not isinstance(section, ServerSection) or section.start is None:
        has = "no start" if isinstance(section, ServerSection) else f"engine {section.engine!r}"
        raise RecipeError(
            f"the {role} has {has}, so there is no server to start; allowed: engine server with start (and endpoints)"
        )
    return section


def _folder(folder: Path | None, section: ServerSection) -> Path:
    if folder is None and section.endpoints is None:
        raise click.UsageError("nobody would know of the server: name --register FOLDER, or endpoints in the recipe")
    place = (folder or Path(section.endpoints or "")).expanduser()
    if folder is not None and re.match(r"[a-z][a-z0-9+.-]+:/", str(folder)):  # s3://…, of which a path keeps one slash
        raise click.UsageError(f"--register {folder} is an address; allowed: a folder that the other machines see")
    if place.is_file():
        raise click.UsageError(f"{place} is a file; a server is announced in a folder: name one as --register")
    return place.absolute()
