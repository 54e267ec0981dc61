from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.builders.build import build_dataset
from deepwriting.builders.selection import Choice

#: Pairs of the run that these tests look at.
PAIRS = 8


@pytest.fixture(scope="session")
def whole_run(
    tmp_path_factory: pytest.TempPathFactory, pocket_model: Path, own_pairs: Any, write_lines: Any, recipe_for: Any
) -> Path:
    """A run of the pocket model through all stages, with its dataset; not to be changed."""
    from deepwriting.engines.registry import close_engines
    from deepwriting.pipeline import run_recipe

    folder = tmp_path_factory.mktemp("whole")
    pairs = write_lines(folder / "pairs.jsonl", *own_pairs(PAIRS))
    recipe, text = recipe_for(
        pairs, pocket_model, build={"max_score": 5.0}, dataset={"name": "small", "version": "1.0.0"}
    )
    run_recipe(recipe, text, folder / "run")
    close_engines()
    return folder / "run"


@pytest.fixture(scope="session")
def documents(whole_run: Path) -> list[dict[str, Any]]:
    """The decided rows of that run."""
    found = []
    for shard in sorted((whole_run / "build/shards").glob("*.jsonl.gz")):
        found += [json.loads(line) for line in gzip.open(shard, "rt", encoding="utf-8")]
    return found


@pytest.fixture(scope="session")
def make_dataset(whole_run: Path) -> Callable[..., Path]:
    """Builds a dataset of documents with the run's settings: ``make_dataset(path, documents, version="1.1.0")``."""
    manifest = json.loads((whole_run / "small/manifest.json").read_text(encoding="utf-8"))

    def make(
        out: Path,
        documents: Iterable[dict[str, Any]],
        *,
        version: str = "1.0.0",
        validation_rows: int = 0,
        **settings: Any,
    ) -> Path:
        shard = out.parent / f"{out.name}-shards" / "00000.jsonl.gz"
        shard.parent.mkdir(parents=True)
        with gzip.open(shard, "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(document) + "\n" for document in documents)
        build_dataset(
            [shard],
            out,
            name="small",
            version=version,
            settings=manifest["settings"] | settings,
            choice=Choice(validation_rows=validation_rows),
        )
        return out

    return make


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, make_dataset: Any, documents: list[dict[str, Any]]) -> Path:
    """A dataset of that run with a validation split; not to be changed."""
    return make_dataset(tmp_path_factory.mktemp("built") / "small", documents, validation_rows=1)


@pytest.fixture
def dataset(built: Path, tmp_path: Path) -> Path:
    """A copy of that dataset, to be damaged."""
    return Path(shutil.copytree(built, tmp_path / "small"))
