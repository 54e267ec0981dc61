"""Where remote folders have their copies on this machine, and which remote folder a copy belongs to.

    /tmp/deepwriting-1000/runs/s3%3A%2F%2Fbucket%2Fmine/         the working copy: tasks and the driver work here
    /tmp/deepwriting-1000/runs/s3%3A%2F%2Fbucket%2Fmine.marks/   what of it is known to be equal to the original
    /tmp/deepwriting-1000/views/…                                what `status` and others have fetched to look at

A copy's name is its original's URL. So nothing has to be handed along: a task that is sent to another machine with the
path of its stage's folder finds there, from the path alone, where the folder comes from.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote

from deepwriting.errors import RemoteError

#: Environment variable with the folder of all copies. It has to be one that every machine can make: the path that the
#: driver chooses is the path that tasks use.
COPIES_VARIABLE = "DEEPWRITING_COPIES"
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
#: Protocols of this machine's own files, and of memory, which no second process sees.
_LOCAL, _NOWHERE = frozenset(("file", "local")), frozenset(("memory",))
#: Longest name of a file on all usual file systems, less our endings (bytes).
_LONGEST_NAME = 240


def protocol_of(text: str) -> str:
    """The protocol of a URL; empty for a plain path."""
    found = _PROTOCOL.match(text)
    return found[1].lower() if found else ""


def is_remote(place: str | os.PathLike[str]) -> bool:
    """Whether a place is not on this machine's disks, as far as its name tells: ``s3://…`` is, ``file://`` is not.

    Raises:
        RemoteError: for a place that only this process would see, or without a bucket.
    """
    text = os.fspath(place)
    protocol = protocol_of(text)
    if protocol in _NOWHERE:
        raise RemoteError(f"{text} is in this process's memory; expected s3://, gs://, hf://buckets/ …")
    if protocol == "" or protocol in _LOCAL:
        return False
    if text.partition("://")[2][:1] in ("", "/"):
        raise RemoteError(f"{text} names no bucket; expected {protocol}://BUCKET/…")
    return True


def local_path(place: str | os.PathLike[str]) -> Path:
    """The path of a place on this machine, ``file://`` or not."""
    text = os.fspath(place)
    return Path(unquote(text.partition("://")[2])) if protocol_of(text) in _LOCAL else Path(text)


def copies_root() -> Path:
    """The folder of all copies, for this user alone."""
    named = os.environ.get(COPIES_VARIABLE)
    return Path(named) if named else Path(tempfile.gettempdir()) / f"deepwriting-{os.getuid()}"


def working_copy(url: str) -> Path:
    """Where the working copy of a remote run is, or would be."""
    return _below("runs", url)


def view_copy(url: str) -> Path:
    """Where what is only looked at is kept."""
    return _below("views", url)


def _below(kind: str, url: str) -> Path:
    name = quote(url.rstrip("/"), safe="")
    if len(name.encode()) > _LONGEST_NAME:
        raise RemoteError(f"{url} is too long for the name of a folder here: {len(name)} bytes, {_LONGEST_NAME} fit")
    return (copies_root() / kind / name).absolute()


def url_of(copy: Path) -> str | None:
    """The remote folder that a copy belongs to; ``None`` for a folder of this machine's own."""
    if copy.parent.name not in ("runs", "views") or "%3A%2F%2F" not in copy.name:
        return None
    url = unquote(copy.name)
    return url if is_remote(url) else None


def shown(folder: Path) -> str:
    """A run's folder as a person knows it: the URL of a copy, the path of any other."""
    return url_of(folder) or str(folder)
