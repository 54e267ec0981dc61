r"""Git's objects, one compressed file each, named by the hash of their contents.

    objects/ab/cdef…    zlib("blob 12\0" + contents)

Only what a Hub needs of git: blobs, trees, commits and annotated tags. Since the format is git's own, the hashes that
clients see are those they compute themselves, and ``git --git-dir`` reads the folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["blob", "tree", "commit", "tag"]
#: A full object id (40 hexadecimal digits).
OID = re.compile(r"[0-9a-f]{40}")
#: What the name of a file begins with until it is whole; git knows that such a file is none of its objects.
UNFINISHED = "tmp_obj_"
_FILE, _FOLDER = b"100644", b"40000"
#: Enough of a compressed object to know its kind and size: the tables of its compression come first, up to 300 bytes.
_HEADER_BYTES = 1024


def write_atomically(path: Path, contents: bytes, *, scratch: Path | None = None) -> None:
    """Write a file so that a reader finds all of it or none of it.

    Args:
        path: where.
        contents: all of it.
        scratch: folder in which it is written first, by default that of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=scratch or path.parent, prefix=UNFINISHED)
    with os.fdopen(handle, "wb") as file:
        file.write(contents)
    os.replace(name, path)


def object_id(kind: Kind, contents: bytes) -> str:
    """The hash under which git keeps an object."""
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(contents)) + contents, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Commit:
    """A commit as read.

    Attributes:
        oid: its id.
        tree: id of the tree of all files.
        parent: id of the commit before, None for the first.
        author: who made it.
        time: when, in seconds since 1970.
        message: title, and after a blank line the rest.
    """

    oid: str
    tree: str
    parent: str | None
    author: str
    time: int
    message: str

    @property
    def title(self) -> str:
        """First line of the message."""
        return self.message.partition("\n")[0]


class Objects:
    """The objects of a repository.

    Args:
        folder: git's ``objects`` folder; made when something is written.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def _path(self, oid: str) -> Path:
        return self.folder / oid[:2] / oid[2:]

    def write(self, kind: Kind, contents: bytes) -> str:
        """Keep an object.

        Returns:
            its id.
        """
        oid = object_id(kind, contents)
        path = self._path(oid)
        if not path.exists():
            write_atomically(path, zlib.compress(b"%s %d\0" % (kind.encode(), len(contents)) + contents, 1))
        return oid

    def read(self, oid: str) -> bytes:
        """Contents of an object."""
        return zlib.decompress(self._path(oid).read_bytes()).partition(b"\0")[2]

    def kind(self, oid: str) -> Kind | None:
        """What an object is, or None where there is none of that id."""
        header = self._header(oid)
        return header[0] if header else None

    def size(self, oid: str) -> int:
        """Bytes of an object that exists."""
        header = self._header(oid)
        if header is None:
            raise KeyError(oid)
        return header[1]

    def _header(self, oid: str) -> tuple[Kind, int] | None:
        if not OID.fullmatch(oid) or not self._path(oid).exists():
            return None
        with self._path(oid).open("rb") as file:
            start = zlib.decompressobj().decompress(file.read(_HEADER_BYTES), _HEADER_BYTES)
        kind, _, size = start.partition(b"\0")[0].decode().partition(" ")
        return kind, int(size)  # type: ignore[return-value]

    def write_tree(self, files: Mapping[str, str]) -> str:
        """Keep the tree of files.

        Args:
            files: path -> id of its blob.

        Returns:
            the tree's id.
        """
        here: dict[str, tuple[bytes, str]] = {}
        below: dict[str, dict[str, str]] = {}
        for path, oid in files.items():
            name, _, rest = path.partition("/")
            if rest:
                below.setdefault(name, {})[rest] = oid
            else:
                here[name] = (_FILE, oid)
        here.update({name: (_FOLDER, self.write_tree(inside)) for name, inside in below.items()})
        # git sorts a folder as if its name ended with a slash.
        ordered = sorted(here.items(), key=lambda item: (item[0] + "/" if item[1][0] == _FOLDER else item[0]).encode())
        return self.write(
            "tree", b"".join(b"%s %s\0" % (mode, name.encode()) + bytes.fromhex(oid) for name, (mode, oid) in ordered)
        )

    def read_tree(self, oid: str, prefix: str = "") -> Iterator[tuple[str, str, bool]]:
        """Everything below a tree: path, id, whether it is a folder; a folder comes before what is in it."""
        contents = self.read(oid)
        while contents:
            header, _, rest = contents.partition(b"\0")
            mode, _, name = header.partition(b" ")
            path, child, contents = prefix + name.decode(), rest[:20].hex(), rest[20:]
            yield path, child, mode == _FOLDER
            if mode == _FOLDER:
                yield from self.read_tree(child, path + "/")

    def write_commit(self, tree: str, parent: str | None, author: str, time: int, message: str) -> str:
        """Keep a commit.

        Returns:
            its id.
        """
        who = f"{author} <{author}@localhost> {time} +0000"
        lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {who}", f"committer {who}"]
        return self.write("commit", ("\n".join(lines) + f"\n\n{message}\n").encode())

    def read_commit(self, oid: str) -> Commit:
        """A commit that exists."""
        head, _, message = self.read(oid).decode().partition("\n\n")
        fields = dict(line.split(" ", 1) for line in head.splitlines())
        author, _, rest = fields["author"].partition(" <")
        return Commit(oid, fields["tree"], fields.get("parent"), author, int(rest.split()[1]), message.rstrip("\n"))

    def write_tag(self, name: str, commit: str, author: str, time: int, message: str) -> str:
        """Keep an annotated tag.

        Returns:
            its id.
        """
        who = f"{author} <{author}@localhost> {time} +0000"
        return self.write("tag", f"object {commit}\ntype commit\ntag {name}\ntagger {who}\n\n{message}\n".encode())

    def peel(self, oid: str) -> str:
        """The commit that an annotated tag names; any other id as it is."""
        if self.kind(oid) != "tag":
            return oid
        return self.read(oid).decode().split("\n", 1)[0].removeprefix("object ")
