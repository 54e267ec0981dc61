from __future__ import annotations

import pytest
import torch

from deepwriting.engines.placement import choose_device, choose_dtype, cpu_has_bfloat16
from deepwriting.errors import EngineError

CPU = torch.device("cpu")


def test_devices() -> None:
    assert choose_device("cpu") == CPU
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_that_is_not_there(name: str) -> None:
    with pytest.raises(EngineError, match=f"device '{name}' was asked for, but torch sees no CUDA device"):
        choose_device(name)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has MPS")
def test_mps_that_is_not_there() -> None:
    with pytest.raises(EngineError, match="device 'mps' was asked for, but torch sees no MPS device"):
        choose_device("mps")


def test_unknown_names() -> None:
    with pytest.raises(EngineError, match="device 'gpu' is unknown; allowed: auto, cpu, cuda, cuda:N, mps"):
        choose_device("gpu")
    with pytest.raises(EngineError, match="dtype 'int8' is unknown; allowed: auto, float32, bfloat16, float16"):
        choose_dtype("int8", CPU)


def test_dtypes() -> None:
    assert choose_dtype("float32", CPU) is torch.float32
    assert choose_dtype("bfloat16", CPU) is torch.bfloat16
    assert choose_dtype("float16", CPU) is torch.float16
    assert choose_dtype("auto", CPU) is (torch.bfloat16 if cpu_has_bfloat16() else torch.float32)
