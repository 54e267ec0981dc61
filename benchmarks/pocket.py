"""The one-layer model and the made-up pairs of the tests, for benchmarks of the machinery rather than the model.

Taken from ``tests/conftest.py``, where they are fixtures, so that there is one of each.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

_CONFTEST = Path(__file__).parents[1] / "tests" / "conftest.py"


def _conftest() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deepwriting_conftest", _CONFTEST)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Folders:
    """The part of pytest's ``tmp_path_factory`` that the fixture uses."""

    def __init__(self, root: Path):
        self.root = root

    def mktemp(self, name: str) -> Path:
        """A new folder."""
        folder = self.root / name
        folder.mkdir(parents=True)
        return folder


def pocket_model(root: Path) -> Path:
    """Write the model below ``root``; returns its folder."""
    folder: Path = inspect.unwrap(_conftest().pocket_model)(_Folders(root))
    return folder


def write_pairs(path: Path, count: int) -> Path:
    """Write ``count`` short pairs, all different, as JSON lines."""
    pairs = inspect.unwrap(_conftest().own_pairs)()(count)
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return path


def write_recipe(
    path: Path, pairs: Path, model: Path, *, search: Mapping[str, Any], generator: Mapping[str, Any], **sections: Any
) -> Path:
    """Write a recipe over short pairs in float32 on the CPU.

    Args:
        path: where to.
        pairs: file with the pairs.
        model: folder of the model.
        search: search settings beside those under which the tests search short texts.
        generator: engine settings beside model and precision.
        sections: whole sections.
    """
    device = {"device": "cpu"} if generator.get("engine", "transformers") == "transformers" else {}
    recipe = {
        "name": path.stem,
        "sources": [{"kind": "pairs", "path": str(pairs), "license": "CC0-1.0"}],
        "engines": {"generator": {"model": str(model), "dtype": "float32", **device, **generator}},
        # The pairs are made of few words, and all of them are wanted.
        "dedupe": {"near_duplicate_answers": False, "near_duplicate_queries": False, "max_answers_per_query": None},
        "search": {**_conftest().SHORT_SEARCH, **search},
        **sections,
    }
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path
