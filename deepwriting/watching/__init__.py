"""Watching a run: how it stands, told from the files in its folder by whoever sees it, on whatever machine.

watch = RunWatch(lambda: RunFolder.existing("quickstart"))
while (view := watch.look()).going:
    print(view.condition, view.current)

model.py       plain values: run, stages, phases, tasks, and what they can be
notes.py       notes with a beat, read again and again
tasks.py       what is to be thought of each task; logs.py has its last words
stages.py      phases, rows, speed, time left
look.py        the whole run
prometheus.py  the same as metrics
"""

from __future__ import annotations

from deepwriting.watching.look import RunWatch
from deepwriting.watching.model import CONDITIONS, GOING, TASK_STATES, Driver, PhaseView, RunView, StageView, TaskView
from deepwriting.watching.prometheus import metrics, write_metrics

__all__ = [
    "CONDITIONS",
    "GOING",
    "TASK_STATES",
    "Driver",
    "PhaseView",
    "RunView",
    "RunWatch",
    "StageView",
    "TaskView",
    "metrics",
    "write_metrics",
]
