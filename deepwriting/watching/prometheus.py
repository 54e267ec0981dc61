"""A run as metrics, in the text format that Prometheus' node exporter collects from files (``*.prom``).

One file a run: the collector refuses the same series from two files, and every series has the run's address as a label.
Numbers that only grow are counters, all others gauges. What is not known has no series, rather than a zero.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deepwriting.reer.status import SearchStatus
from deepwriting.watching.model import CONDITIONS, RunView, StageView


@dataclass
class _Metric:
    """One metric: its name, what it means, and its series."""

    name: str
    about: str
    kind: str = "gauge"
    series: list[tuple[dict[str, str], float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: str) -> None:
        if value is not None:
            self.series.append((labels, value))

    def lines(self, run: str) -> Iterator[str]:
        if not self.series:
            return
        yield f"# HELP {self.name} {self.about}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.series:
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in ({"run": run} | labels).items())
            yield f"{self.name}{{{inner}}} {_number(value)}"


def metrics(view: RunView) -> str:
    """A run as Prometheus text.

    Args:
        view: the run.
    """
    parts = [*_of_run(view), *_of_stages(list(view.stages.values()))]
    if view.search is not None:
        parts += _of_search(view.search)
    # One series is one run, wherever whoever watches it stands.
    run = view.run if "://" in view.run else os.path.abspath(view.run)
    return "".join(f"{line}\n" for metric in parts for line in metric.lines(run))


def write_metrics(file: Path, view: RunView) -> None:
    """Write a run's metrics so that a collector sees the old file or the new one, never a part.

    Args:
        file: the file; its folder has to be there.
        view: the run.

    Raises:
        OSError: if it cannot be written.
    """
    # The collector takes whatever ends in .prom: the scratch file must not.
    scratch = file.with_name(f".{file.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        scratch.write_text(metrics(view), encoding="utf-8")
        os.replace(scratch, file)
    finally:
        scratch.unlink(missing_ok=True)


def _of_run(view: RunView) -> list[_Metric]:
    condition = _Metric("deepwriting_run_condition", "How the run stands: 1 for its condition, 0 for the others.")
    for name in CONDITIONS:
        condition.add(float(view.condition == name), condition=name)
    silent = _Metric("deepwriting_driver_silent_seconds", "Time since the process that drives the run was heard of.")
    if view.driver is not None and not view.driver.jobs:
        silent.add(view.driver.silent_seconds, host=view.driver.host)
    jobs = _Metric("deepwriting_jobs_left", "Submitted jobs that are queued or run.")
    if view.driver is not None and view.driver.jobs_left is not None and view.driver.jobs:
        jobs.add(len(view.driver.jobs_left))
    return [condition, silent, jobs]


def _of_stages(stages: list[StageView]) -> list[_Metric]:
    condition = _Metric("deepwriting_stage_condition", "How the stage stands: 1 for its condition, 0 for the others.")
    tasks = _Metric("deepwriting_stage_tasks", "Tasks of the phase that the stage is in, by their state.")
    done = _Metric("deepwriting_stage_rows_done", "Rows that are through the stage, rejected ones included.")
    total = _Metric("deepwriting_stage_rows_expected", "Rows that the stage has.")
    counts = _Metric("deepwriting_stage_rows", "Rows of a finished stage, by what became of them.")
    reasons = _Metric("deepwriting_stage_rejected_rows", "Rejected rows of a finished stage, by reason.")
    seconds = _Metric("deepwriting_stage_seconds", "Time spent on the stage, as far as it is settled.")
    rate = _Metric("deepwriting_stage_rows_per_second", "Rows through, of the tasks that run.")
    left = _Metric("deepwriting_stage_seconds_left", "Time until the stage's last task is through.")
    silent = _Metric("deepwriting_task_silent_seconds", "Time since a task was heard of; those that failed or stalled.")
    for stage in stages:
        name = stage.name
        for possible in CONDITIONS:
            if possible != "stopped":
                condition.add(float(stage.condition == possible), stage=name, condition=possible)
        if stage.record is None or stage.phase is None:
            continue
        for state, count in stage.phase.tasks.items():
            tasks.add(count, stage=name, phase=stage.phase.name, state=state)
        done.add(stage.rows_done, stage=name)
        total.add(stage.rows_total, stage=name)
        seconds.add(stage.record.seconds, stage=name)
        rate.add(stage.rows_per_second, stage=name)
        left.add(stage.seconds_left, stage=name)
        if stage.condition == "finished":
            counts.add(stage.record.counts.rows_out, stage=name, outcome="out")
            counts.add(stage.record.counts.rejected, stage=name, outcome="rejected")
            for reason, count in stage.record.counts.reasons.items():
                reasons.add(count, stage=name, reason=reason)
        for task in stage.troubles:
            silent.add(task.silent_seconds, stage=name, phase=task.phase, task=str(task.rank), state=task.state,
                       host=task.host or "")  # fmt: skip
    return [condition, tasks, done, total, counts, reasons, seconds, rate, left, silent]


def _of_search(search: SearchStatus) -> list[_Metric]:
    rows = _Metric("deepwriting_search_rows", "Rows of the search, by what became of them.")
    for outcome, value in (("finished", search.finished), ("skipped", search.skipped.total()),
                           ("left_out", search.left_out.total()), ("in_flight", search.in_flight)):  # fmt: skip
        rows.add(value, outcome=outcome)
    through = _Metric("deepwriting_search_rows_through", "Rows done, with the finished shares of those in flight.")
    through.add(search.through)
    steps = _Metric("deepwriting_search_steps_total", "Finished search steps.", "counter")
    steps.add(search.steps)
    accepted = _Metric("deepwriting_search_accepted_steps_total", "Steps whose edit was kept.", "counter")
    accepted.add(search.accepted)
    candidates = _Metric("deepwriting_search_candidates_total", "Candidates in those steps.", "counter")
    candidates.add(search.candidates)
    refused = _Metric("deepwriting_search_refused_total", "Refused candidates, by reason.", "counter")
    for reason, count in search.refused.items():
        refused.add(count, reason=reason)
    score = _Metric("deepwriting_search_score_nats", "Mean clipped score under the first thinking and the best so far.")
    perplexity = _Metric("deepwriting_search_perplexity", "Geometric mean of the answers' true perplexities.")
    for when in ("before", "now"):
        score.add(getattr(search, f"score_{when}"), when=when)
        perplexity.add(getattr(search, f"perplexity_{when}"), when=when)
    tokens = _Metric("deepwriting_search_tokens_total", "Tokens by engine and kind.", "counter")
    for engine in search.engines:
        for kind in ("prompt", "sampled", "scored", "reused"):
            tokens.add(engine[f"{kind}_tokens"], roles=",".join(engine["roles"]), model=engine["model"], kind=kind)
    speed = _Metric("deepwriting_search_tokens_per_second", "Tokens over the last minute, of the tasks that run.")
    speed.add(search.tokens_in_per_second, direction="in")
    speed.add(search.tokens_out_per_second, direction="out")
    return [rows, through, steps, accepted, candidates, refused, score, perplexity, tokens, speed]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(int(value)) if float(value).is_integer() else repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
