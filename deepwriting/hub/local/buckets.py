"""A bucket: files without history, replaced and deleted one by one. What they hold is in the store of pieces.

DATA/buckets/NAMESPACE/NAME/
    settings.json    whether it is private, and when it was made
    files.json       path -> hash in the store of pieces, size, times
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deepwriting.hub.local.objects import write_atomically

#: One process serves a folder, in many threads.
_LOCK = threading.RLock()


@dataclass(frozen=True)
class BucketEntry:
    """A file of a bucket.

    Attributes:
        hash: its name in the store of pieces.
        size: bytes.
        mtime: when it was changed, as the client said (milliseconds since 1970).
        uploaded: when it came here (seconds since 1970).
    """

    hash: str
    size: int
    mtime: int
    uploaded: float


class Bucket:
    """A bucket in a folder."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name

    @property
    def exists(self) -> bool:
        """Whether it was made."""
        return (self.folder / "settings.json").is_file()

    @property
    def settings(self) -> dict[str, Any]:
        """Whether it is private, and when it was made (seconds since 1970)."""
        found: dict[str, Any] = json.loads((self.folder / "settings.json").read_bytes())
        return found

    def create(self, *, private: bool) -> bool:
        """Make it; whether it was not there before."""
        with _LOCK:
            if self.exists:
                return False
            content = json.dumps({"private": private, "created": time.time()}).encode()
            write_atomically(self.folder / "settings.json", content)
            return True

    def files(self) -> dict[str, BucketEntry]:
        """Its files by path, in order."""
        try:
            listed = json.loads((self.folder / "files.json").read_bytes())
        except FileNotFoundError:
            return {}
        return {path: BucketEntry(**entry) for path, entry in sorted(listed.items())}

    def change(self, added: Mapping[str, BucketEntry], deleted: Iterable[str]) -> list[str]:
        """Add, replace and delete files.

        Returns:
            What was to be deleted and is not there.
        """
        with _LOCK:
            files = self.files()
            missing = [path for path in deleted if files.pop(path, None) is None]
            files |= added
            content = json.dumps({path: asdict(entry) for path, entry in files.items()}).encode()
            write_atomically(self.folder / "files.json", content)
            return missing
