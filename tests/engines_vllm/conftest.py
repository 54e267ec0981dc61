"""Tests that need vLLM: `make test-vllm` runs them in an environment that has it.

The tests skip where vLLM cannot be imported. They run on the CPU build; on a GPU the same tests take the GPU.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.engines.contract")

# Before torch is loaded. Two threads on two cores that others use too wait for each other at every step: 48 sampled
# tokens took 9 to 27 s, with one thread 2.3 s (at a load of 4).
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: What the engine needs here, in one place: little memory for keys, no compilation (over a minute on a CPU).
SMALL = {"enforce_eager": True, "max_batch": 16, "options": {"kv_cache_memory_bytes": 2**28}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs vLLM where there is none."""
    if importlib.util.find_spec("vllm") is None:
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed here; see `make test-vllm`"))


@pytest.fixture(scope="session", autouse=True)
def offline() -> None:
    """No test asks the Hub, and vLLM does not report its use."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")


@pytest.fixture(scope="session")
def open_vllm() -> Iterator[Callable[..., Any]]:
    """Opens small engines, ``open_vllm(model, dtype="float32", **arguments)``, and closes them in the end."""
    from deepwriting.engines.vllm.engine import VllmEngine

    opened = []

    def make(model: Path | str, **arguments: Any) -> Any:
        opened.append(VllmEngine(str(model), **SMALL | {"dtype": "float32"} | arguments))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()
