"""Looking at a run: everything in its folder that tells how it stands, put together.

Nothing is asked of the run itself, so it does not matter on which machine it goes on, or whether it does. Only the
present clock of the folder is asked, see ``deepwriting/folder_clock.py``, where something may be written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deepwriting.folder_clock import clock_of
from deepwriting.holder import NOTE
from deepwriting.reer.status import SearchStatus, read_status
from deepwriting.rundir import RunFolder, StageRecord
from deepwriting.watching.model import Condition, Driver, RunView, StageView
from deepwriting.watching.notes import NoteBook
from deepwriting.watching.stages import StageReader, Worked

#: Spelled out rather than imported: the stages import datatrove. A test compares them.
STAGES = ("source", "dedupe", "select", "search", "annotate", "build")
#: Seconds between two questions to a cluster's queue: it serves others, too.
ASK_QUEUE_SECONDS = 15.0

_UNSURE = (
    "who was not heard of may be at work all the same: nothing may be written into the run's folder, so its clock "
    "cannot be asked; watching it for two minutes tells"
)


class RunWatch:
    """Looks at a run, again and again; what moves between two looks is alive, whatever clocks say.

    Args:
        open_run: gives the run's folder; a run on another machine is fetched by it, before every look.
        name: what to call the run; its folder if left out.
    """

    def __init__(self, open_run: Callable[[], RunFolder], name: str | None = None):
        self._open = open_run
        self.run = open_run()
        self.name = name or str(self.run.path)
        self._fresh = True
        self._book = NoteBook(clock_of(self.run.path.resolve()))
        self._stages = StageReader(self._book)
        self._queue: tuple[float, list[str] | None] | None = None

    def look(self) -> RunView:
        """The run as it is now.

        Raises:
            NotFoundError: if it is not there any more.
            RunError: if a record in it is damaged.
            OSError: if it cannot be read just now.
        """
        if not self._fresh:
            self.run = self._open()
        self._fresh = False
        self._stages.certain = True
        driver, driver_certain = self._driver()
        worked = Worked(driver is not None and driver.alive and not driver.jobs, _queued(driver))
        records = {name: self.run.stage(name).record() for name in STAGES}
        search = self._search(records)
        stages, rows = dict[str, StageView](), None
        for name, record in records.items():
            figures = search if name == "search" else None
            stages[name] = self._stages.look(self.run.stage(name), record, rows, figures, worked)
            rows = record.counts.rows_out if record and record.state == "finished" else None
        condition = _condition(stages, driver, worked)
        certain, cautions = self._stages.certain and driver_certain, []
        if not certain:
            cautions.append(_UNSURE)
        if driver and driver.jobs_left is None and condition != "finished":
            cautions.append(f"whether jobs are still queued cannot be told here: {driver.executor} does not answer")
        return RunView(self.name, condition, driver, stages, search, certain, cautions)

    def _driver(self) -> tuple[Driver | None, bool]:
        """Who drives the run, and whether that is certain."""
        noted = self._book.read(self.run.path / NOTE)
        if noted is None or not {"host", "pid", "started"} <= noted.values.keys():
            return None, True
        values = noted.values
        jobs = [str(job) for job in values.get("jobs") or ()]
        executor = str(values.get("executor") or "local")
        left = self._jobs_left(executor, jobs) if jobs else []
        alive = left is None or bool(left) if jobs else not noted.lost()
        started, silent = str(values["started"]), noted.silent_seconds
        driver = Driver(noted.host, noted.pid, started, executor, jobs, left, silent, alive)
        return driver, alive or noted.certain or bool(jobs)

    def _jobs_left(self, executor: str, jobs: Sequence[str]) -> list[str] | None:
        from deepwriting.executors import jobs_left

        now = time.monotonic()
        if self._queue is None or now - self._queue[0] > ASK_QUEUE_SECONDS:
            self._queue = now, jobs_left(executor, jobs)
        return self._queue[1]

    def _search(self, records: dict[str, StageRecord | None]) -> SearchStatus | None:
        select, search = records["select"], records["search"]
        total = None
        if select is not None and select.state == "finished" and search is not None:
            total = select.counts.rows_out * search.settings["search"]["rollouts"]
        return read_status(self.run.stage("search").path / "status", total=total, age=self._age)

    def _age(self, file: Path) -> float:
        noted = self._book.read(file)
        return noted.silent_seconds if noted is not None else 0.0


def _queued(driver: Driver | None) -> bool | None:
    if driver is None or not driver.jobs:
        return False
    return None if driver.jobs_left is None else bool(driver.jobs_left)


def _condition(stages: dict[str, StageView], driver: Driver | None, worked: Worked) -> Condition:
    views = list(stages.values())
    unfinished = [stage for stage in views if stage.record is not None and stage.condition != "finished"]
    if all(stage.condition == "finished" for stage in views):
        return "finished"
    if unfinished:
        return unfinished[0].condition
    if worked.driven:
        return "running"
    if worked.queued is not False:
        return "queued"
    if driver is not None:  # it was killed: who ends in order takes its note away
        return "interrupted"
    return "stopped" if any(stage.record is not None for stage in views) else "waiting"
