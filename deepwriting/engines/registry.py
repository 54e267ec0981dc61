"""Engines by their recipe section: loaded on first use, shared by all stages of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepwriting.engines.base import Engine
from deepwriting.errors import EngineError

if TYPE_CHECKING:
    from deepwriting.engines.slots import DeviceSlot
    from deepwriting.recipe import EngineSection, TransformersSection

_LOADED: dict[str, Engine] = {}
#: Places at dealt-out devices, held as long as the engines are.
_SLOTS: list[DeviceSlot] = []


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
        return _load_transformers(section)
    if isinstance(section, VllmSection):
        from deepwriting.engines.vllm.engine import VllmEngine

        return VllmEngine(**section.model_dump(exclude={"engine"}))
    if isinstance(section, ServerSection):
        from deepwriting.engines.server.engine import ServerEngine
        from deepwriting.engines.server.process import ServerStart

        asked = section.start
        start = ServerStart(**asked.model_dump()) if asked else None
        return ServerEngine(start=start, **section.model_dump(exclude={"engine", "start"}))
    raise EngineError(f"there is no engine for the section {type(section).__name__}")


def _load_transformers(section: TransformersSection) -> Engine:
    from deepwriting.engines.slots import DeviceSlot
    from deepwriting.engines.transformers.engine import TransformersEngine

    settings = section.model_dump(exclude={"engine", "devices"})
    if not section.devices:
        return TransformersEngine(**settings)
    slot = DeviceSlot(section.devices, f"{section.model} {section.revision} {section.dtype}")
    try:
        engine = TransformersEngine(**settings | {"device": slot.device})
    except BaseException:
        slot.close()
        raise
    _SLOTS.append(slot)
    return engine


def close_engines() -> None:
    """Stop all engines of this process and free their memory."""
    while _LOADED:
        _LOADED.popitem()[1].close()
    while _SLOTS:
        _SLOTS.pop().close()
