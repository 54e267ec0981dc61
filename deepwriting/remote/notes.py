"""A lease's note in an object store (see ``deepwriting/lease.py``), with a copy where the run's files are read here."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepwriting.errors import RemoteError
from deepwriting.files import write_json
from deepwriting.remote.folder import RemoteFolder
from deepwriting.remote.places import url_of

if TYPE_CHECKING:
    from deepwriting.lease import Note

#: How long a beat is tried again (seconds): the next one comes soon, and others wait for three before they take over.
BEAT_PATIENCE = 10.0


class NoteError(RemoteError, OSError):
    """A note in a store cannot be written or deleted; as with a file, whoever has more to say leaves it at that."""


def note_at(file: Path) -> Note:
    """The note of a run or a task: in the store for a file of a working copy, else in that file."""
    from deepwriting.lease import FileNote

    for folder in file.parents:
        if (url := url_of(folder)) is not None:
            return RemoteNote(RemoteFolder(url), str(file.relative_to(folder)), file)
    return FileNote(file)


class RemoteNote:
    """A note in an object store.

    Args:
        remote: the run's folder.
        path: the note's path in it.
        file: where it is kept here, too, for whoever reads the working copy.
    """

    def __init__(self, remote: RemoteFolder, path: str, file: Path):
        self._remote, self._path, self._file = remote, path, file
        self._known = False

    def read(self) -> dict[str, Any] | None:
        """What the note says.

        Raises:
            RemoteError: if the store cannot be reached and never was: nobody can know then whether there is one.
        """
        try:
            found = json.loads(self._remote.read(self._path))
        except FileNotFoundError:
            found = None
        except ValueError:  # from another hand
            return None
        except RemoteError:
            if not self._known:
                raise
            return None
        self._known = True
        return found if isinstance(found, dict) else None

    def write(self, values: dict[str, Any]) -> None:
        """Replace it.

        Raises:
            NoteError: if it cannot be written.
        """
        with contextlib.suppress(OSError):  # only to look at
            write_json(self._file, values)
        content = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        try:
            self._remote.write(self._path, content.encode("utf-8"))
        except RemoteError as error:
            raise NoteError(str(error)) from error
        # The first one may take its time; from now on it is a matter of beats.
        self._remote = RemoteFolder(self._remote.url, patience=min(BEAT_PATIENCE, self._remote.patience))

    def remove(self) -> None:
        """Delete it.

        Raises:
            NoteError: if it cannot be deleted.
        """
        self._file.unlink(missing_ok=True)
        try:
            self._remote.delete([self._path])
        except RemoteError as error:
            raise NoteError(str(error)) from error

    def age(self) -> float | None:
        """Seconds since it was written, by the store's clock."""
        try:
            entry = self._remote.entry(self._path)
            if entry is None or entry.modified is None:
                return None
            return max(self._remote.now() - entry.modified, 0.0)
        except RemoteError:
            return None
