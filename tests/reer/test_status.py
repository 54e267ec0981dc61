from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.files import write_json
from deepwriting.reer.status import SILENT_SECONDS, merge, process_exists, read_status

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def task(**changes: Any) -> dict[str, Any]:
    """One task's file; keywords replace keys, and those with a dot's parts joined by ``__`` replace inner ones."""
    data: dict[str, Any] = {
        "version": 1, "state": "running", "host": socket.gethostname(), "pid": os.getpid(),
        "started": (NOW - timedelta(minutes=5)).isoformat(), "updated": (NOW - timedelta(seconds=3)).isoformat(),
        "seconds": 300.0,
        "rows": {"total": 10, "finished": 3, "skipped": {"initial_one_segment": 1}, "left_out": {}, "in_flight": 2,
                 "through": 5.0},
        "steps": {"done": 12, "accepted": 6, "candidates": 24},
        "refused": {"too_short": 2},
        "scores": {"rows": 4, "score_before": 2.0, "score_now": 1.0, "perplexity_before": 16.0, "perplexity_now": 4.0},
        "engines": [{"roles": ["scorer"], "model": "m", "prompt_tokens": 0, "sampled_tokens": 0, "scored_tokens": 90,
                     "reused_tokens": 30}],
        "rates": {"window_seconds": 60.0, "tokens_in_per_second": 40.0, "tokens_out_per_second": 5.0,
                  "rows_per_second": 0.1},
    }  # fmt: skip
    for key, value in changes.items():
        outer, _, inner = key.partition("__")
        if inner:
            data[outer] = data[outer] | {inner: value}
        else:
            data[outer] = value
    return data


@pytest.fixture
def status_of(tmp_path: Path) -> Callable[..., Any]:
    """Writes tasks' files and reads them: ``status_of(task(), task(), total=20)``."""

    def read(*tasks: dict[str, Any], total: int | None = None) -> Any:
        for index, data in enumerate(tasks):
            write_json(tmp_path / f"{index:05d}.json", data)
        return read_status(tmp_path, total=total, age=lambda file: age(json.loads(file.read_text())))

    def age(data: dict[str, Any]) -> float:
        return (NOW - datetime.fromisoformat(data["updated"])).total_seconds()

    return read


def dead_pid() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_no_search_no_status(status_of: Any) -> None:
    assert status_of() is None


def test_one_task(status_of: Any) -> None:
    status = status_of(task())
    assert (status.done, status.total, status.in_flight, status.running) == (4, 10, 2, True)
    assert status.seconds_left == pytest.approx((10 - 5) / 0.1)
    [worker] = status.workers
    assert (worker.life, worker.age) == ("running", 3.0)


def test_the_run_knows_of_tasks_that_have_not_begun(status_of: Any) -> None:
    status = status_of(task(), total=100)
    assert status.total == 100
    assert status.seconds_left == pytest.approx(95 / 0.1)


def test_tasks_are_added_up_and_means_weighted(status_of: Any) -> None:
    other = task(
        scores={"rows": 12, "score_before": 1.0, "score_now": 0.5, "perplexity_before": 4.0, "perplexity_now": 4.0},
        rows__skipped={"context_overflow": 2, "initial_one_segment": 1}, rows__left_out={"control_token": 1},
    )  # fmt: skip
    status = status_of(task(), other)
    assert status.skipped == {"initial_one_segment": 2, "context_overflow": 2}
    assert status.done == 6 + 4 + 1
    assert (status.score_before, status.score_now) == (pytest.approx(1.25), pytest.approx(0.625))
    assert status.perplexity_before == pytest.approx(16 ** (4 / 16) * 4 ** (12 / 16))
    assert status.engines == [
        {"roles": ["scorer"], "model": "m", "prompt_tokens": 0, "sampled_tokens": 0, "scored_tokens": 180,
         "reused_tokens": 60}
    ]  # fmt: skip
    assert (status.tokens_in_per_second, status.rows_per_second, status.seconds) == (80.0, pytest.approx(0.2), 600.0)


def test_only_tasks_that_run_have_speed(status_of: Any) -> None:
    status = status_of(task(), task(state="stopped"), task(pid=dead_pid()))
    assert [worker.life for worker in status.workers] == ["running", "stopped", "gone"]
    assert status.tokens_in_per_second == 40.0
    stopped = status_of(task(state="stopped"), task(state="stopped"), task(state="stopped"))
    assert (stopped.running, stopped.tokens_in_per_second, stopped.seconds_left) == (False, None, None)


def test_rows_of_unknown_number_have_no_time_left(status_of: Any) -> None:
    status = status_of(task(rows__total=None), task())
    assert (status.total, status.seconds_left) == (None, None)


@pytest.mark.parametrize("rate", [None, 0.0])
def test_no_rate_no_time_left(status_of: Any, rate: float | None) -> None:
    assert status_of(task(rates__rows_per_second=rate)).seconds_left is None


def test_a_process_that_writes_nothing_is_silent(status_of: Any) -> None:
    old = (NOW - timedelta(seconds=SILENT_SECONDS + 1)).isoformat()
    assert status_of(task(updated=old)).workers[0].life == "silent"


def test_of_another_host_only_the_age_is_known(status_of: Any) -> None:
    old = (NOW - timedelta(seconds=SILENT_SECONDS + 1)).isoformat()
    pid = dead_pid()
    status = status_of(task(host="elsewhere", pid=pid), task(host="elsewhere", pid=pid, updated=old))
    assert [worker.life for worker in status.workers] == ["running", "gone"]


def test_a_clock_that_is_ahead_makes_no_negative_age(status_of: Any) -> None:
    ahead = (NOW + timedelta(seconds=30)).isoformat()
    assert status_of(task(host="elsewhere", updated=ahead)).workers[0].age == 0


def test_damaged_and_foreign_files_are_passed_over(status_of: Any, tmp_path: Path) -> None:
    for name, text in (("a", ""), ("b", "{"), ("c", "[1]"), ("d", '{"version": 2}')):
        (tmp_path / f"{name}.json").write_text(text)
    assert status_of(task()).done == 4


def test_everything_is_json(status_of: Any) -> None:
    data = status_of(task()).as_dict()
    assert json.loads(json.dumps(data)) == data
    assert (data["done"], data["running"], data["workers"][0]["life"]) == (4, True, "running")


def test_processes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process_exists(os.getpid())
    assert not process_exists(dead_pid())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # and nobody has asked how
    assert not process_exists(ended.pid)
    ended.wait()

    def another_users(pid: int, signal: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", another_users)
    assert process_exists(1)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.randoms())
def test_merging_does_not_depend_on_order(finished: list[int], rng: Any) -> None:
    files = [task(rows__finished=n, scores__rows=n, scores__score_now=n / 10) for n in finished]
    one = merge(files).as_dict()
    rng.shuffle(files)
    other = merge(files).as_dict()
    assert one["finished"] == other["finished"] == sum(finished)
    assert one["score_now"] == pytest.approx(other["score_now"]) if sum(finished) else one["score_now"] is None
