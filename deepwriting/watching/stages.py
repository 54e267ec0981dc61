"""How a stage stands: its phases, tasks and rows, how fast they go, and how long it will take."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from deepwriting.executors.task import LAST_PHASE
from deepwriting.reer.status import SearchStatus
from deepwriting.rundir import StageFolder, StageRecord
from deepwriting.watching.model import TASK_STATES, Condition, PhaseView, StageView
from deepwriting.watching.notes import NoteBook
from deepwriting.watching.tasks import PhaseTasks, look_at_phase

#: The phase behind a stage's last one that counts its rows, where nobody waits for it. Spelled out rather than
#: imported: ``executors/settle.py`` imports datatrove. A test compares them.
SETTLE = "settle"


@dataclass(frozen=True)
class Worked:
    """Who works on a run beside its tasks.

    Attributes:
        driven: whether a process drives the run.
        queued: whether jobs of it are queued or run; ``None`` where that cannot be told.
    """

    driven: bool
    queued: bool | None


class StageReader:
    """Looks at stages, again and again.

    Args:
        book: the notes, as far as they are known.
    """

    def __init__(self, book: NoteBook):
        self.book = book
        #: Whether what was said of all tasks in the last look is certain.
        self.certain = True
        self._totals: dict[Path, tuple[int, int]] = {}  # executor.json -> its stamp, its number of tasks

    def look(self, folder: StageFolder, record: StageRecord | None, rows_in: int | None, search: SearchStatus | None,
             worked: Worked) -> StageView:  # fmt: skip
        """A stage at this moment.

        Args:
            folder: its folder.
            record: its ``stage.json``; ``None`` before it has begun.
            rows_in: rows that it gets; ``None`` where that is not known.
            search: figures of the search, if it is that stage and has begun.
            worked: who works on the run.
        """
        if record is None:
            return StageView(folder.name, "waiting")
        if record.state == "finished":
            done = dict.fromkeys(TASK_STATES, 0) | {"done": int(record.settings.get("tasks", 1))}
            phase = PhaseView("", done)
            counts = record.counts
            rows = counts.rows_out + counts.rejected
            return StageView(folder.name, "finished", record, [phase], phase, rows, counts.rows_in + counts.extra)
        phases = [look_at_phase(folder, name, total, self.book) for name, total in self.known_phases(folder, record)]
        self.certain = self.certain and all(phase.certain for phase in phases)
        told = [task for phase in phases for task in phase.told]
        running = [task for task in told if task.state == "running"]
        view = StageView(
            name=folder.name,
            condition=_condition({task.state for task in told}, worked),
            record=record,
            phases=[phase.view for phase in phases],
            phase=_current(phases).view,
            rows_done=max(self._written(folder), search.done if search else 0),
            rows_total=search.total if search else rows_in,
            running=running,
            troubles=[task for task in told if task.state != "running"],
        )
        return _with_speed(view, search)

    def known_phases(self, folder: StageFolder, record: StageRecord) -> list[tuple[str, int]]:
        """Names and numbers of tasks of a stage's phases, as far as they have begun, in order; the last is named ''."""
        began: dict[str, tuple[float, int]] = {}
        for file in folder.logs.glob("*/executor.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):  # being written just now
                began[file.parent.name] = (file.stat().st_mtime, self._tasks(file))
        for notes in (folder.path / "tasks").glob("*/"):
            ranks = [int(note.stem) for note in notes.glob("*.json") if note.stem.isdigit()]
            if notes.name != LAST_PHASE and ranks:
                began.setdefault(notes.name, (notes.stat().st_mtime, max(ranks) + 1))
        last = int(record.settings.get("tasks", 1))
        settle = [(SETTLE, began.pop(SETTLE)[1])] if SETTLE in began else []
        return [*((name, tasks) for name, (_, tasks) in sorted(began.items(), key=lambda item: (item[1], item[0]))),
                ("", last), *settle]  # fmt: skip

    def _tasks(self, file: Path) -> int:
        stamp = file.stat().st_mtime_ns
        if self._totals.get(file, (0, 0))[0] != stamp:
            self._totals[file] = stamp, int(json.loads(file.read_text(encoding="utf-8"))["world_size"])
        return self._totals[file][1]

    def _written(self, folder: StageFolder) -> int:
        noted = (self.book.read(file) for file in (folder.path / "progress").glob("*.json"))
        return sum(int(note.values.get("rows", 0)) for note in noted if note is not None)


def _current(phases: list[PhaseTasks]) -> PhaseTasks:
    """The phase that a stage is in: the first with work left, or the last."""
    return next((phase for phase in phases if not phase.view.done), phases[-1])


def _condition(states: Collection[str], worked: Worked) -> Condition:
    if "running" in states:
        return "running"
    if worked.driven or worked.queued:
        return "stalled" if "stalled" in states else "running" if worked.driven else "queued"
    if "failed" in states:
        return "failed"
    if worked.queued is None:
        return "stalled" if "stalled" in states else "queued"
    return "interrupted"


def _with_speed(view: StageView, search: SearchStatus | None) -> StageView:
    """The stage with its speed, and with the time that it will take.

    That is the time for all rows at the present speed, or the slowest running task's own, whichever is longer: tasks
    do not take rows from each other.
    """
    if search is not None:
        rate, through = search.rows_per_second if search.running else None, search.through
    else:
        rates = [task.rows_per_second for task in view.running if task.rows_per_second is not None]
        rate, through = sum(rates) if rates else None, float(view.rows_done)
    if not rate or rate < 0:
        return view
    view = replace(view, rows_per_second=rate)
    if view.rows_total is None:
        return view
    slowest = max((task.seconds_left or 0.0 for task in view.running), default=0.0)
    return replace(view, seconds_left=max(max(view.rows_total - through, 0.0) / rate, slowest))
