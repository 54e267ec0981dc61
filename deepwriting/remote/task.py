"""What a task of a remote run does around its work, on whatever machine: fetch what it reads, send what it has written.

Before: the shards of the stage before, what earlier phases have left in ``work/``, and the journals.
Meanwhile: every step of the journals, and now and then how far the task is.
Afterwards: all that this process has written below the stage's folder; the marker of completion last, so that whoever
sees it finds the rest.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from deepwriting.errors import RemoteError
from deepwriting.journal import replicated
from deepwriting.remote.journals import JournalUpload, claim_journal
from deepwriting.remote.mirror import Mirror, is_scratch
from deepwriting.remote.places import url_of
from deepwriting.remote.small import is_small
from deepwriting.remote.written import written_below

log = logging.getLogger(__name__)

#: Seconds between two looks at what a running task tells of itself.
TELL_SECONDS = 15.0
#: A log is not sent again and again when it has grown beyond this (bytes); its end is sent with the rest.
LARGEST_TOLD = 2**20
#: Stages that keep a journal.
_JOURNALS = ("source", "search")


@contextlib.contextmanager
def task_copy(run: Path, stage: str, logs: str, rank: int, *, everything: bool = False) -> Iterator[None]:
    """Surround a task's work; does nothing for a run on this machine's own disks.

    Args:
        run: the run's folder; a working copy if the run is remote.
        stage: the stage's name.
        logs: folder of the phase's logs, relative to the run.
        rank: the task.
        everything: whether the task looks after the whole run, as the one between two stages does.

    Raises:
        RemoteError: if the store cannot be reached, or refuses.
        RunLockedError: if another process has taken the task's journal over.
    """
    if url_of(run) is None:
        yield
        return
    task = _Task(Mirror(run), stage, logs, rank)
    task.fetch(everything)
    if (run / task.marker).exists():
        yield
        return
    with written_below(run) as written, contextlib.ExitStack() as stack:
        written.add(f"{logs}/deepwriting/task_{rank:05d}.log")
        stack.enter_context(task.telling(written))
        # What looks after the whole run appends to no journal.
        journals = [] if everything else [stack.enter_context(journal) for journal in task.journals(stack)]
        try:
            yield
        except BaseException:
            task.send_after_failure(written)
            raise
        for journal in journals:
            journal.close()
        task.send(written)
        for journal in journals:
            journal.finish()
        task.mirror.push([task.marker])


class _Task:
    """One task and the copy that it works in."""

    def __init__(self, mirror: Mirror, stage: str, logs: str, rank: int):
        self.mirror = mirror
        self.stage, self.logs, self.rank = stage, logs, rank

    @property
    def marker(self) -> str:
        """Datatrove's marker that the task is done."""
        return f"{self.logs}/completions/{self.rank:05d}"

    def fetch(self, everything: bool) -> None:
        """Fetch what the task reads."""
        from deepwriting.stages import STAGE_NAMES

        if everything:
            self.mirror.pull("", wanted=is_small, vanishing=True)
            return
        before = STAGE_NAMES[max(STAGE_NAMES.index(self.stage) - 1, 0)]
        if before != self.stage:
            self.mirror.pull(f"{before}/shards", f"{before}/counts", exact=True)
        number = f"{self.rank:05d}"
        own = (f"{self.stage}/{name}/{number}.json" for name in ("status", "progress"))
        self.mirror.pull(self.marker, f"{self.stage}/work", *own)

    def journals(self, stack: contextlib.ExitStack) -> Iterator[JournalUpload]:
        """Claim the task's journals, in the stages that have some."""
        if self.stage not in _JOURNALS:
            return
        path = f"{self.stage}/journal/{self.rank:05d}.jsonl"
        file = self.mirror.copy / path
        upload = claim_journal(self.mirror.remote, path, file)
        stack.enter_context(replicated(file, upload))
        yield upload

    def send(self, written: set[str]) -> None:
        """Send all that was written, but for journals and the marker."""
        self.mirror.push(sorted(path for path in self._own(written) if path != self.marker))

    def send_after_failure(self, written: set[str]) -> None:
        """Send what tells of the task; its results are not finished. What went wrong before counts more than this."""
        try:
            self.mirror.push(sorted(self._telling(written, limit=None)))
        except (RemoteError, OSError) as error:
            log.warning("what task %d has logged could not be sent: %s", self.rank, error)

    @contextlib.contextmanager
    def telling(self, written: set[str]) -> Iterator[None]:
        """Send meanwhile what tells how far the task is."""
        stop = threading.Event()

        def tell() -> None:
            while not stop.wait(TELL_SECONDS):
                try:
                    self.mirror.push(sorted(self._telling(written, limit=LARGEST_TOLD)))
                except (RemoteError, OSError) as error:
                    log.warning("how far task %d is could not be sent: %s", self.rank, error)

        thread = threading.Thread(target=tell, name="remote-tell", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _own(self, written: set[str]) -> Iterator[str]:
        for path in tuple(written):
            if not path.startswith(f"{self.stage}/"):  # the dataset, say, which is sent when it is whole
                continue
            if path.startswith(f"{self.stage}/journal/") or is_scratch(path) or _is_note(path):
                continue
            if (self.mirror.copy / path).is_file():
                yield path

    def _telling(self, written: set[str], limit: int | None) -> Iterator[str]:
        for path in self._own(written):
            if path == self.marker or "/shards/" in path or "/rejects/" in path or "/work/" in path:
                continue
            if "/counts/" in path or "/stats/" in path:
                continue
            if limit is None or (self.mirror.copy / path).stat().st_size <= limit:
                yield path


def _is_note(path: str) -> bool:
    """Whether a file is a note of a lease, which is sent by whoever holds it."""
    return "/tasks/" in path or path == ".running.json"
