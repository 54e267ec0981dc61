"""What publishing would send: file by file, compared with what the repository already has.

========  =======================================================================
new       is not in the repository
changed   has another content there
stored    lies in the repository under another name: nothing is sent but the name
same      is there already
========  =======================================================================

Bytes are those of whole files. A store that keeps files in chunks (Xet) sends less of a changed file, as much as its
chunks differ; only the store knows how much.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deepwriting.builders.manifest import Manifest
from deepwriting.builders.parquet import file_facts
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.hub.repository import RemoteFile

State = Literal["new", "changed", "stored", "same"]
#: The list of withdrawn versions, which lies on the main branch beside the release and is no part of it.
YANKED_FILE = "yanked.json"
#: Name of the card in every repository.
CARD_FILE = "README.md"
#: Files of the Hub's and of the repository's own, which are no part of any release and nobody's mistake either.
_BESIDE = (".gitattributes", YANKED_FILE)
#: Folders and files that a release owns: what lies there and is not part of it would be loaded or shown with it.
_OWNED = ("data/", "assets/")
_OWNED_FILES = (CARD_FILE, "croissant.json", MANIFEST_FILE)
_HASH_BLOCK = 1 << 20


@dataclass(frozen=True)
class LocalFile:
    """A file of the release.

    Attributes:
        path: its path in the folder and in the repository.
        bytes: its size.
        sha256: its checksum.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class PlannedFile:
    """A file and what becomes of it."""

    file: LocalFile
    state: State


@dataclass(frozen=True)
class Plan:
    """What one commit would do.

    Attributes:
        files: the files of the release.
        deleted: paths that it removes: files of an earlier release.
        kept: paths that it leaves alone: files that no release has put there.
    """

    files: tuple[PlannedFile, ...]
    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Size of the release."""
        return sum(planned.file.bytes for planned in self.files)

    @property
    def new_bytes(self) -> int:
        """Size of the files whose content the repository lacks."""
        return sum(planned.file.bytes for planned in self.files if planned.state in ("new", "changed"))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.deleted and all(planned.state == "same" for planned in self.files)

    def count(self, state: State) -> int:
        """Files in a state."""
        return sum(planned.state == state for planned in self.files)


def release_files(folder: Path, manifest: Manifest) -> tuple[LocalFile, ...]:
    """The files of a release; their checksums are the manifest's, which have been checked."""
    own = file_facts(folder / MANIFEST_FILE, folder)
    listed = [LocalFile(file.path, file.bytes, file.sha256) for file in manifest.files()]
    return (*listed, LocalFile(MANIFEST_FILE, own.bytes, own.sha256))


def make_plan(
    folder: Path,
    files: Iterable[LocalFile],
    tree: Mapping[str, RemoteFile],
    *,
    elsewhere: Iterable[RemoteFile] = (),
    earlier: Iterable[str] = (),
) -> Plan:
    """Compare a release with a repository.

    Args:
        folder: the dataset folder.
        files: the files of the release.
        tree: the files at the head of the branch.
        elsewhere: files of other revisions, whose contents the repository stores too.
        earlier: paths that the release at the head of the branch has put there.
    """
    stored = {found.sha256 for found in (*tree.values(), *elsewhere) if found.sha256}
    planned = []
    for file in files:
        found = tree.get(file.path)
        state: State
        if found is not None and is_same(folder, file, found):
            state = "same"
        elif file.sha256 in stored:
            state = "stored"
        else:
            state = "new" if found is None else "changed"
        planned.append(PlannedFile(file, state))
    ours = {planned_.file.path for planned_ in planned}
    left = sorted(set(tree) - ours - {*_BESIDE})
    deleted = [path for path in left if is_owned(path) or path in set(earlier)]
    return Plan(tuple(planned), tuple(deleted), tuple(path for path in left if path not in deleted))


def is_owned(path: str) -> bool:
    """Whether a path belongs to the release that a branch holds."""
    return path.startswith(_OWNED) or path in _OWNED_FILES


def is_same(folder: Path, file: LocalFile, found: RemoteFile) -> bool:
    """Whether a file of the release is the one on the Hub, told by checksums alone."""
    if found.sha256 is not None:
        return found.sha256 == file.sha256
    return found.bytes == file.bytes and found.blob == git_hash(folder / file.path)


def git_hash(path: Path) -> str:
    """The hash that git has for a file's contents."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def differences(folder: Path, files: Iterable[LocalFile], tree: Mapping[str, RemoteFile]) -> list[str]:
    """Paths in which a revision on the Hub is not the release; files that a release does not own don't count."""
    ours = {file.path: file for file in files}
    different = [path for path, file in ours.items() if path not in tree or not is_same(folder, file, tree[path])]
    return sorted([*different, *(path for path in tree if is_owned(path) and path not in ours)])


def moved_paths(old: Mapping[str, RemoteFile], new: Mapping[str, RemoteFile]) -> list[str]:
    """Paths that a release owns and that differ between two revisions."""
    return sorted(
        path
        for path in {*old, *new}
        if is_owned(path)
        and (
            path not in old
            or path not in new
            or (old[path].blob, old[path].sha256) != (new[path].blob, new[path].sha256)
        )
    )
