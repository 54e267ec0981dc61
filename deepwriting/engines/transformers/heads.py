"""The output layer of a model as a function of hidden states, so that it can be computed where it is needed only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Head = Callable[[torch.Tensor], torch.Tensor]


def find_head(model: Any, body: Any, device: torch.device) -> Head | None:
    """What turns hidden states into logits: the output layer, and the scaling that some families put behind it.

    The kinds of scaling are tried on two tokens; the one that gives the model's own logits to the last bit is it.

    Args:
        model: a transformers causal language model.
        body: the part of it that ends with the hidden states.
        device: where the model is.

    Returns:
        The head, or ``None`` if no known kind gives the model's logits.
    """
    layer = model.get_output_embeddings()
    if layer is None:
        return None
    probe = torch.arange(1, 3, device=device)[None]
    expected = model(probe, use_cache=False).logits
    hidden = body(probe, use_cache=False).last_hidden_state
    for head in _candidates(layer, model.config.get_text_config()):
        if torch.equal(head(hidden), expected):
            return head
    return None


def _candidates(layer: Head, config: Any) -> list[Head]:
    found = [layer]
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma
        found.append(lambda hidden: torch.tanh(layer(hidden) / cap) * cap)
    if factor := getattr(config, "logit_scale", None):  # Cohere
        found.append(lambda hidden: layer(hidden) * factor)
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        found.append(lambda hidden: layer(hidden) / divisor)
    return found
