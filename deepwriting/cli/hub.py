"""``deepwriting hub``: a Hub on this machine, to try or test a release without an account."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

#: Port listened on unless another is asked for; a fixed one, so that the printed lines stay true after a restart.
DEFAULT_PORT = 8642
#: Addresses that only this machine reaches.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command(
    "hub",
    short_help="start a Hub on this machine",
    epilog="Example:  deepwriting hub --local --data hub-data",
)
@click.option("--local", is_flag=True, required=True, help="On this machine; there is no other kind.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 takes a free one."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; others can reach any but this."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("hub-data"),
    show_default=True,
    help="Folder that keeps repositories and tokens; a restart finds them again.",
)
@click.option("--user", default="local", show_default=True, help="Name of the user, where the folder is new.")
@click.option("--namespace", "namespaces", multiple=True, help="Organisation in whose name the user may publish too.")
@click.option("--testing", is_flag=True, help="Also take faults and keep a log of requests: see tests/hub_server.")
@click.option(
    "--jobs", is_flag=True, help="Also run jobs, as processes on this machine, for whoever has the write token."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output: one line when it listens.")
def command(
    local: bool,
    port: int,
    host: str,
    data: Path,
    user: str,
    namespaces: tuple[str, ...],
    testing: bool,
    jobs: bool,
    as_json: bool,
) -> None:
    """Start a Hub on this machine; it answers until it is interrupted.

    It speaks the protocol of the Hugging Face Hub, so `deepwriting publish`, load_dataset and every tool built on
    huggingface_hub work against it once the printed variables are set.
    """
    del local
    from deepwriting.hub.local.server import LocalHub

    try:
        hub = LocalHub(data, host=host, port=port, user=user, namespaces=namespaces, testing=testing, jobs=jobs)
    except BlockingIOError as error:
        raise click.UsageError(f"{error}; stop it, or choose another --data") from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        if error.filename:
            raise click.UsageError(f"cannot use {error.filename} ({error.strerror}); choose another --data") from None
        raise click.UsageError(f"cannot listen on {host}:{port} ({error.strerror}); choose another --port") from None
    tokens = {role: hub.store.tokens.of_role(role) for role in ("write", "read", "expired")}
    variables = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": tokens["write"], "HF_HUB_DISABLE_XET": "1"}
    user = hub.store.tokens.user
    if as_json:
        found = {"endpoint": hub.endpoint, "data": str(data), "user": user, "tokens": tokens, "env": variables}
        click.echo(json.dumps(found))
    else:
        click.echo(f"A local Hub keeps its repositories in {data}. In another terminal:", err=True)
        click.echo("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))
        click.echo(f"Then publish as {' or '.join(f'{name}/NAME' for name in (user, *namespaces))}.", err=True)
        click.echo("Ctrl-C stops it.", err=True)
    if host not in LOOPBACK:
        click.echo(f"Whoever reaches {host}:{port} sees what is public, and with the token writes.", err=True)
    try:
        hub.serve()
    except KeyboardInterrupt:
        click.echo(f"stopped; {data} keeps everything", err=True)
