"""Norms in one kernel compute what the model's own compute, or stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from deepwriting.engines.transformers.norms import fuse_norms

pytestmark = pytest.mark.model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scores_stay(tiny_network: Callable[..., Any], dtype: torch.dtype) -> None:
    network = tiny_network().to(dtype)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "norm" in name:
                weight.copy_(torch.linspace(0.5, 2.0, len(weight)))
        ids = torch.arange(1, 40)[None]
        before = network(ids).logits
        assert fuse_norms(network) == 5  # two a layer, and the last
        after = network(ids).logits
    assert not torch.equal(network.model.norm.weight, torch.ones(32))
    difference = float((after.float() - before.float()).norm() / before.float().norm())
    assert difference < (1e-5 if dtype == torch.float32 else 0.05)  # a random model of such weights enlarges rounding


def test_other_norms_are_left_alone() -> None:
    from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
    from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextRMSNormGated

    shifted, gated = Gemma2RMSNorm(16), Qwen3NextRMSNormGated(16)
    layers = torch.nn.ModuleList([shifted, gated, torch.nn.LayerNorm(16)])
    assert fuse_norms(layers) == 0
    assert torch.allclose(shifted(torch.full((1, 16), 3.0)), torch.ones(1, 16), atol=1e-4)
