"""A journal's copy in an object store, where nothing can be appended to.

    search/journal/00003.jsonl                      the whole journal, when its task has finished
    search/journal/00003.parts/000002/claim         says that the second life of the task has begun
    search/journal/00003.parts/000002/base          what it began with
    search/journal/00003.parts/000002/000000018211  what it appended from that byte on: whole lines, but for very many

Each life of a task claims the next number, which only one process can do, and writes all that is known so far into its
own folder. A life that was given up for dead and goes on writes where nobody looks any more, and ends when it sees the
next claim. So whatever is read is the journal of one life, which began with another's; never a mixture.

Many searches append at the same time. What they append while one part is on its way goes into the next: a search waits
for at most two requests, however many others there are.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import threading
import time
from pathlib import Path
from types import TracebackType

from deepwriting.errors import JournalError, RemoteError, RunLockedError
from deepwriting.remote.folder import RemoteFolder

log = logging.getLogger(__name__)

_LIFE_DIGITS, _PLACE_DIGITS = 6, 12
_CLAIM, _BASE = "claim", "base"
_PART = re.compile(r".*/(\d{6})/(claim|base|\d{12})")
#: Objects that are read before what they hold is written down: a journal may be larger than memory has room for.
_AT_ONCE = 256
#: Largest part (bytes): what is sent anew when a connection breaks.
LARGEST_PART = 8 * 2**20
#: How often a life looks whether another one has begun (seconds).
LOOK_SECONDS = 30.0


def parts_of(path: str) -> str:
    """The folder of a journal's parts, beside where the whole journal would be."""
    return path.removesuffix(".jsonl") + ".parts"


def claim_journal(remote: RemoteFolder, path: str, file: Path) -> JournalUpload:
    """Begin a life of a journal: make it here what it is there, and let nobody else append to it.

    What is only here is dropped: it never arrived, so it was agreed with nobody that it is done.

    Args:
        remote: the run's folder.
        path: the journal's path in it.
        file: the journal here.

    Raises:
        JournalError: if a part is missing.
        RunLockedError: if another process does the same at this moment.
        RemoteError: if the store cannot be reached.
    """
    folder = parts_of(path)
    there = _listed(remote, folder)
    life = max(map(_life_of, there), default=0) + 1
    if not remote.create(f"{_folder_of(folder, life)}/{_CLAIM}", secrets.token_bytes(16)):
        raise RunLockedError(f"another process has begun to work on {remote.url}/{path}")
    length = fetch_journal(remote, path, file)
    if length:
        remote.upload(file, f"{_folder_of(folder, life)}/{_BASE}")
    else:
        remote.write(f"{_folder_of(folder, life)}/{_BASE}", b"")
    remote.delete(there)
    return JournalUpload(remote, path, file, life, length)


def fetch_journal(remote: RemoteFolder, path: str, file: Path) -> int:
    """Make a journal here what it is there.

    Args:
        remote: the run's folder.
        path: the journal's path in it.
        file: the journal here; deleted if there is none there.

    Returns:
        Its length (bytes).

    Raises:
        JournalError: if a part is missing.
    """
    folder = parts_of(path)
    there = _listed(remote, folder)
    whole = remote.entry(path)
    # A base appears before the parts of its life, and the lives before are deleted after that.
    lives = [_life_of(name) for name in there if name.endswith(f"/{_BASE}")]
    inside = _folder_of(folder, max(lives)) if lives else None
    parts = [name for name in there if inside and name.startswith(f"{inside}/") and name[-1].isdigit()]
    if whole is None and inside is None:
        file.unlink(missing_ok=True)
        return 0
    scratch = file.with_name(f".{file.name}.{os.getpid()}.part")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with scratch.open("wb") as out:
            if inside is not None:
                out.write(remote.read(f"{inside}/{_BASE}"))
            for at in range(0, len(parts), _AT_ONCE):
                some = parts[at : at + _AT_ONCE]
                for name, content in zip(some, remote.each(remote.read, some), strict=True):
                    if int(name.rpartition("/")[2]) != out.tell():
                        raise JournalError(f"{remote.url}/{inside} lacks what comes after byte {out.tell()}")
                    out.write(content)
        length = _cut_torn_line(scratch)
        if whole is not None and whole.size >= length:  # the task has finished, or its parts are being deleted
            remote.download(path, scratch)
            length = whole.size
        os.replace(scratch, file)
    finally:
        scratch.unlink(missing_ok=True)
    return length


def _cut_torn_line(file: Path) -> int:
    """Drop what a life has left that was lost between two parts of a long line; returns the length (bytes)."""
    with file.open("r+b") as journal:
        end = journal.seek(0, os.SEEK_END)
        while end:
            start = max(end - LARGEST_PART, 0)
            journal.seek(start)
            line_end = journal.read(end - start).rfind(b"\n") + 1
            end = start + line_end
            if line_end:
                break
        journal.truncate(end)
    return end


class JournalUpload:
    """Sends what is appended to a journal, in a thread of its own; a ``deepwriting.journal.Replica``.

    Args:
        remote: the run's folder.
        path: the journal's path in it.
        file: the journal here.
        life: the number that was claimed.
        end: how much of the journal is in the base (bytes).
    """

    def __init__(self, remote: RemoteFolder, path: str, file: Path, life: int, end: int):
        self._remote, self._path, self._file, self._life = remote, path, file, life
        self._folder = _folder_of(parts_of(path), life)
        self._there = self._here = end
        self._looked = time.monotonic()
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._failure: Exception | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._send, name="journal-upload", daemon=True)
        self._thread.start()

    @property
    def there(self) -> int:
        """How much of the journal has arrived (bytes)."""
        return self._there

    def appended(self, end: int) -> None:
        """The file has grown."""
        with self._changed:
            self._here = max(end, self._here)
            self._changed.notify_all()

    async def safe(self, end: int) -> None:
        """Wait until so much has arrived.

        Raises:
            RemoteError: if the store cannot be reached.
            RunLockedError: if another process has taken the journal over.
        """
        with self._changed:
            if self._failure is not None:
                raise self._failure
            if self._there >= end:
                return
            loop = asyncio.get_running_loop()
            arrived = loop.create_future()
            self._waiting.append((end, loop, arrived))
        await arrived

    def close(self) -> None:
        """Send what is left and end the thread.

        Raises:
            RemoteError: if it cannot be sent.
            RunLockedError: if another process has taken the journal over.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """After ``close``, when the task is done: put the whole journal into one object, under its own name.

        Raises:
            RunLockedError: if another process has taken the journal over.
        """
        self._look()
        if self._file.is_file():
            self._remote.upload(self._file, self._path)
        there = _listed(self._remote, parts_of(self._path))
        self._remote.delete(name for name in there if _life_of(name) <= self._life)

    def _send(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._here > self._there)
                if self._here == self._there:
                    return
                start, end = self._there, min(self._here, self._there + LARGEST_PART)
            try:
                self._send_part(start, end)
            except Exception as error:
                self._tell(error)
                return
            with self._changed:
                self._there = end
            self._tell(None)

    def _send_part(self, start: int, end: int) -> None:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
        with self._file.open("rb") as file:
            file.seek(start)
            content = file.read(end - start)
        if len(content) != end - start:
            raise RemoteError(f"{self._file} has lost what came after byte {start + len(content)}")
        self._remote.write(f"{self._folder}/{start:0{_PLACE_DIGITS}d}", content)

    def _look(self) -> None:
        following = f"{_folder_of(parts_of(self._path), self._life + 1)}/{_CLAIM}"
        if self._remote.entry(following) is not None:
            raise RunLockedError(f"another process has taken over {self._remote.url}/{self._path}")
        self._looked = time.monotonic()

    def _tell(self, failure: Exception | None) -> None:
        with self._changed:
            self._failure = failure
            served = [item for item in self._waiting if failure is not None or item[0] <= self._there]
            self._waiting = [item for item in self._waiting if item not in served]
        for _, loop, arrived in served:
            try:
                loop.call_soon_threadsafe(_resolve, arrived, failure)
            except RuntimeError:  # the loop is closed: its search was given up
                log.debug("nobody waits for the journal any more")

    def __enter__(self) -> JournalUpload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        try:
            self.close()
        except (RemoteError, RunLockedError) as problem:  # what went wrong before counts
            log.warning("the end of a journal could not be sent: %s", problem)


def _folder_of(folder: str, life: int) -> str:
    return f"{folder}/{life:0{_LIFE_DIGITS}d}"


def _listed(remote: RemoteFolder, folder: str) -> list[str]:
    """The objects of a journal's parts, in order; what others may have put there is left alone."""
    return [name for name in remote.list(folder) if _PART.fullmatch(name)]


def _life_of(name: str) -> int:
    """The life that a part belongs to."""
    return int(name.rpartition("/")[0].rpartition("/")[2])


def _resolve(arrived: asyncio.Future[None], failure: Exception | None) -> None:
    if arrived.done():
        return
    if failure is None:
        arrived.set_result(None)
    else:
        arrived.set_exception(failure)
