"""Tables that several commands show."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from deepwriting.cli.console import duration
from deepwriting.rundir import RunFolder, StageRecord


def plain_table(*columns: str, right: Iterable[int] = (), title: str | None = None) -> Table:
    """An empty table in the house style; ``right`` names the columns that align to the right."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in set(right) else "left", overflow="fold")
    return table


def stage_table(
    records: Mapping[str, StageRecord | None],
    done: Mapping[str, int] | None = None,
    title: str | None = None,
    *,
    running: bool = False,
) -> Table:
    """What each stage did with its rows.

    Args:
        records: stage -> its record; ``None`` for a stage that has not begun.
        done: stage -> rows that are through so far, for stages that have not finished.
        title: line above the table.
        running: whether somebody works on the run.
    """
    table = plain_table("stage", "state", "in", "out", "rejected", "why", "time", right=(2, 3, 4, 6), title=title)
    for name, record in records.items():
        if record is None:
            table.add_row(name, "waiting", "", "", "", "", "")
        elif record.state != "finished":
            so_far = f"{(done or {}).get(name, 0)} so far"
            spent = duration(record.seconds) if record.seconds else ""  # known once it was interrupted
            table.add_row(name, "running" if running else "interrupted", "", so_far, "", "", spent)
        else:
            counts = record.counts
            rows_in = f"{counts.rows_in} (+{counts.extra})" if counts.extra else str(counts.rows_in)
            why = ", ".join(f"{reason} {count}" for reason, count in counts.reasons.items())
            table.add_row(
                name, record.state, rows_in, str(counts.rows_out), str(counts.rejected), why, duration(record.seconds)
            )
    return table


#: What a job's description says of its tasks, and the column's title.
_NEEDS = {"cpus": "CPUs", "memory_gb": "GB", "gpus": "GPUs", "time": "time", "partition": "partition", "image": "image"}


def jobs_table(jobs: Sequence[Mapping[str, Any]], title: str | None = None) -> Table:
    """Phases as an executor gets them; a column that says nothing is left out.

    Args:
        jobs: descriptions, see ``deepwriting.executors.Runner.describe``; submitted ones with their ``id``.
        title: line above the table.
    """
    needs = [key for key in _NEEDS if any(job.get(key) for job in jobs)]
    ids = ["id"] if any("id" in job for job in jobs) else []
    columns = [*ids, "job", "tasks", "at once", *(_NEEDS[key] for key in needs)]
    table = plain_table(*columns, right=range(len(ids) + 1, len(ids) + 6), title=title)
    for job in jobs:
        asked = [f"{job[key]:g}" if isinstance(job.get(key), float) else str(job.get(key) or "") for key in needs]
        known = [str(job.get(key, "")) for key in ids]
        table.add_row(*known, job["name"], str(job["tasks"]), str(job["workers"]), *asked)
    return table


def planned_table(stages: Sequence[Mapping[str, Any]]) -> Table:
    """What a run would do: every stage with its jobs, and those that have finished."""
    jobs = [job for stage in stages for job in stage["jobs"]]
    table = jobs_table(jobs)
    finished = [stage["stage"] for stage in stages if stage["action"] == "skip"]
    goes_on = [stage["stage"] for stage in stages if stage["action"] == "continue"]
    notes = [f"finished: {', '.join(finished)}"] if finished else []
    notes += [f"goes on where it stopped: {', '.join(goes_on)}"] if goes_on else []
    if notes:
        table.caption, table.caption_justify = "; ".join(notes), "left"
    return table


def search_table(run: RunFolder) -> Table:
    """What the search achieved, over all rows that it finished."""
    from deepwriting.stages.rows import stage_documents  # imports datatrove, which the other tables do without

    rows = [document["metadata"] for document in stage_documents(run, "search")]
    table = plain_table("search", "no thinking", "before", "after", right=(1, 2, 3))
    if not rows:
        return table
    for label, key in (("score, mean (nats)", "score"), ("perplexity, median", "perplexity")):
        summary = statistics.mean if key == "score" else statistics.median
        values = [summary(row[f"{key}_{when}"] for row in rows) for when in ("no_thinking", "before", "after")]
        table.add_row(label, *(f"{value:.3f}" if key == "score" else f"{value:.1f}" for value in values))
    tokens = [statistics.median(row[f"thinking_tokens_{when}"] for row in rows) for when in ("before", "after")]
    table.add_row("thinking, median (tokens)", "0", *(f"{value:.0f}" for value in tokens))
    lower = sum(row["score_after"] < row["score_before"] for row in rows)
    edits, steps = (sum(row[key] for row in rows) for key in ("accepted_edits", "steps"))
    table.add_section()
    table.add_row("rows with a lower score", "", "", f"{lower} of {len(rows)}")
    table.add_row("accepted edits", "", "", f"{edits} in {steps} steps")
    refused: Counter[str] = Counter()
    for row in rows:
        refused.update(row["refusals"])
    if refused:
        most = ", ".join(f"{reason} {count}" for reason, count in refused.most_common())
        table.caption = f"refused candidates: {most}"
        table.caption_justify = "left"
    return table
