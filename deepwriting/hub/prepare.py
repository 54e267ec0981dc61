"""Looking at a release before it is sent: the folder's checks, the repository's, and the plan. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deepwriting.builders.manifest import Manifest, parse_manifest
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.errors import BuildError, HubError
from deepwriting.hub.plan import CARD_FILE, LocalFile, Plan, differences, make_plan, moved_paths, release_files
from deepwriting.hub.preflight.base import Check, Permissions, some
from deepwriting.hub.preflight.folder import check_folder
from deepwriting.hub.preflight.release import check_version
from deepwriting.hub.preflight.rights import check_repository, check_token
from deepwriting.hub.repository import Refs, RemoteFile, Repository
from deepwriting.hub.versions import Version, parse_version, published
from deepwriting.hub.yanked import Yank, read_yanked

#: The branch that readers get who name no version.
MAIN = "main"


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
    def number(self) -> Version:
        """The version, where there is a manifest: ``check_manifest`` has read it."""
        found = parse_version(self.version)
        assert found is not None, self.version
        return found

    @property
    def refused(self) -> list[Check]:
        """The checks that stand in the way."""
        return [check for check in self.checks if check.verdict == "refused"]


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
    prepared.checks, manifest = check_folder(folder, version, permissions, watch)
    if manifest is not None:
        prepared.version, prepared.files = manifest.version, release_files(folder, manifest)
    _check_hub(prepared, manifest, private, watch or nobody)
    return prepared


def nobody(_: str) -> None:
    """Nobody watches."""


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
    version = prepared.number
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
        head = refs.tags[versions[prepared.number]]
    tree = tree_of(prepared, repository, head)
    newest = tree_of(prepared, repository, refs.tags[versions[max(versions)]]) if versions else {}
    if versions and not prepared.done:
        _warn_of_edits(prepared, max(versions), newest, tree)
    return make_plan(
        prepared.folder, prepared.files, tree, elsewhere=newest.values(), earlier=earlier_paths(repository, head, tree)
    )


def _warn_of_edits(
    prepared: Prepared, newest: Version, released: dict[str, RemoteFile], tree: dict[str, RemoteFile]
) -> None:
    """Say what somebody has changed on the branch since the newest version: this release replaces it."""
    if not differences(prepared.folder, prepared.files, tree):
        return  # this very release, whose tag is missing
    # The note about withdrawn versions is our own change of the card.
    edited = [path for path in moved_paths(released, tree) if not (path == CARD_FILE and prepared.yanked)]
    if edited:
        detail = f"{prepared.branch} is not {newest} any more, and this release replaces what differs: {some(edited)}"
        prepared.checks.append(Check("branch", "warning", detail, "look at it on the Hub before you go on"))


def tree_of(prepared: Prepared, repository: Repository, revision: str) -> dict[str, RemoteFile]:
    """The files of a revision, listed once."""
    if revision not in prepared.trees:
        prepared.trees[revision] = repository.tree(revision)
    return prepared.trees[revision]


def earlier_paths(repository: Repository, head: str, tree: dict[str, RemoteFile]) -> list[str]:
    """Paths that the release at the head of a branch has put there, by its manifest."""
    text = repository.read(MANIFEST_FILE, head) if MANIFEST_FILE in tree else None
    try:
        return [file.path for file in parse_manifest(text).files()] if text else []
    except BuildError:
        return []  # somebody else's manifest: its files are left alone
