"""Telling want of memory from other failures, and giving memory back."""

from __future__ import annotations

import gc

import torch

#: What the allocators of CPU, CUDA and MPS say when they have nothing left, besides ``torch.OutOfMemoryError``.
_COMPLAINTS = (
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failure of the model was want of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _COMPLAINTS)


def release_memory(device: torch.device) -> None:
    """Give back what the allocator holds in reserve.

    Call it outside of the ``except`` block: the traceback keeps the tensors of the failed pass alive.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
