"""The folder of all repositories: making, finding and deleting them, who may see them, and what they weigh.

DATA/
    tokens.json
    datasets/NAMESPACE/NAME.git/     one bare repository each (repository.py)
    models/…
    buckets/NAMESPACE/NAME/          files without history (buckets.py)
    xet/                             large files in pieces, shared by all repositories (xet.py)
    jobs/                            what jobs print and leave (jobs.py)
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepwriting.hub.local.buckets import Bucket
from deepwriting.hub.local.faults import Faults
from deepwriting.hub.local.jobs import Jobs
from deepwriting.hub.local.links import Links
from deepwriting.hub.local.messages import StatusError
from deepwriting.hub.local.repository import Repository
from deepwriting.hub.local.tokens import Token, Tokens
from deepwriting.hub.local.xet import XetFile, XetStore

#: The kinds of repositories, and the folder and first part of the address of each.
KINDS = {"dataset": "datasets", "model": "models"}
_NAME = re.compile(r"(?!.*(--|\.\.))(?!.*\.git$)[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
NAME_RULE = "letters, digits, '-', '_' and '.', at most 96, without '--', '..' and '.git' at the end"


@dataclass(frozen=True)
class Stored:
    """Bytes on disk.

    Attributes:
        git: compressed git objects.
        large: large files.
        xet: blocks of pieces and which of them make up which file.
    """

    git: int
    large: int
    xet: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.git + self.large + self.xet


class Store:
    """All repositories of a folder.

    Args:
        folder: where they are.
        user: the user's name, where the folder is new.
        namespaces: organisations in whose names the user may write too.
        testing: whether faults may be set and requests looked at.
        jobs: whether jobs may be run, as processes on this machine.
    """

    def __init__(
        self,
        folder: Path,
        user: str = "local",
        namespaces: tuple[str, ...] = (),
        *,
        testing: bool = False,
        jobs: bool = False,
    ):
        self.folder = folder
        self.tokens = Tokens(folder / "tokens.json", user)
        self.namespaces = namespaces
        self.testing = testing
        self.links = Links()
        self.faults = Faults()
        self.xet = XetStore(folder)
        self.jobs = Jobs(folder / "jobs") if jobs else None
        self._lock = threading.RLock()
        self._open: dict[tuple[str, str], Repository] = {}

    def may_write(self, token: Token | None, namespace: str) -> bool:
        """Whether repositories of a namespace may be changed with a token."""
        return token is not None and token.role == "write" and namespace in (token.user, *self.namespaces)

    def require_write(self, token: Token | None, namespace: str) -> Token:
        """The token, if it may change repositories of a namespace.

        Raises:
            StatusError: if it may not.
        """
        if token is None:
            raise StatusError(401, "Invalid username or password.")
        if token.role != "write":
            raise StatusError(403, "Forbidden: you must use a write token to upload to a repository.")
        if not self.may_write(token, namespace):
            raise StatusError(403, f'You don\'t have the rights to write in the namespace "{namespace}"')
        return token

    def create(self, kind: str, namespace: str, name: str, *, private: bool, author: str) -> Repository:
        """Make a repository.

        Raises:
            StatusError: if the name is none, or taken.
        """
        for part in (namespace, name):
            if not _NAME.fullmatch(part):
                raise StatusError(400, f"Invalid repo name {part!r}: {NAME_RULE}")
        folder = self._folder(kind, namespace, name)
        with self._lock:
            if (folder / "settings.json").exists():
                raise StatusError(409, f"You already created this {kind} repo: {namespace}/{name}")
            shutil.rmtree(folder, ignore_errors=True)
            made = Repository.create(folder, kind, f"{namespace}/{name}", private=private, author=author)
            self._open[kind, made.name] = made
            return made

    def delete(self, repository: Repository) -> None:
        """Take a repository away, with all it holds."""
        with self._lock, repository.lock:
            (repository.folder / "settings.json").unlink()
            self._open.pop((repository.kind, repository.name), None)
            shutil.rmtree(repository.folder, ignore_errors=True)

    def find(self, kind: str, namespace: str, name: str, token: Token | None) -> Repository:
        """A repository that the token may see.

        Raises:
            StatusError: if there is none, or it is private and not the user's: nobody can tell the two apart.
        """
        with self._lock:
            repository = self._open.get((kind, f"{namespace}/{name}"))
            folder = self._folder(kind, namespace, name)
            if repository is None and (folder / "settings.json").exists():
                repository = self._open[kind, f"{namespace}/{name}"] = Repository(folder, kind, f"{namespace}/{name}")
        if repository is None or not self.may_see(repository, token):
            # As the Hub: somebody without a token might see it with one.
            raise StatusError(404 if token else 401, "Repository not found", "RepoNotFound")
        return repository

    def bucket(self, namespace: str, name: str) -> Bucket:
        """A bucket, which may not have been made yet.

        Raises:
            StatusError: if the name is none.
        """
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
            raise StatusError(400, f"Invalid bucket name {namespace}/{name}: {NAME_RULE}")
        return Bucket(self.folder / "buckets" / namespace / name, f"{namespace}/{name}")

    def of_owner(self, kind: str, namespace: str, name: str) -> Repository:
        """A repository for somebody with a signed address, whatever may be seen without."""
        return self.find(kind, namespace, name, Token("", namespace, "read"))

    def may_see(self, repository: Repository, token: Token | None) -> bool:
        """Whether somebody with that token may read a repository."""
        namespace = repository.name.partition("/")[0]
        known = token is not None and namespace in (token.user, *self.namespaces)
        return known or not repository.settings["private"]

    def all(self, kind: str) -> Iterator[Repository]:
        """Every repository of a kind, by name."""
        for file in sorted((self.folder / KINDS[kind]).glob("*/*.git/settings.json")):
            yield self.of_owner(kind, file.parent.parent.name, file.parent.name.removesuffix(".git"))

    def _folder(self, kind: str, namespace: str, name: str) -> Path:
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
            return self.folder / "none"
        return self.folder / KINDS[kind] / namespace / f"{name}.git"

    def large_file(self, repository: Repository, sha256: str) -> Path | XetFile | None:
        """Where a large file is: whole, in pieces, or not here."""
        whole = repository.large_file(sha256)
        return whole if whole.exists() else self.xet.find(sha256)

    def large_size(self, repository: Repository, sha256: str) -> int | None:
        """Bytes of a large file, None where it is not here."""
        found = self.large_file(repository, sha256)
        return found.stat().st_size if isinstance(found, Path) else found.size if found else None

    def stored(self) -> Stored:
        """What everything weighs on disk."""
        git = large = 0
        for kind in KINDS.values():
            for file in (self.folder / kind).rglob("*"):
                parts = file.relative_to(self.folder).parts
                if file.is_file() and parts[3:4] == ("objects",):
                    git += file.stat().st_size
                elif file.is_file() and parts[3:4] == ("lfs",):
                    large += file.stat().st_size
        return Stored(git, large, self.xet.stored())

    def clear(self) -> None:
        """Delete every repository and every large file."""
        with self._lock:
            self._open.clear()
            self.xet.forget()
            for name in (*KINDS.values(), "buckets", "xet"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
