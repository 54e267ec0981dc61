"""``deepwriting plan`` with a model of one layer: real pilots of real searches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.engines.transformers.engine import TransformersEngine
from deepwriting.errors import EngineError
from deepwriting.pilot import Pilot
from deepwriting.rundir import RunFolder

PAIRS = 5  # as in conftest.py


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def planned(call: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What ``plan --json`` says."""

    def plan(*arguments: str) -> Any:
        assert call("plan", *arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return plan


def pilot_of(folder: Path) -> Pilot:
    [file] = folder.glob("pilot/*/rows.json")
    return Pilot.read(file)


def test_a_pilot_of_all_pairs_is_what_the_run_took(
    here: Path, planned: Any, call: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    data = planned("short.yaml", "--pilot", "99", "--gpus", "2", "--price", "3")
    forecast, actual = data["forecast"], data["actual"]
    assert (forecast["rows"], forecast["drawn"]) == (PAIRS, PAIRS)
    for name in ("prompt_tokens", "sampled_tokens", "scored_tokens", "steps", "skipped"):
        assert forecast[name]["value"] == pytest.approx(actual[name]), name
        assert forecast[name]["low"] == pytest.approx(forecast[name]["high"]), name
    assert forecast["sampled_tokens"]["value"] > 0
    assert forecast["scored_tokens"]["value"] > 0
    assert 0 < forecast["reused_share"] < 1
    assert forecast["gpu_hours"]["value"] == pytest.approx(forecast["seconds"]["value"] * 2 / 3600)
    assert forecast["usd"]["GPUs"]["value"] == pytest.approx(forecast["gpu_hours"]["value"] * 3)
    assert actual["seconds"] > 0
    assert not (here / "runs/short.plan/select").exists(), "the run's own pairs were at hand"

    assert call("plan", "short.yaml", "--pilot", "99") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"short: the search of {PAIRS} rows, from a pilot of {PAIRS} of its {PAIRS} pairs"
    assert any("the run took" in line for line in lines)
    assert next(line for line in lines if line.startswith(" scored tokens")).split()[-1] == "+0%"


def test_a_larger_pilot_measures_only_what_is_new(
    here: Path, planned: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert planned("short.yaml", "--pilot", "2")["forecast"]["drawn"] == 2
    first = pilot_of(here / "runs/short.plan").rows
    assert len(first) == 2
    assert planned("short.yaml", "--pilot", "4")["forecast"]["drawn"] == 4
    second = pilot_of(here / "runs/short.plan").rows
    assert len(second) == 4
    assert {key: second[key] for key in first} == first

    def no_engine(*_: Any, **__: Any) -> None:
        raise AssertionError("a model is loaded for what is known")

    monkeypatch.setattr(TransformersEngine, "__init__", no_engine)
    assert planned("short.yaml", "--pilot", "3")["forecast"]["drawn"] == 3


def test_an_interrupted_pilot_goes_on(
    here: Path, call: Any, planned: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = planned("short.yaml", "--pilot", "3")["forecast"]
    shutil.rmtree(here / "runs/short.plan")
    real, calls = TransformersEngine.score, 0

    async def failing(self: TransformersEngine, *arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise EngineError("the machine is gone")
        return await real(self, *arguments, **keywords)

    monkeypatch.setattr(TransformersEngine, "score", failing)
    assert call("plan", "short.yaml", "--pilot", "3") == 1
    assert "error: the machine is gone" in capsys.readouterr().err
    ended = [row.ended for row in pilot_of(here / "runs/short.plan").rows.values()]
    assert any(ended)
    assert not all(ended)
    resumed = planned("short.yaml", "--pilot", "3")["forecast"]
    assert calls > 4
    assert resumed["scored_tokens"] == whole["scored_tokens"]
    # The step whose scoring failed is sampled once more, and that was work too.
    assert resumed["sampled_tokens"]["value"] >= whole["sampled_tokens"]["value"]
    assert resumed["steps"] == whole["steps"]


def test_without_a_run_the_pilot_makes_its_own_pairs(
    tmp_path: Path, call: Any, write_recipe: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recipe(tmp_path / "short.yaml", search={"rollouts": 3, "temperature": 0.9})
    assert call("plan", "short.yaml", "--pilot", "2") == 0
    captured = capsys.readouterr()
    assert f"short: the search of {PAIRS * 3} rows, from a pilot of 2 of its {PAIRS} pairs" in captured.out
    for label in ("prompt tokens", "sampled tokens", "scored tokens", "time", "steps", "80% interval"):
        assert label in captured.out
    assert "the run took" not in captured.out
    assert "GPU-hours" not in captured.out
    assert "Each pair is searched 3 times" in captured.out
    assert "run it with: deepwriting run short.yaml" in captured.err
    assert "pilot     searches 2 pairs" in captured.err
    assert not (tmp_path / "runs/short").exists()
    assert RunFolder(tmp_path / "runs/short.plan").stage("select").record() is not None


def test_a_changed_recipe_gets_a_pilot_of_its_own(tmp_path: Path, planned: Any, write_recipe: Any) -> None:
    recipe = write_recipe(tmp_path / "short.yaml")
    # datatrove keeps relative folders as they were when it met them first, so this one is named from the root.
    wanted = ("short.yaml", "--pilot", "2", "--run-dir", str(tmp_path / "runs/short"))
    before = planned(*wanted)["forecast"]
    write_recipe(recipe, search={"max_steps": 1})  # the pairs stay, the search changes
    after = planned(*wanted)["forecast"]
    assert after["steps"]["value"] < before["steps"]["value"]
    assert len(list((tmp_path / "runs/short.plan/pilot").iterdir())) == 2
    write_recipe(recipe, search={"max_steps": 1}, select={"calibrate": False})  # the pairs' stage changes
    assert planned(*wanted)["forecast"]["steps"] == after["steps"]


def test_a_run_under_other_settings_is_not_compared(here: Path, planned: Any, write_recipe: Any) -> None:
    write_recipe(here / "short.yaml", search={"max_steps": 1})
    assert planned("short.yaml", "--pilot", "2")["actual"] is None


@pytest.mark.parametrize("wrong", [("--pilot", "1"), ("--price", "-1"), ("--gpus", "x")])
def test_wrong_usage(call: Any, wrong: tuple[str, str]) -> None:
    assert call("plan", "quickstart", *wrong) == 2
