"""Drawing the next token from logits, so that a row depends on its own seed and on nothing else in the batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

#: What ``draw`` returns for a row whose logits are not numbers.
NO_TOKEN = -1
#: Logits that agree to this many steps a unit count as equal, and equal ones stand in the order of their tokens:
#: rounding in float32 is a hundred times finer and depends on what else is computed, and the order must not.
STEPS_PER_LOGIT = 1024


def row_generator(seed: int, index: int) -> np.random.Generator:
    """The random numbers of continuation ``index`` of a request with ``seed``."""
    digest = hashlib.sha256(f"{seed}:{index}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))


def draw(
    logits_BV: torch.Tensor,
    *,
    temperature: float | Sequence[float],
    top_p: float | Sequence[float],
    top_k: int,
    uniforms: Sequence[float],
) -> torch.Tensor:
    """Draw one token a row: temperature, then top-k, then top-p, then the inverse cumulative distribution.

    Rows with another ``top_k`` are another call: how the sort orders equal logits, which bfloat16 has many of, may
    depend on it, and a row must not depend on its neighbours.

    Args:
        logits_BV: logits, float32, shape ``(batch, vocabulary)``.
        temperature: softmax temperature, of all rows or of each; 0 takes the likeliest token.
        top_p: nucleus probability (0 to 1], of all rows or of each.
        top_k: number of likeliest tokens considered; 0 for all.
        uniforms: one number in [0, 1) for each row.

    Returns:
        One token id a row, on the logits' device, shape ``(batch,)``; ``NO_TOKEN`` where logits are not numbers.
    """
    rows, vocabulary = logits_BV.shape
    settings = np.stack([np.broadcast_to(np.asarray(x, np.float64), rows) for x in (temperature, top_p, uniforms)])
    settings_3B1 = torch.from_numpy(settings).to(logits_BV.device)[:, :, None]  # one transfer
    greedy_B = logits_BV.argmax(dim=-1) if (settings[0] == 0).any() else None
    if (settings[0] == 0).all() and greedy_B is not None:
        tokens_B = greedy_B
    else:
        temperature_B1 = settings_3B1[0].float()
        k = min(top_k, vocabulary) if top_k > 0 else vocabulary
        values_BK, tokens_BK = _ordered(*torch.topk(logits_BV, k, dim=-1))
        scaled_BK = values_BK / torch.where(temperature_B1 == 0, torch.ones_like(temperature_B1), temperature_B1)
        probabilities_BK = torch.softmax(scaled_BK, dim=-1)
        before_BK = probabilities_BK.cumsum(dim=-1) - probabilities_BK
        # The token that crosses top_p stays in, so at least one always does.
        probabilities_BK = torch.where(before_BK < settings_3B1[1], probabilities_BK, 0.0)
        cumulative_BK = probabilities_BK.cumsum(dim=-1).double()
        chosen_B = (cumulative_BK <= settings_3B1[2] * cumulative_BK[:, -1:]).sum(dim=-1)
        kept_B = (probabilities_BK > 0).sum(dim=-1)
        chosen_B = torch.minimum(chosen_B, kept_B - 1).clamp(min=0)
        tokens_B = tokens_BK.gather(1, chosen_B[:, None])[:, 0]
        if greedy_B is not None:
            tokens_B = torch.where(settings_3B1[0, :, 0] == 0, greedy_B, tokens_B)
    # The largest logit is a number if all are, and the sort puts what is none first.
    return torch.where(torch.isfinite(logits_BV.amax(dim=-1)), tokens_B, NO_TOKEN)


def _ordered(values_BK: torch.Tensor, tokens_BK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens and their logits, likeliest first, equal ones by token id; both of shape ``(batch, k)``."""
    tokens_BK, by_id_BK = tokens_BK.sort(dim=-1)
    values_BK = values_BK.gather(1, by_id_BK)
    order_BK = (values_BK * STEPS_PER_LOGIT).round().sort(dim=-1, descending=True, stable=True).indices
    return values_BK.gather(1, order_BK), tokens_BK.gather(1, order_BK)
