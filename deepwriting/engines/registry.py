"""Engines by their recipe section: loaded on first use, shared by all stages of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepwriting.engines.base import Engine
from deepwriting.errors import EngineError

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
        _LOADED[key] = _load(section)
    return _LOADED[key]


def _load(section: EngineSection) -> Engine:
    from deepwriting.recipe import ServerSection, TransformersSection, VllmSection

    if isinstance(section, TransformersSection):
        from deepwriting.engines.transformers.engine import TransformersEngine

        return TransformersEngine(**section.model_dump(exclude={"engine"}))
    if isinstance(section, VllmSection):
        from deepwriting.engines.vllm.engine import VllmEngine

        return VllmEngine(**section.model_dump(exclude={"engine"}))
    if isinstance(section, ServerSection):
        from deepwriting.engines.server.engine import ServerEngine
        from deepwriting.engines.server.process import ServerStart

        asked = section.start
        start = ServerStart(**asked.model_dump() | {"arguments": tuple(asked.arguments)}) if asked else None
        return ServerEngine(start=start, **section.model_dump(exclude={"engine", "start"}))
    raise EngineError(f"there is no engine for the section {type(section).__name__}")


def close_engines() -> None:
    """Stop all engines of this process and free their memory."""
    while _LOADED:
        _LOADED.popitem()[1].close()
