"""Families of models: whatever is inside them, a score is that of a plain forward pass, and sampling is theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.model

SMALL = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256, "initializer_range": 0.3,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip
EXPERTS = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2}
MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8}

#: Class prefix, configuration, and whether its keys can be used again.
KINDS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "llama": ("Llama", SMALL, True),
    "mistral, sliding": ("Mistral", SMALL | {"sliding_window": 8}, True),
    "gemma 2": ("Gemma2", SMALL | MIXED | {"final_logit_softcapping": 5.0, "query_pre_attn_scalar": 8}, True),
    "gemma 3": ("Gemma3", SMALL | MIXED | {"query_pre_attn_scalar": 8}, True),
    "qwen 2": ("Qwen2", SMALL, True),
    "qwen 3": ("Qwen3", SMALL, True),
    "gpt 2": ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.3}, True),
    "phi 3": ("Phi3", SMALL, True),
    "granite": ("Granite", SMALL | {"logits_scaling": 3.0}, True),
    "mixtral": ("Mixtral", SMALL | {"num_local_experts": 4}, True),
    "qwen 3, experts": ("Qwen3Moe", SMALL | EXPERTS, True),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}, False),
    "mamba 2": (
        "Mamba2",
        {"hidden_size": 32, "num_hidden_layers": 2, "num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 2,
         "chunk_size": 16, "initializer_range": 0.3},
        False,
    ),
    "qwen 3, linear attention": (
        "Qwen3Next",
        SMALL | EXPERTS | {
            "layer_types": ["linear_attention", "full_attention"], "linear_num_value_heads": 2,
            "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
            "shared_expert_intermediate_size": 32,
        },
        False,
    ),
}  # fmt: skip

PREFIX = "The keeper of the light counts his letters every morning before the boats come in, and " * 3
MIDDLES = ["then he reads one.", "nobody knows why he does it; the sea is loud."]
TARGET = " He writes back to all of them, slowly, with a pencil."


@pytest.fixture(scope="module")
def opened(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """A random model of a kind: its folder and its network."""
    import torch
    import transformers

    from deepwriting.engines.quiet import quiet_transformers

    def make(kind: str) -> tuple[Path, Any]:
        family, values, _ = KINDS[kind]
        # Gemma 3 has a model of text alone, and one with pictures under the short name.
        config_name = {"Gemma3": "Gemma3TextConfig"}.get(family, f"{family}Config")
        torch.manual_seed(0)
        config = getattr(transformers, config_name)(**{"vocab_size": len(tokenizer)} | values)
        network = getattr(transformers, {"GPT2": "GPT2LMHeadModel"}.get(family, f"{family}ForCausalLM"))(config).eval()
        folder = tmp_path_factory.mktemp(family)
        with quiet_transformers():
            network.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return folder, network

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_samples(
    kind: str, opened: Callable[[str], tuple[Path, Any]], open_engine: Any, tokenizer: Any, plain_logprobs: Any
) -> None:
    import torch

    folder, network = opened(kind)
    engine = open_engine(folder, max_batch_tokens=2048)
    assert engine._causal.reusable is KINDS[kind][2]

    async def several() -> list[Any]:
        prefixes = [PREFIX, PREFIX + "on Sundays ", "A letter lies on the table. "]
        return await asyncio.gather(*(engine.score(prefix, MIDDLES, TARGET) for prefix in prefixes))

    for _ in range(2):  # the second time with a filled store
        for prefix, scores in zip([PREFIX, PREFIX + "on Sundays ", "A letter lies on the table. "],
                                  asyncio.run(several()), strict=True):  # fmt: skip
            for middle, score in zip(MIDDLES, scores, strict=True):
                expected, total = plain_logprobs(network, prefix + middle, TARGET)
                assert score.total_tokens == total
                assert abs(score.logprobs.mean() - np.mean(expected)) < 1e-4
    assert (engine.usage.reused_tokens > 0) is KINDS[kind][2]

    ids = tokenizer(PREFIX, add_special_tokens=False)["input_ids"]
    for _ in range(16):
        with torch.no_grad():
            logits = network(torch.tensor([ids]), use_cache=False).logits[0, -1]
        ids.append(int(logits.argmax()))
        if ids[-1] in engine._decoder._ending.eos:
            break
    [found, _] = asyncio.run(
        engine.sample(PREFIX, n=2, max_tokens=16, temperature=0.0, top_p=1.0, top_k=0, frequency_penalty=0.0, stop=(),
                      seed=0)
    )  # fmt: skip
    assert found.text == tokenizer.decode(ids[len(tokenizer(PREFIX)["input_ids"]) :], skip_special_tokens=True)
