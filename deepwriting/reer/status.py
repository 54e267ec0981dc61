"""Reading how far a search is: the files that ``progress.py`` writes, one a task, merged into one picture.

Whoever reads may sit in another terminal or on another machine, and the process that wrote a file may be long dead.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

#: A file that has not changed for this long is not being written any more (seconds). Ten times the usual interval is
#: for busy disks; the rest for the caches of network file systems, which show a file up to a minute late.
SILENT_SECONDS = 90.0

#: ``running``: alive, or on another host and heard of lately. ``silent``: the process is there but writes nothing.
#: ``gone``: killed. ``stopped``: ended in order, finished or not.
Life = Literal["running", "silent", "gone", "stopped"]


@dataclass(frozen=True)
class Worker:
    """The process that works, or worked last, on a task.

    Attributes:
        task: the task's file.
        host: its machine.
        pid: its process id there.
        started: when it began.
        updated: when it last wrote, by its machine's clock.
        age: seconds since then, by nobody's clock but the folder's.
        life: what is to be thought of it.
    """

    task: str
    host: str
    pid: int
    started: datetime
    updated: datetime
    age: float
    life: Life


@dataclass
class SearchStatus:
    """The search of a run, all tasks together.

    Attributes:
        total: rows to search, all rollouts; ``None`` if that is not known.
        finished: rows with a trajectory.
        skipped: reason -> rows that could not be searched.
        left_out: reason -> rows of pairs that were not searched at all.
        in_flight: rows that have begun and not ended.
        through: rows done, with the finished shares of those in flight.
        steps: finished steps.
        accepted: steps whose edit was kept.
        candidates: candidates in those steps.
        refused: reason -> refused candidates, those for the first thinking included.
        scored_rows: rows with a first thinking; the means are over them.
        score_before: mean clipped score under the first thinking (nats).
        score_now: mean clipped score under the best thinking so far (nats).
        perplexity_before: geometric mean of the true perplexities.
        perplexity_now: the same now.
        seconds: time spent, all lives and tasks added up; loading models is not in it.
        engines: tokens by engine: ``roles``, ``model`` and the fields of ``Usage``.
        tokens_in_per_second: prompt and scored tokens, over the last minute, of the tasks that run.
        tokens_out_per_second: sampled tokens, likewise.
        rows_per_second: over the last half hour.
        workers: who works on the tasks, or did.
    """

    total: int | None = None
    finished: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    through: float = 0.0
    steps: int = 0
    accepted: int = 0
    candidates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    scored_rows: int = 0
    score_before: float | None = None
    score_now: float | None = None
    perplexity_before: float | None = None
    perplexity_now: float | None = None
    seconds: float = 0.0
    engines: list[dict[str, Any]] = field(default_factory=list)
    tokens_in_per_second: float | None = None
    tokens_out_per_second: float | None = None
    rows_per_second: float | None = None
    workers: list[Worker] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Rows that need no more work."""
        return self.finished + self.skipped.total() + self.left_out.total()

    @property
    def running(self) -> bool:
        """Whether any task is being worked on."""
        return any(worker.life == "running" for worker in self.workers)

    @property
    def seconds_left(self) -> float | None:
        """Time until all rows are through, at the present rate; ``None`` where there is none."""
        if not self.running or self.total is None or not self.rows_per_second or self.rows_per_second <= 0:
            return None
        return max(self.total - self.through, 0.0) / self.rows_per_second

    def as_dict(self) -> dict[str, Any]:
        """JSON values, the derived ones included."""
        plain = {key: dict(value) if isinstance(value, Counter) else value for key, value in vars(self).items()}
        workers = [
            vars(worker) | {"started": worker.started.isoformat(), "updated": worker.updated.isoformat()}
            for worker in self.workers
        ]
        return plain | {
            "workers": workers, "done": self.done, "running": self.running, "seconds_left": self.seconds_left
        }  # fmt: skip


def read_status(
    folder: Path, *, total: int | None = None, age: Callable[[Path], float] | None = None
) -> SearchStatus | None:
    """Read and merge the files of a search.

    Args:
        folder: ``search/status`` of a run.
        total: rows to search, if the run knows; else what the tasks that have begun say.
        age: tells how long ago a file was written (seconds); by the folder's own clock if left out.

    Returns:
        The status; ``None`` if no search has begun.
    """
    age = age or _age
    files, ages = {}, {}
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError):  # removed, or from another hand: the others still tell something
            data = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(data, dict) and data.get("version") == 1:
                files[file.stem], ages[file.stem] = data, age(file)
    if not files:
        return None
    status = merge(files.values())
    status.workers = [_worker(task, data, ages[task]) for task, data in files.items()]
    live = [data["rates"] for data, worker in zip(files.values(), status.workers, strict=True)
            if worker.life == "running"]  # fmt: skip
    for name in ("tokens_in_per_second", "tokens_out_per_second", "rows_per_second"):
        known = [rates[name] for rates in live if rates[name] is not None]
        setattr(status, name, sum(known) if known else None)
    if total is not None:
        status.total = total
    return status


def merge(files: Iterable[Mapping[str, Any]]) -> SearchStatus:
    """Add up what several tasks say: counts are summed, means weighted by their rows."""
    files = list(files)
    status = SearchStatus()
    totals = [data["rows"]["total"] for data in files]
    status.total = None if None in totals else sum(totals)
    engines: dict[tuple[tuple[str, ...], str], Counter[str]] = {}
    for data in files:
        rows, steps = data["rows"], data["steps"]
        status.seconds += data["seconds"]
        status.finished += rows["finished"]
        status.skipped.update(rows["skipped"])
        status.left_out.update(rows["left_out"])
        status.in_flight += rows["in_flight"]
        status.through += rows["through"]
        status.steps += steps["done"]
        status.accepted += steps["accepted"]
        status.candidates += steps["candidates"]
        status.refused.update(data["refused"])
        for engine in data["engines"]:
            tokens = {key: value for key, value in engine.items() if key.endswith("_tokens")}
            engines.setdefault((tuple(engine["roles"]), engine["model"]), Counter()).update(tokens)
    status.engines = [{"roles": list(roles), "model": model, **used} for (roles, model), used in engines.items()]
    scored = [data["scores"] for data in files if data["scores"]["rows"]]
    status.scored_rows = sum(scores["rows"] for scores in scored)
    if scored:

        def mean(name: str) -> float:
            return float(sum(scores[name] * scores["rows"] for scores in scored) / status.scored_rows)

        def geometric_mean(name: str) -> float:
            return math.exp(sum(math.log(s[name]) * s["rows"] for s in scored) / status.scored_rows)

        status.score_before, status.score_now = mean("score_before"), mean("score_now")
        status.perplexity_before = geometric_mean("perplexity_before")
        status.perplexity_now = geometric_mean("perplexity_now")
    return status


def _age(file: Path) -> float:
    # What the file itself says is by its writer's clock, which may be another machine's.
    from deepwriting.folder_clock import clock_of

    return clock_of(file.parent.resolve()).age(file.stat().st_mtime)


def _worker(task: str, data: Mapping[str, Any], age: float) -> Worker:
    started, updated = (datetime.fromisoformat(data[key]) for key in ("started", "updated"))
    age = max(age, 0.0)
    life: Life
    if data["state"] != "running":
        life = "stopped"
    elif data["host"] != socket.gethostname():
        life = "running" if age < SILENT_SECONDS else "gone"
    elif not process_exists(data["pid"]):
        life = "gone"
    else:
        life = "running" if age < SILENT_SECONDS else "silent"
    return Worker(task, data["host"], data["pid"], started, updated, age, life)


def process_exists(pid: int) -> bool:
    """Whether there is such a process on this machine, and has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but there
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):  # Linux only
        return True
    # One that has ended stays known until its parent asks; the first process of many containers never does.
    return state not in (b"Z", b"X")
