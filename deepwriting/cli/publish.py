"""``deepwriting publish``: a dataset folder becomes one version of a repository, or a version is withdrawn."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepwriting.hub.patience import PATIENCE

if TYPE_CHECKING:
    from deepwriting.hub.prepare import Prepared
    from deepwriting.hub.send import Published

#: Kinds of personal data that can be answered for; a test compares them with ``cleaning.pii.KINDS``.
PERSONAL_DATA = ("email", "ip", "card", "phone", "handle")


@click.command(
    "publish",
    short_help="publish a dataset folder as a version on the Hub",
    epilog="Example:  deepwriting publish runs/mine/deepwriting-20k --repo me/dw-20k --version 1.0.0 --dry-run",
)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--repo", metavar="NS/NAME", required=True, help="Repository on the Hub that HF_ENDPOINT names.")
@click.option("--version", metavar="X.Y.Z", help="Version, and tag, of the release [the folder's].")
@click.option(
    "--private/--public",
    default=None,
    help="Who sees a repository that has to be created [private]; one that exists keeps what it has.",
)
@click.option("--branch", default="main", show_default=True, help="Where the commit goes; created if need be.")
@click.option("--dry-run", is_flag=True, help="Check and plan; send nothing.")
@click.option(
    "--allow-licence",
    "licences",
    metavar="NAME",
    multiple=True,
    help="You have the right to pass on texts under this licence; can be given several times.",
)
@click.option(
    "--allow-personal-data",
    "personal",
    multiple=True,
    type=click.Choice(PERSONAL_DATA),
    help="What was found of this kind names nobody; can be given several times.",
)
@click.option("--yank", is_flag=True, help="Withdraw the version instead: say so on the page; its tag stays.")
@click.option("--reason", metavar="TEXT", help="Why it is withdrawn, in a sentence; it is public.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=PATIENCE,
    show_default=True,
    help="Longest silence of the Hub before a request is sent again (seconds).",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    folder: Path | None,
    repo: str,
    version: str | None,
    private: bool | None,
    branch: str,
    dry_run: bool,
    licences: tuple[str, ...],
    personal: tuple[str, ...],
    yank: bool,
    reason: str | None,
    timeout: float,
    as_json: bool,
) -> int:
    """Publish the dataset folder DIR as one version of a repository: one commit, one tag.

    Everything is checked before anything is sent: files, card, schema, licences, personal data, secrets, the token, and
    that the version has grown by enough for what has changed. The token is taken from HF_TOKEN or from `hf auth login`.
    After an interruption the same command goes on where it stopped. A version that is published never changes. Exit
    code 1: refused; nothing was sent.
    """
    _check_usage(folder, repo, version, branch, yank, reason, dry_run)
    from deepwriting.hub.patience import patient_client

    _quiet(as_json)
    with patient_client(timeout):
        if yank:
            return _yank(repo, str(version), str(reason), as_json)
        assert folder is not None, "checked above"
        return _publish(folder, repo, version, private, branch, licences, personal, dry_run, as_json)


def _check_usage(
    folder: Path | None,
    repo: str,
    version: str | None,
    branch: str,
    yank: bool,
    reason: str | None,
    dry_run: bool,
) -> None:
    from deepwriting.hub.preflight.rights import is_repository
    from deepwriting.hub.versions import parse_version

    if not is_repository(repo):
        raise click.UsageError(f"--repo {repo!r}: expected namespace/name, such as me/deepwriting-20k")
    if version is not None and parse_version(version) is None:
        raise click.UsageError(f"--version {version!r}: expected three numbers, such as 1.2.0")
    if parse_version(branch.removeprefix("v")) is not None or not branch.replace("/", "-").replace(".", "-").strip("-"):
        raise click.UsageError(f"--branch {branch!r}: a version is a tag; expected a name such as main or next")
    if yank:
        if version is None or not (reason or "").strip():
            raise click.UsageError('--yank needs the version and the reason: --version 1.2.0 --reason "why"')
        if folder is not None or dry_run:
            raise click.UsageError("--yank takes neither a folder nor --dry-run; it changes no file of the release")
        return
    if reason is not None:
        raise click.UsageError("--reason goes with --yank")
    if folder is None:
        raise click.UsageError("missing DIR, the dataset folder; `deepwriting build RUN DIR` makes one")
    if not folder.is_dir():
        raise click.UsageError(f"there is no folder {str(folder)!r}; `deepwriting build RUN {folder}` makes one")


def _quiet(as_json: bool) -> None:
    """Progress bars of `huggingface_hub` only where somebody looks."""
    if as_json or not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()


def _publish(
    folder: Path,
    repo: str,
    version: str | None,
    private: bool | None,
    branch: str,
    licences: tuple[str, ...],
    personal: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> int:
    from deepwriting.cli.console import err
    from deepwriting.hub.preflight.base import Permissions
    from deepwriting.hub.prepare import prepare
    from deepwriting.hub.send import send

    console = err()
    with console.status("checking …") as status:
        prepared = prepare(
            folder,
            repo,
            version=version,
            private=private,
            branch=branch,
            permissions=Permissions(licences, personal),
            watch=lambda what: status.update(f"checking: {what} …"),
        )
    if not as_json:
        from deepwriting.cli.publish_view import show_checks, show_plan

        show_checks(prepared)
        show_plan(prepared)
    published = None
    if not prepared.refused and not dry_run:
        with console.status("publishing …") as status:
            published = send(prepared, watch=lambda what: status.update(f"{what} …"))
    if as_json:
        click.echo(json.dumps(_as_dict(prepared, published), indent=2, ensure_ascii=False))
    else:
        from deepwriting.cli.publish_view import show_outcome

        show_outcome(prepared, published)
    return 1 if prepared.refused else 0


def _as_dict(prepared: Prepared, published: Published | None) -> dict[str, Any]:
    plan = prepared.plan
    return {
        "repo": prepared.repo,
        "version": prepared.version,
        "branch": prepared.branch,
        "private": prepared.private,
        "state": published.outcome if published else "refused" if prepared.refused else "planned",
        "commit": published.commit if published else None,
        "tag": published.tag if published else None,
        "url": published.url if published else None,
        "checks": [asdict(check) for check in prepared.checks],
        "plan": None
        if plan is None
        else {
            "bytes": plan.total_bytes,
            "new_bytes": plan.new_bytes,
            "files": [{"path": p.file.path, "bytes": p.file.bytes, "state": p.state} for p in plan.files],
            "deleted": list(plan.deleted),
            "kept": list(plan.kept),
        },
        "yanked": {version: entry.reason for version, entry in prepared.yanked.items()},
    }


def _yank(repo: str, version: str, reason: str, as_json: bool) -> int:
    from deepwriting.hub.yanked import yank

    done = yank(repo, version, reason)
    if as_json:
        click.echo(json.dumps(asdict(done), indent=2, ensure_ascii=False))
        return 0
    if done.commit is None:
        click.echo(f"{repo}: version {done.version} was withdrawn before, for the same reason")
        return 0
    click.echo(f"{repo}: version {done.version} is withdrawn: {done.reason}")
    click.echo(
        f"Noted in the card and in yanked.json on main ({done.commit[:8]}). The tag {done.tag} stays: who names it "
        "still gets it.\nNow publish a better one: deepwriting publish DIR --repo "
        f"{repo} --version …",
        err=True,
    )
    return 0
