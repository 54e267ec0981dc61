from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.cli import main

#: Pairs of the run that these tests plan and watch.
PAIRS = 5


@pytest.fixture(scope="session")
def call() -> Callable[..., int]:
    """Runs the command line and returns its exit code: ``call("status", "quickstart")``."""

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return int(ended.value.code or 0)

    return run


@pytest.fixture(scope="session")
def write_recipe(
    tmp_path_factory: pytest.TempPathFactory, pocket_model: Path, own_pairs: Any, write_lines: Any, recipe_for: Any
) -> Callable[..., Path]:
    """Writes a recipe over a few short pairs to a file; keywords change it."""
    pairs = write_lines(tmp_path_factory.mktemp("in") / "pairs.jsonl", *own_pairs(PAIRS))

    def write(path: Path, **changes: Any) -> Path:
        path.write_text(recipe_for(pairs, pocket_model, **changes)[1])
        return path

    return write


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, call: Any, write_recipe: Any) -> Path:
    """A folder with ``short.yaml`` and its run up to the search, ``runs/short``; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = write_recipe(folder / "short.yaml")
    assert call("run", str(recipe), "--until", "search", "--run-dir", str(folder / "runs/short")) == 0
    return folder


@pytest.fixture
def here(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, in the working directory."""
    shutil.copytree(finished_run, tmp_path, dirs_exist_ok=True)
    return tmp_path
