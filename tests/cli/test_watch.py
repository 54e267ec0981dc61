"""``deepwriting watch`` and the tasks in ``status``, beside runs of a model of one layer."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deepwriting.cli.watch_view import MOST_TASKS, run_view
from deepwriting.executors.task import TaskPlace, around_task
from deepwriting.holder import NOTE
from deepwriting.rundir import RunFolder, StageRecord
from deepwriting.watching import Driver, PhaseView, RunView, StageView, TaskView

PAIRS = 5  # as in conftest.py
#: Seconds after which a test of processes gives up.
PATIENCE = 120


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def told(call: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Calls the command line: exit code, what it told, and what it complained about."""

    def tell(*arguments: str) -> tuple[int, str, str]:
        code = call(*arguments)
        return code, *capsys.readouterr()

    return tell


def test_a_task_that_fails_is_shown_with_its_last_words(
    here: Path, call: Any, told: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    search = RunFolder(here / "runs/short").stage("search")
    # As if it had been killed, and somebody had then changed its journal.
    record = search.record()
    assert record is not None
    search.save(dataclasses.replace(record, state="running"))
    (search.logs / "completions" / "00000").unlink()
    (search.path / "journal" / "00000.jsonl").write_text('{"event": "header", "settings": "another"}\n')
    run = ["short.yaml", "--until", "search", "--run-dir", str(here / "runs/short")]
    assert call("run", *run) == 1
    capsys.readouterr()

    code, shown, _ = told("watch", "short", "--every", "0.1")
    assert code == 1
    assert "The run has failed" in shown
    assert "1: 1 failed" in shown
    lines = [line.strip() for line in shown.splitlines()]
    [failed] = [line for line in lines if line.startswith("search 0")]
    assert "failed (attempt 2)" in failed
    assert "JournalError" in failed
    assert any("search/logs/deepwriting/task_00000.log" in line for line in lines)
    assert lines[-1] == "goes on with: deepwriting run runs/short/recipe.yaml"

    code, shown, _ = told("status", "short", "--json")
    assert code == 0
    data = json.loads(shown)
    assert (data["condition"], data["running"], data["certain"]) == ("failed", None, True)
    [trouble] = data["stages"]["search"]["troubles"]
    assert (trouble["rank"], trouble["state"], trouble["attempt"]) == (0, "failed", 2)
    assert trouble["why"].startswith("JournalError: ")
    assert trouble["last_line"]
    assert data["stages"]["dedupe"]["condition"] == "finished"


def test_a_watched_run_goes_by(here: Path) -> None:
    run = RunFolder(here / "runs/short")
    search = run.stage("search")
    record = search.record()
    assert record is not None
    (search.logs / "completions" / "00000").unlink()
    place = TaskPlace(str(run.path), "search", "", "ray", str(here), "search/logs")
    command = [sys.executable, "-m", "deepwriting", "watch", "short", "--every", "0.1", "--json"]
    looks: list[dict[str, Any]] = []
    with contextlib.ExitStack() as going:
        going.enter_context(run.locked("ray"))
        search.save(dataclasses.replace(record, state="running"))
        watcher = subprocess.Popen([*command, "--prometheus", "short.prom"], stdout=subprocess.PIPE, text=True)
        assert watcher.stdout is not None
        looks.append(json.loads(watcher.stdout.readline()))
        with around_task(place, 0):
            while not looks[-1]["stages"]["search"]["running"]:
                looks.append(json.loads(watcher.stdout.readline()))
        (search.logs / "completions" / "00000").touch()
        search.save(record)
    looks += [json.loads(line) for line in watcher.stdout]
    assert watcher.wait(PATIENCE) == 0
    watcher.stdout.close()
    first, running = looks[0], next(look for look in looks if look["stages"]["search"]["running"])
    assert (first["condition"], first["running"]["pid"], first["running"]["executor"]) == (
        "running",
        os.getpid(),
        "ray",
    )
    [task] = running["stages"]["search"]["running"]
    assert (task["rank"], task["state"], task["pid"], task["attempt"]) == (0, "running", os.getpid(), 2)
    assert running["stages"]["search"]["phases"][0]["tasks"]["running"] == 1
    assert (looks[-1]["condition"], looks[-1]["running"]) == ("stopped", None)
    series = f'deepwriting_run_condition{{run="{here}/runs/short",condition="stopped"}} 1'
    assert series in Path("short.prom").read_text()


def test_a_killed_run_is_not_well(here: Path, told: Any) -> None:
    run = RunFolder(here / "runs/short")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with run.locked():
        note = json.loads((run.path / NOTE).read_text())
    (run.path / NOTE).write_text(json.dumps(note | {"pid": ended.pid}))
    code, shown, _ = told("watch", "short")
    assert code == 1
    assert f"The run is interrupted: pid {ended.pid} on {note['host']}, since {note['started'][:10]} " in shown
    assert "last heard of" in shown
    assert "goes on with: deepwriting run runs/short/recipe.yaml" in shown


def test_a_run_whose_recipe_is_not_of_this_version_is_shown(here: Path, told: Any) -> None:
    run = RunFolder(here / "runs/short")
    record = run.stage("search").record()
    assert record is not None
    record.state = "running"
    run.stage("search").save(record)
    (run.path / "recipe.yaml").write_text("name: short\nspells: 3\n")
    code, shown, _ = told("watch", "short")
    assert code == 1
    assert "goes on with: deepwriting run runs/short/recipe.yaml --run-dir runs/short" in shown


def test_what_cannot_be_watched(here: Path, told: Any) -> None:
    code, _, complaints = told("watch", "nonsense")
    assert code == 1
    assert complaints.startswith("error: no run at 'nonsense'; runs here: short")
    for command in (["watch", "short"], ["status", "short"]):
        code, shown, complaints = told(*command, "--prometheus", "absent/short.prom")
        assert (code, shown) == (2, "")
        assert "--prometheus absent/short.prom: its folder is not there" in complaints
        code, shown, complaints = told(*command, "--prometheus", "short.txt")
        assert (code, shown) == (2, "")
        assert "--prometheus short.txt: node exporter reads only files whose names end in .prom" in complaints
    assert told("status", "--prometheus", "x.prom")[0] == 2
    assert told("watch", "short", "--every", "0")[0] == 2


def test_one_look_writes_metrics(here: Path, told: Any) -> None:
    code, shown, _ = told("status", "short", "--prometheus", "short.prom")
    assert code == 0
    assert "The run has stopped" in shown
    assert f'deepwriting_search_steps_total{{run="{here}/runs/short"}}' in Path("short.prom").read_text()


def test_metrics_that_cannot_be_written_do_not_end_the_watching(here: Path, told: Any) -> None:
    code, shown, complaints = told("watch", "short", "--json", "--prometheus", "x" * 250 + ".prom")
    assert (code, json.loads(shown)["condition"]) == (0, "stopped")
    assert complaints.endswith(".prom cannot be written: File name too long\n")


def shown(view: RunView, width: int = 100) -> str:
    console = Console(width=width, highlight=False, record=True, file=io.StringIO())
    console.print(run_view(view))
    return console.export_text()


def many(count: int, **values: Any) -> list[TaskView]:
    return [
        TaskView("search", "", rank, host=f"node{rank % 3}", pid=rank, silent_seconds=3.0, rows_done=float(rank),
                 rows_total=100, rows_per_second=0.5, **{"state": "running"} | values)
        for rank in range(count)
    ]  # fmt: skip


def test_of_many_tasks_the_slowest_are_listed() -> None:
    record = StageRecord("annotate", "x", {}, "running")
    phase = PhaseView("", {"done": 0, "running": 40, "stalled": 0, "failed": 20, "waiting": 4})
    troubles = many(20, state="failed", why="OSError: no", last_line="bad luck", log="a/log")
    stage = StageView("annotate", "running", record, [phase], phase, 9, 99, 2.0, 45.0, many(40)[::-1], troubles)
    driver = Driver("login1", 7, "2026-11-22T12:00:00+00:00", "slurm", [str(job) for job in range(6)], ["1", "2"])
    text = shown(RunView("runs/mine", "running", driver, {"annotate": stage}, None, True, ["a caution"]))
    assert "6 slurm jobs (0, 1, 2, 3 …), 2 of them queued or running; submitted on login1" in text
    assert "64: 40 running, 20 failed, 4 waiting" in text
    assert "0 of 64" in text
    assert "9 of 99 through" in text
    assert f"and {40 - MOST_TASKS} more with less time left" in text
    assert f"and {20 - MOST_TASKS} more" in text
    assert text.count("bad luck") == MOST_TASKS
    assert "not certain: a caution" in text
    rows = [line for line in text.splitlines() if "of 100" in line]
    assert rows[0].split()[0] == "0"


def test_a_phase_says_what_comes_behind_it() -> None:
    tasks = {"done": 1, "running": 1, "stalled": 0, "failed": 0, "waiting": 0}
    phases = [PhaseView(name, tasks) for name in ("rows", "buckets", "")]
    stage = StageView(
        "dedupe", "running", StageRecord("dedupe", "x", {}, "running"), phases, phases[1], running=many(1)
    )
    text = shown(RunView("runs/mine", "running", None, {"dedupe": stage}, None))
    assert "buckets, then rows" in text
    assert "2: 1 done, 1 running" in text
