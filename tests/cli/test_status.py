"""``deepwriting status`` beside runs of a model of one layer, and what ``run`` itself shows."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.cli import progress, search_view
from deepwriting.cli.search_view import reasons, search_lines
from deepwriting.executors.task import task_note
from deepwriting.files import write_json
from deepwriting.holder import NOTE
from deepwriting.lease import FileNote
from deepwriting.reer.status import SearchStatus
from deepwriting.rundir import RunFolder

PAIRS = 5  # as in conftest.py
#: Seconds after which a test of processes gives up.
PATIENCE = 120


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def interrupted(here: Path) -> Path:
    """The same, made to look like a search of which a power cut left half."""
    run = RunFolder(here / "runs/short")
    record = run.stage("search").record()
    assert record is not None
    record.state = "running"
    run.stage("search").save(record)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    file = run.path / "search/status/00000.json"
    figures = json.loads(file.read_text())
    figures |= {"state": "running", "pid": ended.pid}
    figures["rows"] |= {"finished": 2, "in_flight": 1, "through": 2.5, "skipped": {"initial_one_segment": 1}}
    write_json(file, figures)
    return run.path


@pytest.fixture
def status(call: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What ``status`` shows."""

    def show(*arguments: str) -> str:
        assert call("status", *arguments) == 0
        return capsys.readouterr().out

    return show


def test_a_finished_search_has_its_figures_but_no_panel(here: Path, status: Any) -> None:
    assert "tokens/s" not in status("short")
    data = json.loads(status("short", "--json"))
    assert data["running"] is None
    search = data["search"]
    assert (search["total"], search["done"], search["in_flight"], search["running"]) == (PAIRS, PAIRS, 0, False)
    assert search["through"] == PAIRS
    assert search["workers"][0]["life"] == "stopped"
    [engine] = search["engines"]
    assert engine["roles"] == ["generator", "scorer"]
    assert min(engine[f"{kind}_tokens"] for kind in ("prompt", "sampled", "scored")) > 0
    assert search["score_now"] <= search["score_before"]


def test_an_interrupted_search_says_how_to_go_on(interrupted: Path, status: Any) -> None:
    shown = status("short")
    assert "not running" in shown
    assert shown.splitlines()[-1] == "goes on with: deepwriting run runs/short/recipe.yaml"
    assert f"3 of {PAIRS} done, 2 with a trajectory, 1 begun" in shown
    assert "initial_one_segment 1" in shown
    assert "interrupted" in shown
    assert "time left" not in shown


def test_a_run_elsewhere_is_continued_in_its_folder(interrupted: Path, tmp_path: Path, status: Any) -> None:
    elsewhere = interrupted.rename(tmp_path / f"longer{'-and-longer' * 10}")
    command = f"goes on with: deepwriting run {elsewhere}/recipe.yaml --run-dir {elsewhere}"
    assert status(str(elsewhere)).splitlines()[-1] == command


def test_a_run_goes_on_where_its_tasks_ran(interrupted: Path, status: Any) -> None:
    note = FileNote(task_note(interrupted / "search", "", 0))
    note.write({"executor": "slurm", "state": "stopped"})
    assert status("short").splitlines()[-1] == ("goes on with: deepwriting run runs/short/recipe.yaml --executor slurm")
    FileNote(interrupted / NOTE).write({"executor": "ray", "state": "stopped"})
    assert status("short").splitlines()[-1] == "goes on with: deepwriting run runs/short/recipe.yaml --executor ray"


def test_a_search_that_loads_its_models_is_not_called_dead(interrupted: Path, status: Any) -> None:
    with RunFolder(interrupted).locked():
        shown = status("short")
    assert "about to go on" in shown
    assert "not running" not in shown


def test_watching_ends_with_the_run(here: Path, call: Any, status: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("short", "--watch", "0.1").count("finished") == 4
    [line] = status("short", "--json", "--watch").splitlines()
    assert json.loads(line)["running"] is None
    assert call("status", "--watch") == 2
    assert "--watch needs a RUN" in capsys.readouterr().err


def test_to_stop_watching_is_no_error(here: Path) -> None:
    command = [sys.executable, "-m", "deepwriting", "status", "short", "--watch", "0.1", "--json"]
    with RunFolder(here / "runs/short").locked():
        # A shell starts what runs in its background with Ctrl-C ignored, and children inherit that.
        heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        watcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
        with watcher:
            assert watcher.stdout is not None
            assert watcher.stderr is not None
            for _ in range(2):
                assert json.loads(watcher.stdout.readline())["running"]["pid"] == os.getpid()
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(PATIENCE) == 0
            assert watcher.stderr.read() == ""


@pytest.mark.slow
def test_a_killed_search_counts_on_in_its_second_life(tmp_path: Path, write_recipe: Any, status: Any) -> None:
    write_recipe(tmp_path / "short.yaml", search={"max_steps": 4})
    command = [sys.executable, "-m", "deepwriting", "run", "short.yaml", "--until", "search"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE
    while not (found := RunFolder(tmp_path / "runs/short").stage("search").search_status()) or not found.finished:
        assert time.monotonic() < until
        assert run.poll() is None
        time.sleep(0.05)
    alive = json.loads(status("short", "--json"))
    assert alive["running"]["pid"] == run.pid
    if alive["search"]["done"] != PAIRS:
        assert alive["search"]["workers"][0]["life"] == "running"
    run.kill()
    run.wait()
    dead = json.loads(status("short", "--json"))
    assert dead["running"] is None
    assert dead["search"]["workers"][0]["life"] in ("gone", "stopped")

    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE)
    search = json.loads(status("short", "--json"))["search"]
    journal = (tmp_path / "runs/short/search/journal/00000.jsonl").read_text().splitlines()
    assert (search["done"], search["total"]) == (PAIRS, PAIRS)
    assert search["steps"] == sum(json.loads(line)["event"] == "step" for line in journal)
    for kind in ("prompt", "sampled", "scored"):
        assert search["engines"][0][f"{kind}_tokens"] >= dead["search"]["engines"][0][f"{kind}_tokens"]


def test_a_run_without_a_terminal_says_how_the_search_goes(
    tmp_path: Path, call: Any, write_recipe: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    recipe = write_recipe(tmp_path / "short.yaml", search={"rollouts": 2})
    assert call("run", str(recipe), "--until", "search", "--run-dir", str(tmp_path / "run")) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("search ")]
    told = [line for line in lines if "rows in flight" in line]
    assert told
    assert all(f"of {2 * PAIRS} rows" in line for line in told)


def figures(**changes: Any) -> SearchStatus:
    values = {"total": 10, "finished": 3, "in_flight": 2, "steps": 8, "accepted": 2, "score_before": 2.0,
              "score_now": 1.5, "tokens_in_per_second": 1234.4, "tokens_out_per_second": 5.0}  # fmt: skip
    return SearchStatus(**values | changes)


def test_the_lines_below_the_bar() -> None:
    first, second = search_lines(figures())
    assert first == "2 rows in flight · 8 steps, 25% accepted · score 2.000 → 1.500 nats"
    assert second == "tokens/s 1,234 in, 5 out"
    first, second = search_lines(figures(steps=0, score_before=None, tokens_in_per_second=None))
    assert (first, second) == ("2 rows in flight · 0 steps", "")


def test_reasons_are_ordered_and_summed_up() -> None:
    counts = {"a": 1, "b": 3, "c": 1, "d": 1, "e": 1, "f": 2}
    assert reasons(counts) == "b 3, f 2, a 1, c 1, others 2"
    assert reasons(counts, most=None) == "b 3, f 2, a 1, c 1, d 1, e 1"
    assert search_view.MOST_REASONS == 4
