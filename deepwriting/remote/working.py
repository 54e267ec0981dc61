"""A remote run as the rest of the package sees it: a folder here, which is brought up to date and sent at some points.

Every function takes a path of the run's folder here, and does nothing where that is no copy of a remote one. So those
who work with runs call them without asking where the run is.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from deepwriting.errors import FolderError, NotFoundError
from deepwriting.remote.mirror import Mirror
from deepwriting.remote.places import is_remote, local_path, url_of, view_copy, working_copy
from deepwriting.remote.small import LIFE, is_small


def run_folder(place: str) -> Path:
    """The folder here of a run that is to be run: the place itself, or the working copy of a URL. Nothing is fetched.

    Raises:
        RemoteError: if it is no place for a run.
        FolderError: if it is a file.
    """
    if not is_remote(place):
        folder = local_path(place)
        if folder.exists() and not folder.is_dir():
            raise FolderError(f"{place} is a file; a run needs a folder")
        return folder
    copy = working_copy(place)
    copy.mkdir(parents=True, exist_ok=True, mode=0o700)
    return copy


def viewed(url: str) -> Path:
    """A copy of what tells about a remote run, to look at.

    Raises:
        NotFoundError: if there is no run.
        RemoteError: if the store cannot be reached.
    """
    copy = view_copy(url)
    copy.mkdir(parents=True, exist_ok=True, mode=0o700)
    refresh(copy)
    if not (copy / "recipe.yaml").is_file():
        raise NotFoundError(f"no run at {url!r}: there is no {url.rstrip('/')}/recipe.yaml")
    return copy


def refresh(run: Path) -> None:
    """Fetch what tells about a run and has changed there."""
    if url_of(run) is None:
        return
    mirror = Mirror(run)
    there = mirror.remote.list()
    for path, entry in there.items():
        if path.endswith(f"/{LIFE}"):
            mirror.renew(path.removesuffix(f"/{LIFE}"), path, entry)
    found = mirror.pull("", wanted=is_small, vanishing=True, listed=there)
    if run.parent.name == "views":  # there, times tell who is alive: by the store's clock, not by this machine's
        ahead = time.time() - mirror.remote.now()
        for path, entry in found.items():
            if entry.modified is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.utime(run / path, (entry.modified + ahead, entry.modified + ahead))


def bring_up_to_date(run: Path) -> None:
    """For the one process that drives a run, when it begins: what is here is as it is there, finished tasks included.

    A task that has finished here and was killed before it could say so there has to be done again.
    """
    if url_of(run) is None:
        return
    mirror = Mirror(run)
    refresh(run)
    there = mirror.remote.list()
    for path in list(mirror.files()):
        if path not in there and ("/completions/" in path or path.endswith("/stage.json") or "/counts/" in path):
            (run / path).unlink(missing_ok=True)


def is_completed(run: Path, marker: str) -> bool | None:
    """Whether the marker of a finished task is there; ``None`` for a run that is here.

    What this machine has of an earlier beginning of the stage is dropped before.

    Args:
        run: the run's folder.
        marker: the marker's path in it.
    """
    if url_of(run) is None:
        return None
    mirror, stage = Mirror(run), marker.partition("/")[0]
    if (life := mirror.remote.entry(f"{stage}/{LIFE}")) is not None:
        mirror.renew(stage, f"{stage}/{LIFE}", life)
    found = mirror.remote.entry(marker) is not None
    if not found:
        (run / marker).unlink(missing_ok=True)
    return found


def sent(file: Path) -> None:
    """Send a file of a run that this process has written, if it has changed."""
    if (found := _inside(file)) is not None:
        found[0].push([found[1]])


def sent_tree(folder: Path) -> None:
    """Make a folder there what it is here."""
    if (found := _inside(folder)) is not None:
        found[0].push_tree(found[1])


def fetched(folder: Path) -> None:
    """Make a folder here what it is there: rows that are to be read."""
    if (found := _inside(folder)) is not None:
        found[0].pull(found[1], exact=True)


def fetch_dataset(folder: Path) -> None:
    """Make the copy of a dataset's folder what it is there; does nothing for a folder of this machine's own.

    Raises:
        RemoteError: if the store cannot be reached.
    """
    if url_of(folder) is None:
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    Mirror(folder).pull("", exact=True)


def removed(place: Path) -> None:
    """Delete a file or folder of a run there; to be called before it is deleted here."""
    if (found := _inside(place)) is not None:
        found[0].remove(found[1])


def begun_anew(stage: Path) -> None:
    """Say that a stage begins from nothing, so that no machine takes what it has of an earlier life for this one's."""
    if (found := _inside(stage)) is not None:
        mirror, path = found
        stage.mkdir(parents=True, exist_ok=True)
        (stage / LIFE).write_bytes(os.urandom(8).hex().encode())
        mirror.push([f"{path}/{LIFE}"])


def _inside(place: Path) -> tuple[Mirror, str] | None:
    """The mirror that a path is in, and the path in it."""
    place = place.absolute()
    for folder in place.parents:
        if url_of(folder) is not None:
            return Mirror(folder), str(place.relative_to(folder))
    return None
