"""Choosing device and dtype for a model that runs in this process."""

from __future__ import annotations

import torch

from deepwriting.errors import EngineError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` prefers CUDA, then MPS, then the CPU.

    Raises:
        EngineError: if the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EngineError(f"device {name!r} was asked for, but torch sees no CUDA device")
    if name.startswith("mps") and not torch.backends.mps.is_available():
        raise EngineError(f"device {name!r} was asked for, but torch sees no MPS device")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"device {name!r} is unknown; allowed: auto, cpu, cuda, cuda:N, mps") from error


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of that name; ``auto`` takes bfloat16 where the hardware multiplies it natively.

    Raises:
        EngineError: if the name is unknown.
    """
    if name == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        if device.type == "cpu" and cpu_has_bfloat16():
            return torch.bfloat16
        return torch.float32
    if name not in DTYPES:
        raise EngineError(f"dtype {name!r} is unknown; allowed: auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def cpu_has_bfloat16() -> bool:
    """Whether this CPU has bfloat16 instructions (AVX-512 BF16 or AMX); emulating them is slower than float32."""
    cpu = getattr(torch, "cpu", None)
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        if (check := getattr(cpu, probe, None)) is not None and check():
            return True
    return False
