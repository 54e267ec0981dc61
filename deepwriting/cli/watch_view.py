"""How a run looks to whoever watches it: the stages, the one that goes on, and the tasks that are in trouble."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deepwriting.cli.console import PLAIN_WIDTH, duration
from deepwriting.cli.search_view import search_panel
from deepwriting.cli.tables import plain_table
from deepwriting.errors import RecipeError
from deepwriting.holder import NOTE
from deepwriting.lease import FileNote
from deepwriting.watching import TASK_STATES, Driver, PhaseView, RunView, StageView, TaskView

#: Tasks of one kind that are listed; of the rest there is the number.
MOST_TASKS = 12
#: Jobs that are named; of the rest there is the number.
MOST_JOBS = 4
#: What asks for a look stands out in a terminal.
STYLES = {"failed": "bold red", "stalled": "bold yellow", "interrupted": "bold yellow", "running": "green"}


def run_view(view: RunView, *, width: int = PLAIN_WIDTH, go_on: str = "") -> Group:
    """Everything about a run.

    Args:
        view: the run.
        width: of the terminal (columns); in a narrow one the table of stages leaves out their tasks.
        go_on: the command that continues it, for one that nobody works on.
    """
    parts: list[RenderableType] = [_stages(view, width), _headline(view)]
    if view.troubles:  # before what may be cut off at the end of a low terminal
        parts.append(_troubles(view.troubles))
    stage = view.current
    if stage is not None:
        if stage.name == "search" and view.search is not None:
            parts.append(_with_tasks(search_panel(view.search, held=view.condition in ("queued", "running")), stage))
        elif view.going:
            parts.append(_with_tasks(plain_table(stage.name, stage.condition), stage))
        if len(stage.running) > 1:
            parts.append(_running(stage.running))
    parts += [Text(f"not certain: {caution}", style="dim") for caution in view.cautions]
    if go_on and view.condition in ("failed", "interrupted"):
        # One line, however long: a folded command cannot be pasted.
        parts.append(Text(f"goes on with: deepwriting run {go_on}", no_wrap=True, overflow="ignore"))
    return Group(*parts)


def go_on(folder: Path, recipe_text: str, name: str) -> str:
    """What to give ``deepwriting run`` to continue a run: the recipe kept in it, and its folder or address.

    Args:
        folder: its folder, or the copy of one that is elsewhere.
        recipe_text: its recipe.
        name: what it is called.
    """
    from deepwriting.recipe import parse_recipe

    recipe = folder / "recipe.yaml"
    usual, executor = None, None
    with contextlib.suppress(RecipeError):  # of another version, say: to look at a run is not to judge it
        parsed = parse_recipe(recipe_text, str(recipe))
        usual, executor = (Path("runs") / parsed.name).resolve(), parsed.execution.executor
    elsewhere = name if "://" in name else str(folder)
    where = [] if usual == folder.resolve() else ["--run-dir", elsewhere]
    last = _last_executor(folder)
    return shlex.join([str(recipe), *where, *(["--executor", last] if last not in (None, executor) else [])])


def _last_executor(folder: Path) -> str | None:
    """What ran a run's tasks at last, whatever its recipe says; ``None`` if nothing tells."""
    notes: list[Path] = []
    with contextlib.suppress(FileNotFoundError):  # somebody does a stage anew at this moment
        notes = sorted(folder.glob("*/tasks/*/*.json"), key=lambda note: note.stat().st_mtime, reverse=True)
    for note in (folder / NOTE, *notes):
        if (values := FileNote(note).read()) is not None and "executor" in values:
            return str(values["executor"])
    return None


def _stages(view: RunView, width: int) -> Table:
    """What each stage did with its rows, and its tasks where there are several."""
    several = any(stage.phase is not None and stage.phase.total > 1 for stage in view.stages.values())
    several = several and width >= PLAIN_WIDTH
    columns = ["stage", "state", *(["tasks"] if several else []), "in", "out", "rejected", "why", "time"]
    right = [columns.index(name) for name in ("in", "out", "rejected", "time")]
    table = plain_table(*columns, right=right, title=view.run)
    table.padding = (0, 1, 0, 0)
    for column in table.columns:
        column.no_wrap = column.header != "why"  # it gets what the others leave
    for stage in view.stages.values():
        row: list[RenderableType] = [stage.name, Text(stage.condition, style=STYLES.get(stage.condition, ""))]
        if several:
            row.append(f"{stage.phase.tasks['done']} of {stage.phase.total}" if stage.phase else "")
        table.add_row(*row, *_rows(stage))
    return table


def _rows(stage: StageView) -> tuple[str, str, str, str, str]:
    """In, out, rejected, why, time."""
    if stage.record is None:
        return ("", "", "", "", "")
    counts, seconds = stage.record.counts, stage.record.seconds
    if stage.condition != "finished":  # its time is known once it was interrupted
        return ("", f"{stage.rows_done} so far", "", "", duration(seconds) if seconds else "")
    rows_in = f"{counts.rows_in} (+{counts.extra})" if counts.extra else str(counts.rows_in)
    why = ", ".join(f"{reason} {count}" for reason, count in counts.reasons.items())
    return (rows_in, str(counts.rows_out), str(counts.rejected), why, duration(seconds))


def _headline(view: RunView) -> Text:
    """How the run stands, and who drives it."""
    verb = "has" if view.condition in ("failed", "finished", "stalled", "stopped") else "is"
    line = Text(f"The run {verb} ").append(view.condition, style=STYLES.get(view.condition, "bold"))
    if view.driver is not None and (view.going or view.condition == "interrupted"):
        line.append(f": {_driver(view.driver)}")
    return line


def _driver(driver: Driver) -> str:
    began = driver.started.replace("T", " ").replace("+00:00", " UTC")
    if not driver.jobs:
        where = "" if driver.executor == "local" else f" ({driver.executor})"
        heard = "" if driver.alive else f", last heard of {duration(driver.silent_seconds)} ago"
        return f"pid {driver.pid} on {driver.host}{where}, since {began}{heard}"
    named = ", ".join(driver.jobs[:MOST_JOBS]) + (" …" if len(driver.jobs) > MOST_JOBS else "")
    left = "" if driver.jobs_left is None else f", {len(driver.jobs_left)} of them queued or running"
    return f"{len(driver.jobs)} {driver.executor} jobs ({named}){left}; submitted on {driver.host}, {began}"


def _with_tasks(panel: Table, stage: StageView) -> Table:
    """The panel of the stage that goes on, with its phase, tasks and, where the panel lacks them, rows and speed."""
    phase = stage.phase
    if phase is not None and phase.name:
        later = [other.name or "rows" for other in stage.phases[stage.phases.index(phase) + 1 :]]
        panel.add_row("phase", phase.name + (f", then {', '.join(later)}" if later else ""))
    if phase is not None and (phase.total > 1 or stage.troubles):
        panel.add_row("tasks", _tasks(phase))
    if stage.name == "search":
        last = max(stage.running, key=lambda task: task.seconds_left or 0.0, default=None)
        if last is not None and phase is not None and phase.total > 1 and last.seconds_left is not None:
            panel.add_row("slowest task", f"{last.rank}, {duration(last.seconds_left)} left")
        return panel
    of = f" of {stage.rows_total}" if stage.rows_total is not None else ""
    panel.add_row("rows", f"{stage.rows_done}{of} through")
    if stage.rows_per_second:
        panel.add_row("rows/s", f"{stage.rows_per_second:,.3g}")
    if stage.seconds_left is not None:
        panel.add_row("time left", duration(stage.seconds_left))
    return panel


def _tasks(phase: PhaseView) -> str:
    states = [f"{phase.tasks[state]} {state}" for state in TASK_STATES if phase.tasks[state]]
    return f"{phase.total}: {', '.join(states)}"


def _running(tasks: Sequence[TaskView]) -> Table:
    """Tasks that run, those with the most time left first: they decide when the stage ends."""
    counted = any(task.rows_done is not None for task in tasks)
    columns = ["task", "where", *(["rows", "rows/min", "left"] if counted else []), "heard of"]
    table = plain_table(*columns, right=range(2, len(columns)))
    slowest = sorted(tasks, key=lambda task: (-(task.seconds_left or 0.0), task.rank))
    for task in slowest[:MOST_TASKS]:
        rows = "" if task.rows_done is None else f"{task.rows_done:,.1f}".removesuffix(".0")
        of = f" of {task.rows_total}" if task.rows_total is not None else ""
        rate = "" if task.rows_per_second is None else f"{task.rows_per_second * 60:,.1f}"
        left = "" if task.seconds_left is None else duration(task.seconds_left)
        heard = f"{duration(task.silent_seconds or 0.0)} ago"
        figures = [rows + of if rows else "", rate, left] if counted else []
        table.add_row(str(task.rank), _where(task), *figures, heard)
    if len(tasks) > MOST_TASKS:
        table.add_row("", f"and {len(tasks) - MOST_TASKS} more" + (" with less time left" if counted else ""))
    return table


def _troubles(tasks: Sequence[TaskView]) -> Table:
    """Tasks that failed or stalled: where, why, and the last line of their logs."""
    table = plain_table("task", "state", "where", "why, and the last line of its log")
    for task in sorted(tasks, key=lambda task: (task.state, task.stage, task.phase, task.rank))[:MOST_TASKS]:
        name = " ".join(part for part in (task.stage, task.phase, str(task.rank)) if part)
        attempt = f" (attempt {task.attempt})" if task.attempt > 1 else ""
        why = Text(task.why)
        if task.last_line:
            why.append(f"\n{task.last_line}", style="dim")
        if task.log:
            why.append(f"\n{task.log}", style="dim italic")
        table.add_row(name, Text(task.state + attempt, style=STYLES[task.state]), _where(task), why)
    if len(tasks) > MOST_TASKS:
        table.add_row("", "", "", f"and {len(tasks) - MOST_TASKS} more")
    return table


def _where(task: TaskView) -> str:
    return ", ".join(part for part in (task.host or "?", task.job or f"pid {task.pid}") if part)
