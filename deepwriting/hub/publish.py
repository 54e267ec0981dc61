"""Publishing a release: checks, a plan, one commit, one tag.

    prepare    look at the folder and at the repository; nothing is written anywhere
    send       create the repository if need be → upload → one commit → the tag → compare tag and folder

The commit is atomic and has the parent that the plan was made for, so nobody sees half a release. What is interrupted
goes on with the same call: large files that have arrived are not sent again, and a commit that was made but not tagged
is recognised by its checksums and gets its tag. A version whose tag exists never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepwriting.builders.manifest import Manifest, parse_manifest
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.errors import BuildError, ConflictError, HubError, RefusedError
from deepwriting.hub.plan import LocalFile, Plan, differences, make_plan, moved_paths, release_files
from deepwriting.hub.preflight.base import Check
from deepwriting.hub.preflight.card import check_the_card
from deepwriting.hub.preflight.files import check_checksums, check_manifest, check_names, check_size
from deepwriting.hub.preflight.release import check_version
from deepwriting.hub.preflight.rights import check_repository, check_token
from deepwriting.hub.preflight.tables import check_rows, read_rows
from deepwriting.hub.preflight.texts import check_personal_data, check_secrets
from deepwriting.hub.repository import Moved, Refs, RemoteFile, Repository
from deepwriting.hub.versions import Version, parse_version, published
from deepwriting.hub.yanked import Yank, read_yanked

#: The branch that readers get who name no version.
MAIN = "main"
#: ``published`` by this call; ``tagged`` by it, after an earlier one was interrupted; or nothing to do.
Outcome = Literal["published", "tagged", "already published"]


@dataclass(frozen=True)
class Permissions:
    """What somebody answers for, although a check would refuse it.

    Attributes:
        licences: names of licences whose texts may be passed on.
        personal_data: kinds of personal data (``cleaning.pii.KINDS``) that are none in these texts.
    """

    licences: Collection[str] = ()
    personal_data: Collection[str] = ()


@dataclass
class Prepared:
    """A release that has been looked at.

    Attributes:
        folder: the dataset folder.
        repo: ``namespace/name``.
        version: the version, which is the tag too; empty if it could not be read.
        branch: where the commit goes.
        private: whether the repository is, or will be, private.
        checks: what every check found.
        plan: what would be sent; None where the repository could not be looked at.
        done: whether the version is published already, with this very content.
        yanked: withdrawn versions of the repository and why.
    """

    folder: Path
    repo: str
    version: str
    branch: str
    private: bool
    checks: list[Check] = field(default_factory=list)
    plan: Plan | None = None
    done: bool = False
    yanked: dict[str, Yank] = field(default_factory=dict)
    files: tuple[LocalFile, ...] = ()
    refs: Refs | None = None
    trees: dict[str, dict[str, RemoteFile]] = field(default_factory=dict)

    @property
    def refused(self) -> list[Check]:
        """The checks that stand in the way."""
        return [check for check in self.checks if check.verdict == "refused"]


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


def prepare(
    folder: str | Path,
    repo: str,
    *,
    version: str | None = None,
    private: bool | None = None,
    branch: str = MAIN,
    permissions: Permissions = Permissions(),  # noqa: B008  (frozen)
    watch: Callable[[str], None] | None = None,
) -> Prepared:
    """Check a folder and its repository, and plan what would be sent; see ``publish`` for the arguments.

    Returns:
        The verdicts, and the plan as far as it can be made. What needs an earlier check that refused is ``skipped``.
    """
    folder = Path(folder)
    prepared = Prepared(folder, repo, version or "", branch, private is not False)
    manifest = _check_folder(prepared, version, permissions, watch or _nobody)
    _check_hub(prepared, manifest, private, watch or _nobody)
    return prepared


def _nobody(_: str) -> None:
    pass


def _check_folder(
    prepared: Prepared, version: str | None, permissions: Permissions, watch: Callable[[str], None]
) -> Manifest | None:
    """The checks that need no Hub, cheap ones first; each later group only where the earlier ones let it be read."""
    folder, checks = prepared.folder, prepared.checks
    manifest, check = check_manifest(folder, version)
    checks.append(check)
    if manifest is None:
        return None
    prepared.version = manifest.version
    checks.append(check_names(folder, manifest))
    if checks[-1].verdict == "refused":
        return None
    watch("checksums")
    checks.append(check_checksums(folder, manifest))
    checks.append(check_size(folder, manifest))
    watch("card")
    checks.append(check_the_card(folder, manifest))
    watch("rows and texts")
    rows = read_rows(folder, manifest)
    checks += check_rows(folder, manifest, rows, permissions.licences)
    checks.append(check_personal_data(folder, rows.scan, permissions.personal_data))
    checks.append(check_secrets(folder, manifest, rows.scan))
    prepared.files = release_files(folder, manifest)
    return manifest


def _check_hub(
    prepared: Prepared, manifest: Manifest | None, private: bool | None, watch: Callable[[str], None]
) -> None:
    """Token, repository and version; then the plan."""
    watch("token and repository")
    checks = prepared.checks
    try:
        repository = Repository(prepared.repo)
        identity, check = check_token(repository)
        checks.append(check)
        if identity is None:
            checks.append(Check("repository", "skipped", "not looked at without a token that works"))
            return
        found, check = check_repository(repository, identity, private)
        checks.append(check)
        if found is not None:
            prepared.private = found
        if manifest is None or check.verdict == "refused":
            return
        _look_at_releases(prepared, manifest, repository if found is not None else None, watch)
    except HubError as error:
        checks.append(Check("Hub", "refused", str(error), "the same command again; it goes on where it stopped"))


def _look_at_releases(
    prepared: Prepared, manifest: Manifest, repository: Repository | None, watch: Callable[[str], None]
) -> None:
    watch("versions")
    version = parse_version(manifest.version)
    assert version is not None, "check_manifest has read it"
    refs = prepared.refs = repository.refs() if repository else Refs({}, {})
    versions = published(refs.tags)
    if repository is not None and MAIN in refs.branches:
        prepared.yanked = read_yanked(repository, refs.branches[MAIN])
    if repository is not None and version in versions:
        tree = prepared.trees[refs.tags[versions[version]]] = repository.tree(refs.tags[versions[version]])
        different = differences(prepared.folder, prepared.files, tree)
        prepared.done = not different
    else:
        different = []
    prepared.checks.append(
        check_version(prepared.folder, manifest, repository, versions, different, prepared.yanked, watch)
    )
    if prepared.checks[-1].verdict != "refused":
        prepared.plan = _planned(prepared, repository, versions)


def _planned(prepared: Prepared, repository: Repository | None, versions: dict[Version, str]) -> Plan:
    refs = prepared.refs or Refs({}, {})
    head = refs.branches.get(prepared.branch) or refs.branches.get(MAIN)
    if repository is None or head is None:
        return make_plan(prepared.folder, prepared.files, {})
    if prepared.done:
        head = refs.tags[versions[Version(*map(int, prepared.version.split(".")))]]
    tree = _tree(prepared, repository, head)
    elsewhere: list[RemoteFile] = []
    if versions:
        elsewhere += _tree(prepared, repository, refs.tags[list(versions.values())[-1]]).values()
    return make_plan(
        prepared.folder, prepared.files, tree, elsewhere=elsewhere, earlier=_earlier(repository, head, tree)
    )


def _tree(prepared: Prepared, repository: Repository, revision: str) -> dict[str, RemoteFile]:
    if revision not in prepared.trees:
        prepared.trees[revision] = repository.tree(revision)
    return prepared.trees[revision]


def _earlier(repository: Repository, head: str, tree: dict[str, RemoteFile]) -> list[str]:
    """Paths that the release at the head of a branch has put there, by its manifest."""
    text = repository.read(MANIFEST_FILE, head) if MANIFEST_FILE in tree else None
    try:
        return [file.path for file in parse_manifest(text).files()] if text else []
    except BuildError:
        return []  # somebody else's manifest: its files are left alone


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
    watch = watch or _nobody
    repository = Repository(prepared.repo)
    if prepared.done and prepared.refs:
        tag = published(prepared.refs.tags)[Version(*map(int, prepared.version.split(".")))]
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
    """The head of the branch; repository and branch are created if they are not there."""
    if prepared.refs is None or not prepared.refs.branches:
        repository.create(private=prepared.private)
    branches = repository.refs().branches
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
        tree = _tree(prepared, repository, head)
        plan = make_plan(prepared.folder, prepared.files, tree, earlier=_earlier(repository, head, tree))
        if plan.empty:
            return head, False
        try:
            commit = repository.commit(
                _operations(prepared.folder, plan), message=_title(prepared), branch=prepared.branch, parent=head
            )
        except Moved as error:
            moved = repository.refs()
            now = moved.branches.get(prepared.branch, head)
            if not differences(prepared.folder, prepared.files, _tree(prepared, repository, now)):
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
    touched = moved_paths(_tree(prepared, repository, before), _tree(prepared, repository, now))
    ours = differences(prepared.folder, prepared.files, _tree(prepared, repository, now))
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
