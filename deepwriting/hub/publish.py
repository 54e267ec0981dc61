"""Publishing a release: checks, a plan, one commit, one tag.

    prepare    look at the folder and at the repository; nothing is written anywhere
    send       create the repository if need be → upload → one commit → the tag → compare tag and folder

The commit is atomic and has the parent that the plan was made for, so nobody sees half a release. What is interrupted
goes on with the same call: large files that have arrived are not sent again, and a commit that was made but not tagged
is recognised by its checksums and gets its tag. A version whose tag exists never changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepwriting.errors import RefusedError
from deepwriting.hub.preflight.base import Permissions
from deepwriting.hub.prepare import MAIN, prepare
from deepwriting.hub.send import Published, send


def publish(
    folder: str | Path,
    repo: str,
    *,
    version: str | None = None,
    private: bool | None = None,
    branch: str = MAIN,
    permissions: Permissions = Permissions(),  # noqa: B008  (frozen)
    watch: Callable[[str], None] | None = None,
) -> Published:
    """Publish a dataset folder as one version of a repository.

        >>> publish("runs/mine/deepwriting-20k", "someone/deepwriting-20k", version="1.2.0")  # doctest: +SKIP

    Args:
        folder: a built dataset.
        repo: ``namespace/name`` on the Hub that ``HF_ENDPOINT`` names.
        version: the version; the manifest's if it is left out, and never another one.
        private: who sees a repository that has to be created; private if it is left out. One that exists keeps what it
            has.
        branch: where the commit goes.
        permissions: what somebody answers for.
        watch: told what is being done.

    Returns:
        What was done.

    Raises:
        RefusedError: if a check stands in the way; nothing was sent.
        TokenError: if the token is not accepted.
        ConflictError: if somebody else has changed the release's files in the meantime.
        HubError: if the Hub refuses or cannot be reached; the same call goes on from there.
    """
    prepared = prepare(
        folder, repo, version=version, private=private, branch=branch, permissions=permissions, watch=watch
    )
    if prepared.refused:
        raise RefusedError("; ".join(f"{check.name}: {check.detail} → {check.repair}" for check in prepared.refused))
    return send(prepared, watch=watch)
