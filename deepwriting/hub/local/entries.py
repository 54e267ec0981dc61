"""A file as a commit has it: its contents as a git blob, or a pointer to a large file kept beside git."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deepwriting.hub.local.objects import Objects

#: Layout of a pointer: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (\d+)\n")
#: No pointer is longer (bytes); larger blobs are not looked at.
_MAX_POINTER = 200
#: Endings of files that go beside git, whatever their size; .gitattributes of a new repository says the same.
LARGE_SUFFIXES = (".parquet", ".arrow", ".zst", ".gz", ".zip", ".png", ".jpg", ".jpeg", ".webp", ".bin", ".safetensors")
#: Text above this size goes beside git too (bytes), as on the Hub.
LARGE_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """A file of a commit.

    Attributes:
        path: where it is in the repository.
        oid: id of its blob: of the contents, or of the pointer.
        size: bytes of the contents.
        sha256: hash of the contents of a large file, None for one that git holds.
        pointer_size: bytes of a large file's pointer.
    """

    path: str
    oid: str
    size: int
    sha256: str | None = None
    pointer_size: int = 0

    @property
    def etag(self) -> str:
        """What changes when the contents change."""
        return self.sha256 or self.oid


def pointer(sha256: str, size: int) -> bytes:
    """The pointer to a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def read_entry(objects: Objects, path: str, oid: str) -> Entry:
    """What a blob stands for."""
    size = objects.size(oid)
    if size <= _MAX_POINTER and (found := _POINTER.fullmatch(objects.read(oid))):
        return Entry(path, oid, int(found[2]), found[1].decode(), size)
    return Entry(path, oid, size)


def is_large(path: str, size: int, sample: bytes) -> bool:
    """Whether a file to be uploaded belongs beside git.

    Args:
        path: where it shall be.
        size: its bytes.
        sample: its beginning.
    """
    return path.lower().endswith(LARGE_SUFFIXES) or size > LARGE_BYTES or b"\0" in sample


def gitattributes() -> bytes:
    """The ``.gitattributes`` of a new repository."""
    return "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE_SUFFIXES).encode()
