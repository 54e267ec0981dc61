"""Engines by their recipe section: loaded on first use, shared by all stages of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepwriting.engines.base import Engine

if TYPE_CHECKING:
    from deepwriting.recipe import EngineSection

_LOADED: dict[str, Engine] = {}


def get_engine(section: EngineSection) -> Engine:
    """The engine that a recipe section asks for.

    Raises:
        EngineError: if it cannot be loaded.
    """
    key = section.model_dump_json()
    if key not in _LOADED:
        from deepwriting.engines.transformers_engine import TransformersEngine

        _LOADED[key] = TransformersEngine(**section.model_dump(exclude={"engine"}))
    return _LOADED[key]


def close_engines() -> None:
    """Stop all engines of this process and free their memory."""
    while _LOADED:
        _LOADED.popitem()[1].close()
