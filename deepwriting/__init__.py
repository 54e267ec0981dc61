"""Turn known-good writing into a published, versioned dataset of deep reasoning trajectories (REER).

    >>> from deepwriting import load_recipe, run_recipe
    >>> recipe, text = load_recipe("quickstart")
    >>> records = run_recipe(recipe, text, Path("runs/quickstart"))      # doctest: +SKIP
    >>> from datasets import load_dataset
    >>> rows = load_dataset("runs/quickstart/deepwriting-20k", split="train")  # doctest: +SKIP

The command line does the same: ``deepwriting run quickstart``. Names are imported on first use, so that importing the
package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepwriting.builders.build import build_dataset
    from deepwriting.engines.registry import get_engine
    from deepwriting.errors import DeepWritingError
    from deepwriting.pipeline import run_recipe
    from deepwriting.rebuilding import rebuild
    from deepwriting.recipe import Recipe, load_recipe, parse_recipe
    from deepwriting.reer.prompts import load_prompts
    from deepwriting.reer.search import LocalSearch

__version__ = "0.1.0"

#: Public name -> the module that defines it.
_HOMES = {
    "DeepWritingError": "deepwriting.errors",
    "LocalSearch": "deepwriting.reer.search",
    "Recipe": "deepwriting.recipe",
    "build_dataset": "deepwriting.builders.build",
    "get_engine": "deepwriting.engines.registry",
    "load_prompts": "deepwriting.reer.prompts",
    "load_recipe": "deepwriting.recipe",
    "parse_recipe": "deepwriting.recipe",
    "rebuild": "deepwriting.rebuilding",
    "run_recipe": "deepwriting.pipeline",
}

__all__ = [
    "DeepWritingError",
    "LocalSearch",
    "Recipe",
    "build_dataset",
    "get_engine",
    "load_prompts",
    "load_recipe",
    "parse_recipe",
    "rebuild",
    "run_recipe",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
