"""A copy on this machine of a remote folder: pull what is wanted, push what has changed, delete on both sides.

What is equal on both sides is noted in a file of its own for each (its *mark*: the remote version, local size and
time), so that several processes can work on one copy, and nothing is moved twice. A file whose mark still fits on its
own side has not changed there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from deepwriting.errors import RemoteError
from deepwriting.remote.folder import Entry, RemoteFolder
from deepwriting.remote.places import url_of

#: Ending of the folder with the marks, beside the copy.
MARKS = ".marks"


class Mirror:
    """A remote folder and its copy here.

    Args:
        copy: the folder here; its name says which remote one it belongs to.

    Raises:
        RemoteError: from all methods that move something; see ``RemoteFolder``.
    """

    def __init__(self, copy: Path):
        url = url_of(copy)
        if url is None:
            raise RemoteError(f"{copy} is no copy of a remote folder")
        self.copy = copy
        self.remote = RemoteFolder(url)
        self._marks = copy.with_name(copy.name + MARKS)

    def pull(
        self,
        *below: str,
        wanted: Callable[[str, Entry], bool] = lambda path, entry: True,
        exact: bool = False,
        vanishing: bool = False,
        listed: dict[str, Entry] | None = None,
    ) -> dict[str, Entry]:
        """Fetch what has changed there.

        Args:
            below: folders (or files) to look at.
            wanted: whether a file is to be fetched.
            exact: delete what is here and not there. Otherwise only what had been fetched or pushed and is gone there.
            vanishing: whether files may be deleted there meanwhile, by those who work on them.
            listed: all that is there, if it has been listed just now.

        Returns:
            What is wanted, fetched now or before.
        """
        found: dict[str, Entry] = {}
        for place in below:
            there = self.remote.list(place) if listed is None else listed
            found |= {path: entry for path, entry in there.items() if wanted(path, entry)}
            for path in list(self.files(place)):
                if path not in there and (exact or self._mark(path).exists()):
                    self._forget(path)
        with self._pulling():
            stale = [path for path, entry in found.items() if not self._is_current(path, entry)]

            def fetch(path: str) -> None:
                try:
                    self.remote.download(path, self.copy / path)
                except FileNotFoundError:
                    if not vanishing:
                        raise RemoteError(f"{self.remote.url}/{path} was deleted while it was read") from None
                    return
                if (modified := found[path].modified) is not None:
                    os.utime(self.copy / path, (modified, modified))
                self._note(path, found[path])

            self.remote.each(fetch, stale)
        return found

    def push(self, paths: Iterable[str]) -> list[str]:
        """Send files that have changed here; those that are gone meanwhile are left out.

        Returns:
            What was sent.
        """

        def send(path: str) -> bool:
            file = self.copy / path
            try:
                before = file.stat()
            except FileNotFoundError:
                return False
            if self._marked(path)[1:] == _local(before):
                return False
            try:
                entry = self.remote.upload(file, path)
            except FileNotFoundError:
                return False
            self._note(path, entry, before)
            return True

        paths = list(paths)
        return [path for path, sent in zip(paths, self.remote.each(send, paths), strict=True) if sent]

    def push_tree(self, below: str) -> None:
        """Make a folder there what it is here: changed files are sent, and files that are not here are deleted."""
        here = list(self.files(below))
        self.push(here)
        surplus = self.remote.list(below).keys() - set(here)
        self.remote.delete(sorted(surplus))

    def remove(self, below: str) -> None:
        """Delete a file or folder there, then here."""
        there = list(self.remote.list(below))
        # First: a stage whose deletion is interrupted must not pass for finished.
        self.remote.delete(path for path in there if path.endswith("/stage.json"))
        self.remote.delete(path for path in there if not path.endswith("/stage.json"))
        self.drop(below)

    def drop(self, below: str) -> None:
        """Delete a file or folder here alone."""
        for place in (self.copy / below, self._mark(below)):
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)

    def renew(self, folder: str, path: str, entry: Entry) -> None:
        """Drop a folder here if a file in it, which stands for all of it, is another one there.

        Args:
            folder: the folder.
            path: the file.
            entry: what the store says about the file.
        """
        with self._pulling():
            if self._is_current(path, entry):
                return
            if self._mark(folder).exists():
                self.drop(folder)
            self.remote.download(path, self.copy / path)
            self._note(path, entry)

    def files(self, below: str = "") -> Iterator[str]:
        """Files here, without scratch files, relative to the copy."""
        top = self.copy / below
        for folder, _, names in os.walk(top) if top.is_dir() else ():
            for name in sorted(names):
                path = str((Path(folder) / name).relative_to(self.copy))
                if not is_scratch(path):
                    yield path
        if top.is_file():
            yield below

    @contextlib.contextmanager
    def _pulling(self) -> Iterator[None]:
        """One process at a time fetches: the next one finds the files there."""
        from filelock import FileLock

        self._marks.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(str(self._marks / ".lock")):
            yield

    def _mark(self, path: str) -> Path:
        return self._marks / path

    def _marked(self, path: str) -> tuple[str, str, str]:
        """Remote version, local size and time that were equal; empty if that is not known."""
        try:
            version, size, when = self._mark(path).read_text(encoding="utf-8").split("\n")
        except (OSError, ValueError):
            return "", "", ""
        return version, size, when

    def _is_current(self, path: str, entry: Entry) -> bool:
        """Whether the file here needs no fetching: as it is there, or changed here since."""
        return (self.copy / path).exists() and self._marked(path)[0] == entry.version

    def _note(self, path: str, entry: Entry, local: os.stat_result | None = None) -> None:
        mark = self._mark(path)
        mark.parent.mkdir(parents=True, exist_ok=True)
        scratch = mark.with_name(f".{mark.name}.{os.getpid()}")
        scratch.write_text("\n".join((entry.version, *_local(local or (self.copy / path).stat()))), encoding="utf-8")
        os.replace(scratch, mark)

    def _forget(self, path: str) -> None:
        (self.copy / path).unlink(missing_ok=True)
        self._mark(path).unlink(missing_ok=True)


def _local(stat: os.stat_result) -> tuple[str, str]:
    return str(stat.st_size), str(stat.st_mtime_ns)


def is_scratch(path: str) -> bool:
    """Whether a file is nobody's business: half-written, or a lock."""
    name = path.rpartition("/")[2]
    return (name.startswith(".") and name != ".running.json") or name.endswith(".lock") or "/work/scratch/" in path
