"""Engines: who samples text and who scores it.

base.py                 the interface, and what a sample and a score are
transformers_engine.py  a transformers model in this process (CPU, CUDA, MPS)
models.py               from a model's name to files: embedded, local, Hub
placement.py            device and dtype
forward.py, prefixes.py one model pass, reusing the prefixes that are known already
decoder.py, slots.py    sampling many sequences at once
drawing.py              the next token, seeded for each sequence
"""

from __future__ import annotations

from deepwriting.engines.base import Completion, Engine, EngineInfo, TargetScore, Usage
from deepwriting.engines.registry import close_engines, get_engine

__all__ = ["Completion", "Engine", "EngineInfo", "TargetScore", "Usage", "close_engines", "get_engine"]
