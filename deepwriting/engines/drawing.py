"""Drawing the next token from logits, so that a row depends on its own seed and on nothing else in the batch."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def row_generator(seed: int, index: int) -> np.random.Generator:
    """The random numbers of continuation ``index`` of a request with ``seed``."""
    digest = hashlib.sha256(f"{seed}:{index}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))


def draw(
    logits_BV: torch.Tensor,
    *,
    temperature: float,
    top_p: float,
    top_k: int,
    uniforms: list[float],
) -> list[int]:
    """Draw one token a row: temperature, then top-k, then top-p, then the inverse cumulative distribution.

    Args:
        logits_BV: logits, shape ``(batch, vocabulary)``.
        temperature: softmax temperature; 0 takes the likeliest token.
        top_p: nucleus probability (0 to 1].
        top_k: number of likeliest tokens considered; 0 for all.
        uniforms: one number in [0, 1) for each row.

    Returns:
        One token id a row.
    """
    if temperature == 0:
        return [int(token) for token in logits_BV.argmax(dim=-1)]
    vocabulary = logits_BV.shape[-1]
    k = min(top_k, vocabulary) if top_k > 0 else vocabulary
    values_BK, tokens_BK = torch.topk(logits_BV.float(), k, dim=-1)
    probabilities_BK = torch.softmax(values_BK / temperature, dim=-1)
    before_BK = probabilities_BK.cumsum(dim=-1) - probabilities_BK
    # The token that crosses top_p stays in, so at least one always does.
    probabilities_BK = torch.where(before_BK < top_p, probabilities_BK, torch.zeros_like(probabilities_BK))
    cumulative_BK = probabilities_BK.cumsum(dim=-1).double()
    drawn = torch.tensor(uniforms, dtype=torch.float64, device=logits_BV.device)[:, None] * cumulative_BK[:, -1:]
    chosen_B = (cumulative_BK <= drawn).sum(dim=-1)
    kept_B = (probabilities_BK > 0).sum(dim=-1)
    chosen_B = torch.minimum(chosen_B, kept_B - 1)
    return [int(token) for token in tokens_BK.gather(1, chosen_B[:, None])[:, 0]]
