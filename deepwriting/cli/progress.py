"""How a run looks while it runs.

In a terminal a bar a stage, with the search's figures below it; elsewhere a line now and then.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from deepwriting.cli.console import duration, err, out
from deepwriting.cli.search_view import search_lines, time_left
from deepwriting.cli.tables import search_table, stage_table
from deepwriting.errors import RemoteError
from deepwriting.pipeline import Planned, Watcher
from deepwriting.recipe import Recipe
from deepwriting.rundir import RunFolder, StageRecord

#: Seconds between two looks at a stage's progress.
LOOK_SECONDS = 0.5
#: Seconds between two times that what tells about a run is fetched from an object store.
FETCH_SECONDS = 15.0
#: Seconds between two lines where nobody looks.
LINE_SECONDS = 30.0
#: Rows that must be done before a rate means anything: concurrent rows end in bursts.
MIN_ROWS_FOR_RATE = 3


class RunDisplay(Watcher):
    """Shows a run on stderr, and its summary on stdout.

    Args:
        recipe: the recipe.
        folder: the run's folder.
    """

    def __init__(self, recipe: Recipe, folder: Path):
        self.recipe = recipe
        self.run = RunFolder(folder)
        self.console = err()
        self._bars = _Bars(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._handler = _ConsoleHandler(self)

    def __enter__(self) -> RunDisplay:
        logger = logging.getLogger("deepwriting")
        logger.addHandler(self._handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_looking()
        self._bars.stop()
        logging.getLogger("deepwriting").removeHandler(self._handler)

    def say(self, text: str) -> None:
        """A line on stderr, above the bars."""
        self._bars.console.print(text, soft_wrap=True)

    def stage_started(self, planned: Planned, total: int | None) -> None:
        """Begin to show a stage's progress."""
        name = planned.stage.name
        verb = "continues" if planned.action == "continue" else "starts"
        self.say(f"{name:<9} {verb}: {planned.stage.title}" + (f", {total} rows" if total is not None else ""))
        if name == "search" and total is not None:
            total *= self.recipe.search.rollouts
        task = self._bars.add_task(name, total=total, rate="")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(name, task, total, self._stop), daemon=True)
        self._thread.start()

    def stage_finished(self, planned: Planned, record: StageRecord) -> None:
        """Stop showing it, and say what came out."""
        self._stop_looking()
        self._bars.below = []
        for task in self._bars.task_ids:
            self._bars.remove_task(task)
        counts = record.counts
        what = "finished before" if planned.action == "skip" else f"done in {duration(record.seconds)}"
        rejected = f", {counts.rejected} rejected" if counts.rejected else ""
        self.say(f"{record.stage:<9} {what}: {counts.rows_in} in, {counts.rows_out} out{rejected}")

    def summary(self, records: list[StageRecord]) -> None:
        """What happened, and what to do next; on stdout."""
        console = out()
        console.print(stage_table({record.stage: record for record in records}))
        by_name = {record.stage: record for record in records}
        if "search" in by_name:
            console.print(search_table(self.run))
        if "build" not in by_name:
            last = records[-1].stage
            console.print(f"Stopped after {last}. Go on with: deepwriting run … (without --until)")
            return
        facts = by_name["build"].facts
        console.print(f"Dataset: {self.run.shown}/{facts['folder']}  ({facts['kept']} rows in the default config)")
        load = f'from datasets import load_dataset; print(load_dataset("{facts["folder"]}"))'
        console.print(f"Load it: cd {self.run.path} && {sys.executable} -c '{load}'", soft_wrap=True)
        # Without an activated environment the command is found only where it was called.
        called = f"{sys.executable} -m deepwriting" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
        command = "deepwriting" if shutil.which("deepwriting") else called
        console.print(f"Look at a row: {command} show {self.run.shown}", soft_wrap=True)

    def _look(self, name: str, task: TaskID, total: int | None, stop: threading.Event) -> None:
        began, folder = time.monotonic(), self.run.stage(name)
        first, said = folder.progress(), began
        fetched = began
        while not stop.wait(LOOK_SECONDS):
            if time.monotonic() - fetched >= FETCH_SECONDS:
                with contextlib.suppress(RemoteError):  # those who work on it find out whether they can go on
                    self.run.refresh()
                fetched = time.monotonic()
            done, elapsed = folder.progress(), time.monotonic() - began
            status = folder.search_status(total)
            note, lines = _rate(done - first, done, total, elapsed), list[str]()
            if status is not None:
                left = time_left(status)
                note, lines = f"{left} left" if left else duration(elapsed), search_lines(status)
            self._bars.below = lines
            self._bars.update(task, completed=done, rate=note)
            if not self.console.is_terminal and time.monotonic() - said >= LINE_SECONDS:
                said = time.monotonic()
                rows = f"{done}{f' of {total}' if total else ''} rows"
                self.say(f"{name:<9} " + "; ".join((rows, note, *lines)))

    def _stop_looking(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def _rate(new: int, done: int, total: int | None, elapsed: float) -> str:
    """Rate and time left; the elapsed time alone while too little is done to tell."""
    if new < MIN_ROWS_FOR_RATE:
        return duration(elapsed)
    per_second = new / elapsed
    rate = f"{per_second:.1f} rows/s" if per_second >= 1 else f"{per_second * 60:.1f} rows/min"
    return f"{rate}, {duration((total - done) / per_second)} left" if total and total > done else rate


class _Bars(Progress):
    """Bars with lines below them."""

    below: Iterable[str] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars, then the lines."""
        yield from super().get_renderables()
        for line in self.below:
            yield Text(f"{'':<10} {line}", style="dim", overflow="ellipsis", no_wrap=True)


class _ConsoleHandler(logging.Handler):
    """deepwriting's log messages as lines above the bars."""

    def __init__(self, display: RunDisplay):
        super().__init__(logging.INFO)
        self.display = display

    def emit(self, record: logging.LogRecord) -> None:
        self.display.say(f"{'':<9} {record.getMessage()}")
