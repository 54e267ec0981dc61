"""What is to be thought of each task of a phase: datatrove's completion marker, the task's note, and its beat."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from deepwriting.executors.task import task_note
from deepwriting.rundir import StageFolder
from deepwriting.watching.logs import last_line
from deepwriting.watching.model import TASK_STATES, PhaseView, TaskView
from deepwriting.watching.notes import NoteBook, Noted

#: A search that beats, and has rows in flight, but has finished no step for this long, is stalled (seconds). A step of
#: a large model takes a minute or two; a server that is waited for, half an hour and more.
IDLE_SECONDS = 1800.0
#: Rows that must be through before a task's speed means anything.
MIN_ROWS_FOR_RATE = 3


@dataclass(frozen=True)
class PhaseTasks:
    """The tasks of one phase: how many are in which state, and those that run, failed or stalled."""

    view: PhaseView
    told: list[TaskView]
    certain: bool = True


def look_at_phase(folder: StageFolder, phase: str, total: int, book: NoteBook) -> PhaseTasks:
    """Judge all tasks of a phase.

    Args:
        folder: the stage's folder.
        phase: the phase's name; empty for the last one.
        total: number of its tasks.
        book: the notes, as far as they are known.
    """
    finished = completed(folder, phase)
    counts, told, certain = dict.fromkeys(TASK_STATES, 0), [], True
    for rank in range(total):
        if rank in finished:
            counts["done"] += 1
            continue
        noted = book.read(task_note(folder.path, phase, rank))
        if noted is None or noted.values.get("state") not in ("running", "failed"):
            counts["waiting"] += 1
            continue
        task = _judged(folder, phase, rank, noted, book)
        counts[task.state] += 1
        told.append(task)
        certain = certain and (task.state != "stalled" or noted.certain)
    return PhaseTasks(PhaseView(phase, counts), told, certain)


def completed(folder: StageFolder, phase: str) -> set[int]:
    """The tasks of a phase that datatrove has marked as completed."""
    markers = folder.logs / phase / "completions"
    with contextlib.suppress(OSError):
        return {int(marker.name) for marker in markers.iterdir() if marker.name.isdigit()}
    return set()


def _judged(folder: StageFolder, phase: str, rank: int, noted: Noted, book: NoteBook) -> TaskView:
    run = folder.path.parent
    log = str(noted.values.get("log") or "")
    task = TaskView(
        stage=folder.name,
        phase=phase,
        rank=rank,
        state="running",
        host=noted.host,
        pid=noted.pid,
        job=noted.values.get("job"),
        attempt=int(noted.values.get("attempt") or 0),
        silent_seconds=noted.silent_seconds,
        log=log,
    )
    if phase == "":
        task = _with_rows(task, folder, noted, book)
    if noted.values["state"] == "failed":
        task = replace(task, state="failed", why=str(noted.values.get("error") or "it ended with an error"))
    elif why := noted.lost() or _idle(task, folder, noted, book):
        task = replace(task, state="stalled", why=why)
    if task.state == "running":
        return task
    # datatrove's own log of the task tells more where ours is silent.
    logs = [run / log] if log else []
    logs.append(folder.logs / phase / "logs" / f"task_{rank:05d}.log")
    return replace(task, last_line=last_line(*logs), rows_per_second=None)


def _with_rows(task: TaskView, folder: StageFolder, noted: Noted, book: NoteBook) -> TaskView:
    """The task with its rows: from the search's status, or from what has been written."""
    search = book.read(folder.path / "status" / f"{task.rank:05d}.json")
    if search is not None and search.values.get("version") == 1:
        rows = search.values["rows"]
        return replace(
            task,
            rows_done=rows["through"],
            rows_total=rows["total"],
            rows_per_second=search.values["rates"]["rows_per_second"],
        )
    written = book.read(folder.path / "progress" / f"{task.rank:05d}.json")
    if written is None:
        return task
    rows, seconds = int(written.values.get("rows", 0)), noted.working_seconds
    rate = rows / seconds if rows >= MIN_ROWS_FOR_RATE and seconds > 0 else None
    return replace(task, rows_done=rows, rows_per_second=rate)


def _idle(task: TaskView, folder: StageFolder, noted: Noted, book: NoteBook) -> str:
    """Why a task that beats is stalled all the same; empty if it is not."""
    search = book.read(folder.path / "status" / f"{task.rank:05d}.json")
    if search is None or not book.clock.exact or not search.values.get("rows", {}).get("in_flight"):
        return ""
    with contextlib.suppress(OSError):  # fetched from elsewhere, without its journal
        journal = (folder.path / "journal" / f"{task.rank:05d}.jsonl").stat()
        idle = min(book.clock.age(journal.st_mtime), noted.working_seconds)
        if idle > IDLE_SECONDS:
            return f"no step has been finished for {idle / 60:.0f} min"
    return ""
