"""The command line as a user meets it, without a model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deepwriting.cli import main
from deepwriting.cli.console import duration
from deepwriting.cli.main import COMMANDS
from deepwriting.cli.progress import _rate
from deepwriting.cli.run import STAGES
from deepwriting.recipe import Recipe, load_recipe
from deepwriting.stages import STAGE_NAMES


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    shown = capsys.readouterr().out
    for name, about in COMMANDS.items():
        assert f"{name}" in shown
        assert about in shown


def test_stage_choices_are_the_stages() -> None:
    assert STAGES == STAGE_NAMES


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert "0.1.0" in capsys.readouterr().out


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("serach") == 2
    assert "serach" in capsys.readouterr().err


def test_unknown_recipe_is_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "nonsense") == 1
    error = capsys.readouterr().err.splitlines()
    assert error[0].startswith("error: recipe 'nonsense' is neither a file nor bundled; bundled: deepwriting-20k")
    assert error[1].startswith("  → ")
    assert len(error) == 2


def test_wrong_recipe_names_key_value_and_allowed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "name: x\nsources: [{kind: pairs, path: p}]\nengines: {generator: {model: smollm2-135m}}\n"
        "search: {max_stepz: 3, candidates: 0}\n"
    )
    assert call("run", "r.yaml") == 1
    error = capsys.readouterr().err
    assert "search.max_stepz = 3" in error
    assert "max_steps" in error
    assert "search.candidates = 0" in error
    assert not (tmp_path / "runs").exists()


def test_from_behind_until_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "quickstart", "--from", "build", "--until", "source") == 2
    assert "--from build comes after --until source" in capsys.readouterr().err


def test_missing_source_stops_with_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "name: x\nsources: [{kind: pairs, path: nowhere.jsonl}]\nengines: {generator: {model: smollm2-135m}}\n"
    )
    assert call("run", "r.yaml", "--until", "source") == 1
    captured = capsys.readouterr()
    assert "error: source path 'nowhere.jsonl' does not exist" in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("decontaminate: {benchmarks: [{name: ours, path: gone.jsonl}]}", "benchmark 'ours': source path 'gone.jsonl'"),
        ("dedupe: {earlier_release: [gone]}", "dedupe.earlier_release: source path 'gone'"),
    ],
)
def test_a_missing_benchmark_or_release_is_refused_before_the_first_stage(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, section: str, message: str
) -> None:
    pair = {"id": "a", "query": "Write a note about rain.", "answer": "Rain falls on the roof. " * 5}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    (tmp_path / "r.yaml").write_text(
        "name: x\nsources: [{kind: pairs, path: pairs.jsonl}]\nengines: {generator: {model: smollm2-135m}}\n" + section
    )
    assert call(command, "r.yaml") == 1
    assert f"error: {message} does not exist" in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*/source"))


def test_debug_shows_the_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deepwriting", "--debug", "run", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_run_until_then_status_and_rejects(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good = {"id": "a", "query": "Write a note about rain.", "answer": "Rain falls on the roof. " * 5}
    lines = [json.dumps(good), json.dumps(good | {"id": "b"}), "{broken", json.dumps({"id": "c", "query": "x"})]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    (tmp_path / "r.yaml").write_text(
        "name: small\nsources: [{kind: pairs, path: p.jsonl}]\nengines: {generator: {model: smollm2-135m}}\n"
    )
    assert call("run", "r.yaml", "--until", "dedupe") == 0
    captured = capsys.readouterr()
    assert "malformed_json 1" in captured.out
    assert "missing_columns 1" in captured.out
    assert "duplicate_pair 1" in captured.out
    assert "--until" in captured.out
    assert "source    done" in captured.err

    assert call("run", "r.yaml", "--until", "dedupe") == 0
    assert "finished before" in capsys.readouterr().err

    assert call("status", "small", "--json") == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert stages["source"]["counts"]["rows_in"] == 4
    assert stages["dedupe"]["counts"]["rows_out"] == 1
    assert stages["search"]["state"] == "waiting"

    assert call("status", "small") == 0
    assert "waiting" in capsys.readouterr().out
    assert call("status") == 0
    assert capsys.readouterr().out == "small\n"

    assert call("show", "small") == 1
    assert "has no searched rows yet" in capsys.readouterr().err


def test_status_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("status", "nope") == 1
    assert "no run at 'nope'; runs here: none" in capsys.readouterr().err
    assert call("status") == 0
    assert "start one with" in capsys.readouterr().err


def test_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("recipes", "--json") == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == ["deepwriting-20k", "quickstart"]
    assert call("recipes", "--show", "quickstart") == 0
    assert capsys.readouterr().out == load_recipe("quickstart")[1]
    assert call("recipes", "--show", "nope") == 1


def test_init_writes_a_recipe_that_runs_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("init", "mine.yaml") == 0
    written, text = load_recipe(str(tmp_path / "mine.yaml"))
    quickstart = load_recipe("quickstart")[0]
    least = {
        "name": "mine",
        "sources": [{"kind": "pairs", "path": "samples://pairs", "license": "CC0-1.0"}],
        "engines": quickstart.engines.model_dump(),
        "search": quickstart.search.model_dump(),
    }
    assert written == Recipe.model_validate(least)
    assert "max_steps: 2    # most steps; a step refines one segment (default 10)" in text
    assert text.count("#") > 60, "every key is explained"
    assert call("init", "mine.yaml") == 2
    assert "exists; --force overwrites it" in capsys.readouterr().err
    assert call("init", "mine.yaml", "--force") == 0


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (125, "2 min 05 s"), (12_000, "3 h 20 min")],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_rate_waits_until_it_means_something() -> None:
    assert _rate(2, 2, 10, 60.0) == "1 min 00 s"
    assert _rate(4, 4, 10, 60.0) == "4.0 rows/min, 1 min 30 s left"
    assert _rate(10, 10, 10, 2.0) == "5.0 rows/s"
