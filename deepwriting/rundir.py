"""A run on disk.

runs/NAME/
    recipe.yaml            the recipe as it was run
    run.lock               held while a process works on the run
    .running.json          which process that is, or which jobs
    source/ dedupe/ select/ search/ annotate/ build/
        stage.json         settings hash, state, counts, time
        shards/00000.jsonl.gz
        rejects/00000.jsonl.gz
        counts/00000.json  rows out, rejected and why, one file a task
        progress/00000.json  rows so far, for whoever watches
        tasks/main/00000.json  who works on a task, and how it ended; a folder for each phase
        logs/              datatrove's logs, statistics and completion markers; a folder for each of several phases
        work/              what the phases of an unfinished stage hand to each other
    source/journal/        every query that a model has written for a book's passage
    search/journal/        every finished search step
    search/status/         how far the search is, one file a task (deepwriting/reer/status.py)
    deepwriting-20k/       the dataset
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepwriting.errors import NotFoundError, RunError, RunLockedError
from deepwriting.files import write_json
from deepwriting.holder import NOTE, Holder, holder
from deepwriting.lease import TAKEN_OVER, Lease
from deepwriting.reer.status import SearchStatus, read_status
from deepwriting.remote import working
from deepwriting.remote.notes import note_at
from deepwriting.remote.places import is_remote, local_path, shown

log = logging.getLogger(__name__)

State = Literal["running", "finished"]

#: Seconds between two notes of progress, by whoever writes them.
PROGRESS_SECONDS = 0.5


@dataclass
class Counts:
    """Rows of a stage.

    Attributes:
        rows_in: rows that came from the stage before, or candidates that the sources hold.
        rows_out: rows that go on.
        extra: rows added by making several out of one (rollouts).
        rejected: rows that ended here.
        reasons: why, and how many each.
    """

    rows_in: int = 0
    rows_out: int = 0
    extra: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Whether no row was lost or invented."""
        return self.rows_in + self.extra == self.rows_out + self.rejected


@dataclass
class StageRecord:
    """What ``stage.json`` holds."""

    stage: str
    settings_hash: str
    settings: dict[str, Any]
    state: State
    seconds: float = 0.0
    counts: Counts = field(default_factory=Counts)
    facts: dict[str, Any] = field(default_factory=dict)
    started: str | None = None


class StageFolder:
    """The folder of one stage."""

    def __init__(self, path: Path):
        self.path = path
        self.name = path.name

    @property
    def shards(self) -> Path:
        """Rows that go on."""
        return self.path / "shards"

    @property
    def rejects(self) -> Path:
        """Rows that ended here, with their reasons."""
        return self.path / "rejects"

    @property
    def logs(self) -> Path:
        """Datatrove's logs, statistics and completion markers."""
        return self.path / "logs"

    @property
    def work(self) -> Path:
        """What the phases of the stage hand to each other; deleted when it has finished."""
        return self.path / "work"

    def record(self) -> StageRecord | None:
        """What is known about the stage; ``None`` if it never started.

        Raises:
            RunError: if ``stage.json`` is damaged.
        """
        file = self.path / "stage.json"
        if not file.is_file():
            return None
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            return StageRecord(**data | {"counts": Counts(**data["counts"])})
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(f"{file} is damaged ({error}); delete it to have the stage done anew") from error

    def save(self, record: StageRecord) -> None:
        """Write ``stage.json``."""
        write_json(self.path / "stage.json", asdict(record))
        working.sent(self.path / "stage.json")

    def counted(self) -> Counts:
        """Rows out and rejects, summed over the finished tasks."""
        total, reasons = Counts(), Counter[str]()
        for file in sorted((self.path / "counts").glob("*.json")):
            data = json.loads(file.read_text(encoding="utf-8"))
            total.rows_out += data["rows_out"]
            total.extra += data["extra"]
            total.rejected += data["rejected"]
            reasons.update(data["reasons"])
        total.reasons = dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
        return total

    def progress(self) -> int:
        """Rows that are through so far, rejected ones included."""
        written = _noted(self.path / "progress", "*.json")["rows"]
        # Searches end in another order than their rows are written in.
        status = self.search_status()
        return max(written, status.done if status else 0)

    def search_status(self, total: int | None = None) -> SearchStatus | None:
        """How far the search is; ``None`` for other stages, and where it has not begun.

        Args:
            total: rows to search, where that is known.
        """
        return read_status(self.path / "status", total=total)

    def forget_tasks(self) -> None:
        """Have all tasks done again by the next run; the search still finds its steps in the journal."""
        for markers in sorted(self.logs.rglob("completions")):
            working.removed(markers)
            shutil.rmtree(markers, ignore_errors=True)

    def remove_work(self) -> None:
        """Delete what the phases have handed to each other."""
        working.removed(self.work)
        if self.work.exists():
            shutil.rmtree(self.work)

    def remove(self) -> None:
        """Delete the stage with all its results."""
        working.removed(self.path)
        # First: a stage whose deletion is interrupted must not pass for finished.
        (self.path / "stage.json").unlink(missing_ok=True)
        if self.path.exists():
            shutil.rmtree(self.path)
        working.begun_anew(self.path)


class RunFolder:
    """The folder of a run."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def existing(cls, path: str | Path) -> RunFolder:
        """The run at a path, at a URL such as ``s3://bucket/runs/mine``, or of that name below ``runs/``.

        Of a remote run, what tells about it is fetched; ``refresh`` does so again.

        Raises:
            NotFoundError: if there is none.
            RemoteError: if it is remote and cannot be reached.
        """
        if is_remote(path):
            return cls(working.viewed(os.fspath(path)))
        path = local_path(path)
        for candidate in (Path(path), Path("runs") / path):
            if (candidate / "recipe.yaml").is_file():
                return cls(candidate)
        known = sorted(entry.parent.name for entry in Path("runs").glob("*/recipe.yaml"))
        raise NotFoundError(f"no run at {str(path)!r}; runs here: {', '.join(known) or 'none'}")

    @property
    def shown(self) -> str:
        """Where the run is, as a person knows it: its path, or the URL of a remote one."""
        return shown(self.path)

    def refresh(self) -> None:
        """Look at a remote run again; does nothing for one that is here."""
        working.refresh(self.path)

    def stage(self, name: str) -> StageFolder:
        """The folder of a stage."""
        return StageFolder(self.path / name)

    @property
    def recipe_text(self) -> str:
        """The recipe as it was run."""
        return (self.path / "recipe.yaml").read_text(encoding="utf-8")

    @contextlib.contextmanager
    def locked(self, executor: str = "local") -> Iterator[Lease]:
        """Hold the run for this process.

        Args:
            executor: what runs the tasks, for whoever watches.

        Yields:
            The lease; released with other values, the note goes on saying who works on the run.

        Raises:
            RunLockedError: if another process holds it, here or on another machine, or jobs of it are still queued.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(self.path / "run.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunLockedError(f"another process is working on {self.shown}") from None
        try:
            held = holder(self.path)
            if held is not None and held.jobs:
                jobs = ", ".join(filter(None, held.jobs))
                raise RunLockedError(f"jobs of {self.shown} are queued or running on {held.executor}: {jobs}")
            lease = Lease(
                note_at(self.path / NOTE), {"executor": executor}, lost=functools.partial(os._exit, TAKEN_OVER)
            )
            if (other := lease.take()) is not None:
                raise RunLockedError(f"another process is working on {self.shown}: {other['pid']} on {other['host']}")
            try:
                working.bring_up_to_date(self.path)
                yield lease
            finally:
                try:
                    lease.release()
                except OSError as error:  # how the run ended counts more
                    log.warning("the note of who works on %s cannot be removed: %s", self.shown, error)
        finally:
            lock.release()

    def forget_holder(self) -> None:
        """Remove the note that says who works on the run: it was submitted, and is done."""
        note_at(self.path / NOTE).remove()

    def holder(self) -> Holder | None:
        """Who works on the run, as far as that can be told from here; ``None`` if nobody does."""
        return holder(self.path)

    def search_status(self) -> SearchStatus | None:
        """How far the search is, with the number of rows that it has to search; ``None`` if it has not begun."""
        select, search = self.stage("select").record(), self.stage("search").record()
        total = None
        if select is not None and select.state == "finished" and search is not None:
            total = select.counts.rows_out * search.settings["search"]["rollouts"]
        return self.stage("search").search_status(total)


@dataclass
class Stopwatch:
    """Seconds since it was made."""

    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Elapsed time."""
        return time.monotonic() - self.started


def _noted(folder: Path, pattern: str) -> Counter[str]:
    """The sums of all numbers in a folder's notes of progress."""
    total: Counter[str] = Counter()
    for file in folder.glob(pattern):
        with contextlib.suppress(OSError, ValueError):  # being replaced just now: the next look sees it
            total.update(json.loads(file.read_text(encoding="utf-8")))
    return total


def rows_of_task(counts: Path, rank: int, tasks: int) -> int:
    """How many rows of an earlier stage a task reads: datatrove deals the shards out in turn.

    Args:
        counts: the earlier stage's folder ``counts``.
        rank: the task.
        tasks: number of tasks.
    """
    files = sorted(counts.glob("*.json"))
    return sum(int(json.loads(file.read_text(encoding="utf-8"))["rows_out"]) for file in files[rank::tasks])
