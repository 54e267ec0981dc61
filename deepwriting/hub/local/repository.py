"""A repository: a bare git repository, with the large files beside it.

    NAME.git/
        HEAD, config, objects/…, refs/heads/main, refs/tags/v1.0.0
        lfs/objects/ab/cd/abcd…     large files by the hash of their contents, where git-lfs keeps them
        settings.json               private or not, when it was made

A commit is one new file that names the commit of a branch, put in place at once: a reader sees the state before or the
state after, and a server that is killed leaves at most objects that nothing names.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from deepwriting.hub.local.entries import Entry, gitattributes, read_entry
from deepwriting.hub.local.messages import StatusError
from deepwriting.hub.local.objects import OID, Commit, Objects, write_atomically

MAIN = "main"
RefKind = Literal["heads", "tags"]
_REF_NAME = re.compile(r"(?!.*(\.\.|//|@\{|\.lock$|/$|\.$))[A-Za-z0-9_][A-Za-z0-9._/+@-]*")
#: Trees of each repository that are kept in memory.
_KEPT_TREES = 16


class Repository:
    """A repository on disk.

    Args:
        folder: its bare git repository.
        kind: ``dataset`` or ``model``.
        name: namespace and name.
    """

    def __init__(self, folder: Path, kind: str, name: str):
        self.folder, self.kind, self.name = folder, kind, name
        self.objects = Objects(folder / "objects")
        #: Held while a branch or tag changes.
        self.lock = threading.RLock()
        self.entries: Callable[[str], dict[str, Entry]] = lru_cache(_KEPT_TREES)(self._entries)

    @classmethod
    def create(cls, folder: Path, kind: str, name: str, *, private: bool, author: str) -> Repository:
        """Make one with a first commit, as the Hub does."""
        repository = cls(folder, kind, name)
        write_atomically(folder / "HEAD", f"ref: refs/heads/{MAIN}\n".encode())
        write_atomically(folder / "config", b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        blob = repository.objects.write("blob", gitattributes())
        tree = repository.objects.write_tree({".gitattributes": blob})
        first = repository.objects.write_commit(tree, None, author, int(time.time()), "initial commit")
        repository._point("heads", MAIN, first)
        # Written last: a folder without it is no repository.
        repository.change_settings(private=private, created=time.time())
        return repository

    @property
    def settings(self) -> dict[str, Any]:
        """``private`` and ``created`` (seconds since 1970)."""
        found: dict[str, Any] = json.loads((self.folder / "settings.json").read_text())
        return found

    def change_settings(self, **changes: Any) -> None:
        """Keep other settings."""
        file = self.folder / "settings.json"
        kept = self.settings if file.exists() else {}
        write_atomically(file, json.dumps(kept | changes).encode())

    # Branches, tags and revisions

    def refs(self, kind: RefKind) -> dict[str, str]:
        """Branches or tags: name -> commit."""
        base = self.folder / "refs" / kind
        files = sorted(file for file in base.rglob("*") if file.is_file())
        return {str(file.relative_to(base)): self.objects.peel(file.read_text().strip()) for file in files}

    def find(self, revision: str) -> str | None:
        """The commit that a branch, a tag or an id names."""
        name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        for kind in ("heads", "tags"):
            file = self.folder / "refs" / kind / name
            if _REF_NAME.fullmatch(name) and file.is_file():
                return self.objects.peel(file.read_text().strip())
        return revision if OID.fullmatch(revision) and self.objects.kind(revision) == "commit" else None

    def resolve(self, revision: str) -> str:
        """The commit that a branch, a tag or an id names.

        Raises:
            StatusError: if there is none.
        """
        commit = self.find(revision)
        if commit is None:
            raise StatusError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def add_ref(self, kind: RefKind, name: str, commit: str, *, author: str = "", message: str = "") -> None:
        """Make a branch or a tag.

        Args:
            kind: which of them.
            name: its name.
            commit: what it names.
            author: who makes an annotated tag.
            message: what an annotated tag says; without it the tag is a plain name.

        Raises:
            StatusError: if there is one of that name, or the name is none.
        """
        noun = "Branch" if kind == "heads" else "Tag"
        if not _REF_NAME.fullmatch(name) or OID.fullmatch(name):
            raise StatusError(400, f"{noun} name {name!r} is invalid")
        with self.lock:
            names = self.refs(kind)
            if name in names:
                raise StatusError(409, f"{noun} {name} already exists")
            if any(other.startswith(name + "/") or name.startswith(other + "/") for other in names):
                raise StatusError(400, f"{noun} {name} would be a folder of another one")
            if message:
                commit = self.objects.write_tag(name, commit, author, int(time.time()), message)
            self._point(kind, name, commit)

    def remove_ref(self, kind: RefKind, name: str) -> None:
        """Take away a branch or a tag; what it names stays.

        Raises:
            StatusError: if there is none of that name, or it is the main branch.
        """
        with self.lock:
            if name not in self.refs(kind):
                raise StatusError(404, f"Invalid rev id: {name}", "RevisionNotFound")
            if (kind, name) == ("heads", MAIN):
                raise StatusError(403, f"the branch {MAIN} cannot be deleted")
            file = self.folder / "refs" / kind / name
            file.unlink()
            # A folder that stayed empty would be in the way of a name.
            for parent in file.parents[: name.count("/")]:
                if not any(parent.iterdir()):
                    parent.rmdir()

    def _point(self, kind: RefKind, name: str, oid: str) -> None:
        # Not in the folder of refs first: a server killed in between would leave a branch that is none.
        write_atomically(self.folder / "refs" / kind / name, f"{oid}\n".encode(), scratch=self.folder)

    # Commits

    def history(self, commit: str) -> Iterator[Commit]:
        """Commits from that one back to the first."""
        oid: str | None = commit
        while oid:
            found = self.objects.read_commit(oid)
            yield found
            oid = found.parent

    def files(self, commit: str) -> dict[str, Entry]:
        """Files of a commit by path, in git's order."""
        return self.entries(self.objects.read_commit(commit).tree)

    def folders(self, commit: str) -> dict[str, str]:
        """Folders of a commit: path -> id of the tree."""
        tree = self.objects.read_commit(commit).tree
        return {path: oid for path, oid, is_folder in self.objects.read_tree(tree) if is_folder}

    def _entries(self, tree: str) -> dict[str, Entry]:
        return {
            path: read_entry(self.objects, path, oid)
            for path, oid, is_folder in self.objects.read_tree(tree)
            if not is_folder
        }

    def commit(
        self, branch: str, change: Callable[[dict[str, str]], None], *, author: str, message: str, parent: str | None
    ) -> str:
        """Make a commit on a branch.

        Args:
            branch: its name.
            change: gets path -> blob of all files and changes it.
            author: who makes the commit.
            message: what it says.
            parent: the commit that the branch must name, None for any.

        Returns:
            the new commit.

        Raises:
            StatusError: if there is no such branch, or it names another commit than ``parent``.
        """
        with self.lock:
            head = self.refs("heads").get(branch)
            if head is None:
                raise StatusError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
            if parent is not None and parent != head:
                raise StatusError(412, "A commit has happened since. Please refresh and try again.")
            files = {path: entry.oid for path, entry in self.files(head).items()}
            change(files)
            check_tree(files)
            oid = self.objects.write_commit(self.objects.write_tree(files), head, author, int(time.time()), message)
            self._point("heads", branch, oid)
            return oid

    def last_commits(self, commit: str) -> dict[str, Commit]:
        """For every file and folder of a commit, the last commit that changed it."""
        found: dict[str, Commit] = {}
        wanted = {path: oid for path, oid, _ in self.objects.read_tree(self.objects.read_commit(commit).tree)}
        for here in self.history(commit):
            before: dict[str, str] = {}
            if here.parent:
                tree = self.objects.read_commit(here.parent).tree
                before = {path: oid for path, oid, _ in self.objects.read_tree(tree)}
            for path, oid in wanted.items():
                if path not in found and before.get(path) != oid:
                    found[path] = here
            if len(found) == len(wanted):
                break
        return found

    # Large files

    def large_file(self, sha256: str) -> Path:
        """Where a large file is kept, if it is."""
        return self.folder / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256


def check_tree(files: Mapping[str, str]) -> None:
    """See that paths can be the files of a commit.

    Raises:
        StatusError: if one escapes, is git's own, or is both a file and a folder.
    """
    for path in files:
        parts = path.split("/")
        if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or any(
            ord(character) < 32 or character == "\\" for character in path
        ):
            raise StatusError(400, f"Invalid file path: {path!r}")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in files:
                raise StatusError(400, f"{'/'.join(parts[:depth])!r} would be a file and a folder")
