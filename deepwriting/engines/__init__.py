"""Engines: who samples text and who scores it.

base.py        the interface, and what a sample and a score are
registry.py    from a recipe's section to an engine, opened once in a process
transformers/  a transformers model in this process (CPU, CUDA, MPS)
vllm/          vLLM in this process
server/        a server that speaks the OpenAI protocol, hosted or started by the run
alignment.py   which tokens of a text are the target's
models.py      from a model's name to files: embedded, local, Hub
placement.py   device and dtype
futures.py     answers from worker threads
quiet.py       transformers without its progress bars and warnings
"""

from __future__ import annotations

from deepwriting.engines.base import Completion, Engine, EngineInfo, TargetScore, Usage
from deepwriting.engines.registry import close_engines, get_engine

__all__ = ["Completion", "Engine", "EngineInfo", "TargetScore", "Usage", "close_engines", "get_engine"]
