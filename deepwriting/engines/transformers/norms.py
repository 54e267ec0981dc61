"""RMS norms in one kernel on a GPU.

transformers spells the norm out in eight operations, each of which reads and writes all activations. Torch has it as
one. For an 8B model on an H200 the norms took a fifth of a scoring pass, and most of what has to be started in a
decoding step (benchmarks/ceiling.py).
"""

from __future__ import annotations

from typing import Any

import torch

#: How far the two ways may differ, in roundings of the precision: transformers rounds once more than torch does.
ROUNDINGS = 4


def fuse_norms(network: torch.nn.Module) -> int:
    """Have every RMS norm that torch's own computes alike use that.

    Families mean different things by the name (Gemma's weights count from zero), so each norm is tried.

    Args:
        network: a transformers model; its norms are changed in place.

    Returns:
        How many norms were changed.
    """
    found = [module for module in network.modules() if type(module).__name__.endswith("RMSNorm")]
    return sum(_fuse(module) for module in found)


def _fuse(norm: Any) -> bool:
    weight, eps = getattr(norm, "weight", None), getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
    if not isinstance(weight, torch.Tensor) or weight.dim() != 1 or not isinstance(eps, float):
        return False

    def fused(hidden_states: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.rms_norm(hidden_states, weight.shape, weight, eps)

    trial = torch.randn(4, len(weight), generator=torch.Generator().manual_seed(0)).to(weight)
    try:
        expected = norm(trial)
    except TypeError:  # norms that also take a gate
        return False
    if not torch.allclose(fused(trial), expected, rtol=ROUNDINGS * torch.finfo(weight.dtype).eps, atol=0.0):
        return False
    norm.forward = fused
    return True
