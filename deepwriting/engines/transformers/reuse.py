"""Whether a model's keys can be kept, cut at any token, and used again beside other rows.

Most can. What cannot, by what the configuration says: layers with a recurrent or compressed state, and positions whose
encoding changes with the length of the text. What the configuration does not say, a small trial shows. Models that
cannot work without reuse: whole texts to score, transformers' own ``generate`` to sample.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deepwriting.engines.transformers.prefixes import NOTHING

if TYPE_CHECKING:
    from deepwriting.engines.transformers.forward import CausalModel

log = logging.getLogger(__name__)

#: For each kind of attention layer in a model how many tokens it sees, itself included; ``None`` for all.
Windows = dict[str, int | None]

#: Rotary encodings of transformers that change all positions when the text grows beyond the length trained on.
LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})
#: Attention implementations that take a mask of ours.
MASKED_ATTENTION = frozenset({"sdpa", "eager"})
#: Tokens of the trial; longer than a window of a tiny model, short enough for a large one.
TRIAL_TOKENS = 24
#: How far outputs of the trial may differ, as a share of their own size: well above rounding in bfloat16 (8 bits a
#: number), well below what a wrong mask or position does. A judgement.
TRIAL_TOLERANCE = 0.1


def length_dependent(config: Any) -> bool:
    """Whether positions are encoded differently in a longer text."""
    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    kinds = [rope.get("rope_type"), *(part.get("rope_type") for part in rope.values() if isinstance(part, dict))]
    return bool(LENGTH_DEPENDENT_ROPE.intersection(kinds))


def windows(config: Any) -> Windows | None:
    """The kinds of attention layers in a model, or ``None`` if the configuration rules reuse out."""
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    if length_dependent(config) or config._attn_implementation not in MASKED_ATTENTION:
        return None
    text = config.get_text_config(decoder=True)
    try:
        layers = DynamicCache(config=config).layers
    except (LookupError, AttributeError, TypeError):  # a kind of layer for which transformers has no growing cache
        return None
    kinds = getattr(text, "layer_types", None) or ["attention"] * len(layers)
    found: Windows = {}
    for kind, layer in zip(kinds, layers, strict=True):
        if type(layer) is DynamicLayer:
            window = None
        elif type(layer) is DynamicSlidingWindowLayer and kind != "chunked_attention":
            window = int(layer.sliding_window)
        else:
            return None
        if found.setdefault(kind, window) != window:
            return None
    return found or None


def agrees(model: CausalModel) -> bool:
    """Whether a short text in two rows, each behind a kept beginning of another length, gives what it gives whole."""
    from deepwriting.engines.transformers.forward import Row

    vocabulary = model.model.get_input_embeddings().num_embeddings
    ids = np.random.default_rng(0).integers(0, vocabulary, TRIAL_TOKENS)
    try:
        expected = model._outputs(torch.from_numpy(ids)[None].to(model.device))[0].float()
        first, second = Row(ids, NOTHING, 10, True), Row(ids, NOTHING, 5, True)
        for row in (first, second):
            model.advance([row])
        first.end, second.end = TRIAL_TOKENS, 12
        found = [output.float() for output in model.advance([first, second])]
    # A family's own forward code refuses a cache or a mask of ours in its own way. All of that means one thing: the
    # model works without reuse, and the log says why; test_model_kinds.py holds which families must reuse.
    except (TypeError, ValueError, RuntimeError, AttributeError, LookupError, NotImplementedError) as error:
        log.info("keys of this model cannot be used again: %s: %s", type(error).__name__, error)
        return False
    finally:
        model.computed_tokens = 0
    for output, whole in zip(found, (expected[10:], expected[5:12]), strict=True):
        if not float((output - whole).norm()) <= TRIAL_TOLERANCE * float(whole.norm()):  # also if it is not a number
            log.info("keys of this model cannot be used again: a trial text gave other outputs")
            return False
    return True
