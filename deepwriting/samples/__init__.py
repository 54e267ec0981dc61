"""Small bundled samples in the sources' native layouts: original texts written for this project (CC0-1.0)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from deepwriting.errors import SourceError

#: Prefix of a source path that names a bundled sample.
SAMPLES_PREFIX = "samples://"


def samples_folder() -> Path:
    """The folder that holds the bundled samples."""
    return Path(str(files(__name__)))


def resolve_samples(path: str) -> str:
    """Replace ``samples://NAME`` by the sample's folder or file; other paths come back unchanged.

    Raises:
        SourceError: if there is no such sample.
    """
    if not path.startswith(SAMPLES_PREFIX):
        return path
    name = path.removeprefix(SAMPLES_PREFIX)
    target = samples_folder() / name
    if not target.exists():
        known = sorted(entry.name for entry in samples_folder().iterdir() if entry.is_dir() and entry.name[0] != "_")
        raise SourceError(f"no bundled sample {name!r}; there are {', '.join(known)}")
    return str(target)
