"""``deepwriting build``: a run's dataset again, from the run or from its shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.builders.manifest import read_manifest
from deepwriting.errors import BuildError, NotFoundError, RecipeError, StageMissingError
from deepwriting.rebuilding import rebuild

pytestmark = pytest.mark.usefixtures("closing_engines")

DATASET = Path("runs/short/deepwriting-20k")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def _built(finished_run: Path, tmp_path_factory: pytest.TempPathFactory, call: Any, write_recipe: Any) -> Path:
    """The finished run with its dataset, ``runs/short``."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(finished_run, folder, dirs_exist_ok=True)
    recipe = write_recipe(folder / "short.yaml", build={"drop_flags": []})
    assert call("run", str(recipe), "--run-dir", str(folder / "runs/short")) == 0
    return folder


@pytest.fixture
def work(_built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the working directory."""
    shutil.copytree(_built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_built_again_to_the_byte(work: Path, call: Callable[..., int], capsys: Any) -> None:
    assert call("build", "short", "again", "--json") == 0
    assert content(work / "again") == content(DATASET)
    report = json.loads(capsys.readouterr().out)
    assert (report["folder"], report["name"], report["version"]) == ("again", "deepwriting-20k", "0.1.0")
    assert report["rows"]["default"] == report["kept"] > 1


def test_options_replace_what_the_recipe_says(work: Path, call: Callable[..., int], capsys: Any) -> None:
    options = ("--name", "lamps", "--version", "2.0.0", "--validation-rows", "1", "--config", "sft", "--config", "verl")
    assert call("build", "runs/short", "lamps", *options) == 0
    shown = capsys.readouterr()
    manifest = read_manifest("lamps")
    assert (manifest.name, manifest.version) == ("lamps", "2.0.0")
    assert manifest.configs.keys() == {"default", "all", "sft", "verl"}
    assert manifest.configs["default"].splits["validation"].rows == 1
    assert manifest.settings["build"]["validation_rows"] == 1
    assert f"lamps 2.0.0: {manifest.counts.kept} kept rows, 1 of them for validation" in shown.out
    assert 'load_dataset("lamps")' in shown.err


def test_shards_and_the_facts_of_a_manifest_give_the_same_dataset(work: Path, call: Callable[..., int]) -> None:
    facts = ("--settings", str(DATASET / "manifest.json"))
    assert call("build", "runs/short/build/shards", "again", *facts) == 0
    assert content(work / "again") == content(DATASET)
    (work / "list.json").write_text("[1]")
    assert call("build", "runs/short/build/shards", "other", "--settings", "list.json") == 1


def test_another_run_gives_the_config_without_reflection(work: Path) -> None:
    with pytest.raises(RecipeError, match=r"searched with the prompts 'compact'; allowed: a run with search\.prompts"):
        rebuild("short", "other", no_reflection="short")
    shutil.copytree("runs/short", "runs/plain")
    recipe = Path("runs/plain/recipe.yaml")
    recipe.write_text(recipe.read_text().replace("prompts: compact", "prompts: no-reflection"))
    report = rebuild("short", "other", no_reflection="plain")
    assert report.rows["no-reflection"] == report.kept
    settings = read_manifest("other").settings
    assert settings["no_reflection"]["recipe"] == "short"
    assert "plain" not in json.dumps(settings)
    Path("runs/plain/build/stage.json").unlink()
    with pytest.raises(RecipeError, match="stage 'build' of that run has not finished"):
        rebuild("short", "other", no_reflection="plain")


def test_what_cannot_be_built_says_why(work: Path, call: Callable[..., int], capsys: Any) -> None:
    with pytest.raises(NotFoundError, match="there is neither a run nor a folder of shards at 'nowhere'"):
        rebuild("nowhere", "out")
    with pytest.raises(RecipeError, match=r"recipe\.yaml: dataset\.version = 'two' is not allowed"):
        rebuild("short", "out", version="two")
    with pytest.raises(RecipeError, match=r"validation_share 0\.1 and validation_rows 2 contradict each other"):
        rebuild("short", "out", validation_share=0.1, validation_rows=2)
    with pytest.raises(BuildError, match="settings were given for the run"):
        rebuild("short", "out", settings={})
    (work / "thesis").mkdir()
    (work / "thesis/text.txt").write_text("years of work")
    assert call("build", "short", "thesis") == 1
    assert "is not a built dataset and will not be replaced" in capsys.readouterr().err
    Path("runs/short/build/stage.json").unlink()
    with pytest.raises(StageMissingError, match="stage 'build' of runs/short has not finished"):
        rebuild("short", "out")
    assert not (work / "out").exists()
