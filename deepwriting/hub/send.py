"""Sending a release that has been prepared: upload, one commit, one tag, and a last comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.errors import ConflictError, HubError, RefusedError
from deepwriting.hub.plan import Plan, differences, make_plan, moved_paths
from deepwriting.hub.prepare import MAIN, Prepared, earlier_paths, nobody, tree_of
from deepwriting.hub.repository import Moved, Refs, Repository
from deepwriting.hub.versions import published

#: ``published`` by this call; ``tagged`` by it, after an earlier one was interrupted; or nothing to do.
Outcome = Literal["published", "tagged", "already published"]


@dataclass(frozen=True)
class Published:
    """What publishing has done.

    Attributes:
        outcome: see ``Outcome``.
        commit: the commit that the tag points at.
        tag: the tag.
        url: address of the release.
    """

    outcome: Outcome
    commit: str
    tag: str
    url: str


def send(prepared: Prepared, *, watch: Callable[[str], None] | None = None) -> Published:
    """Send a release that every check lets pass.

    Args:
        prepared: what ``prepare`` returned.
        watch: told what is being done.

    Returns:
        What was done.

    Raises:
        RefusedError: if a check refuses, or the version has been published with another content in the meantime.
        ConflictError: if somebody else has changed the release's files in the meantime.
        HubError: if the Hub refuses or cannot be reached; ``prepare`` and ``send`` go on from there.
    """
    if prepared.refused or prepared.plan is None:
        raise RefusedError(", ".join(check.name for check in prepared.refused) or "there is no plan")
    watch = watch or nobody
    repository = Repository(prepared.repo)
    if prepared.done and prepared.refs:
        tag = published(prepared.refs.tags)[prepared.number]
        return _published(repository, "already published", prepared.refs.tags[tag], tag)
    watch("looking at the repository")
    head = _ready_branch(repository, prepared)
    watch(f"uploading {prepared.plan.count('new') + prepared.plan.count('changed')} files")
    commit, committed = _committed(repository, prepared, head)
    watch(f"adding the tag {prepared.version}")
    repository.add_tag(prepared.version, commit)
    watch("comparing the release with the folder")
    if different := differences(prepared.folder, prepared.files, repository.tree(prepared.version)):
        raise HubError(f"{prepared.repo}@{prepared.version} is not the folder: {', '.join(different)} differ")
    return _published(repository, "published" if committed else "tagged", commit, prepared.version)


def _published(repository: Repository, outcome: Outcome, commit: str, tag: str) -> Published:
    return Published(outcome, commit, tag, f"{repository.api.endpoint}/datasets/{repository.name}/tree/{tag}")


def _ready_branch(repository: Repository, prepared: Prepared) -> str:
    """The head of the branch; repository and branch are created if they are not there.

    Raises:
        ConflictError: if the version has been published since ``prepare`` looked.
    """
    if prepared.refs is None or not prepared.refs.branches:
        repository.create(private=prepared.private)
    refs = repository.refs()
    if (commit := refs.tags.get(prepared.version)) and differences(
        prepared.folder, prepared.files, tree_of(prepared, repository, commit)
    ):
        raise ConflictError(f"{prepared.repo}: somebody else has just published another {prepared.version}")
    branches = refs.branches
    if prepared.branch not in branches:
        if MAIN not in branches:
            raise HubError(f"{prepared.repo} has no branch {MAIN} to begin from")
        repository.add_branch(prepared.branch, branches[MAIN])
        branches = repository.refs().branches
    return branches[prepared.branch]


def _committed(repository: Repository, prepared: Prepared, head: str) -> tuple[str, bool]:
    """Bring the branch to the release; returns its commit, and whether it was made now.

    Raises:
        ConflictError: if others change the release's files at the same time.
    """
    known = (prepared.refs or Refs({}, {})).branches.get(prepared.branch)
    if known is not None and known != head:
        _refuse_conflict(repository, prepared, known, head)
    for last in (False, True):
        tree = tree_of(prepared, repository, head)
        plan = make_plan(prepared.folder, prepared.files, tree, earlier=earlier_paths(repository, head, tree))
        if plan.empty:
            return head, False
        try:
            commit = repository.commit(
                _operations(prepared.folder, plan), message=_title(prepared), branch=prepared.branch, parent=head
            )
        except Moved as error:
            moved = repository.refs()
            now = moved.branches.get(prepared.branch, head)
            if not differences(prepared.folder, prepared.files, tree_of(prepared, repository, now)):
                return now, True  # our own commit, whose answer was lost
            _refuse_conflict(repository, prepared, head, now)
            if last:
                raise ConflictError(
                    f"{prepared.repo}: somebody else keeps committing to {prepared.branch}; nothing was published"
                ) from error
            head = now
        else:
            return commit, True
    raise AssertionError("unreachable")


def _refuse_conflict(repository: Repository, prepared: Prepared, before: str, now: str) -> None:
    """Refuse where others have touched what the release owns; commits beside it are no conflict."""
    touched = moved_paths(tree_of(prepared, repository, before), tree_of(prepared, repository, now))
    ours = differences(prepared.folder, prepared.files, tree_of(prepared, repository, now))
    if touched and ours:
        raise ConflictError(
            f"{prepared.repo}: {prepared.branch} has moved from {before[:8]} to {now[:8]} while this release was being "
            f"published, and somebody else has changed {', '.join(touched[:4])}; nothing was published"
        )


def _operations(folder: Path, plan: Plan) -> list[Any]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    added = [
        CommitOperationAdd(planned.file.path, str(folder / planned.file.path))
        for planned in plan.files
        if planned.state != "same"
    ]
    return [*added, *(CommitOperationDelete(path) for path in plan.deleted)]


def _title(prepared: Prepared) -> str:
    digest = next(file.sha256 for file in prepared.files if file.path == MANIFEST_FILE)
    return f"Version {prepared.version} (manifest sha256 {digest[:16]})"
