"""The cache of one forward pass over rows that each go on from keys computed earlier."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from deepwriting.engines.transformers.prefixes import Layers, Prefix


class PastLayer(CacheLayerMixin):
    """One layer: hands the attention each row's past and new keys side by side, and remembers only the new ones.

    The joined keys live no longer than the layer's attention, so that memory holds them for one layer at a time.

    Args:
        pasts: for each row the keys and values of its past, in pieces; one row's stand for all if there is only one.
        width: tokens of the longest past; shorter ones are filled up behind, where the mask hides it.
        retain: whether the new keys are needed after the pass.
    """

    is_sliding = False

    def __init__(self, pasts: list[list[tuple[torch.Tensor, torch.Tensor]]], width: int, retain: bool):
        super().__init__()
        self.pasts = pasts
        self.width = width
        self.retain = retain

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing has to be allocated before the first keys come."""
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Past and new keys, shape ``(rows, heads, width + new, head_dim)``; likewise the values."""
        if self.retain:
            self.keys, self.values = key_states, value_states
        self.is_initialized = True
        if self.width == 0:
            return key_states, value_states
        return (
            self._joined([[keys for keys, _ in past] for past in self.pasts], key_states),
            self._joined([[values for _, values in past] for past in self.pasts], value_states),
        )

    def _joined(self, pasts: list[list[torch.Tensor]], new: torch.Tensor) -> torch.Tensor:
        rows = new.shape[0]
        if len(pasts) == 1:
            return torch.cat([*(piece.expand(rows, -1, -1, -1) for piece in pasts[0]), new], dim=2)
        # Zeros, not whatever memory holds: what a mask hides still must not be infinite.
        joined = new.new_zeros(rows, new.shape[1], self.width + new.shape[2], new.shape[3])
        joined[:, :, self.width :] = new
        for row, past in enumerate(pasts):
            at = 0
            for piece in past:
                joined[row, :, at : at + piece.shape[2]] = piece[0]
                at += piece.shape[2]
        return joined

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that the pass attends to."""
        return self.width + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens of the longest past."""
        return self.width

    def get_max_length(self) -> int:
        """No limit."""
        return -1


class PastCache(Cache):
    """A transformers cache for one forward pass.

    Args:
        pasts: one past a row, or one that all rows share.
        layers: number of the model's layers.
        retain: whether the new keys are needed after the pass.
    """

    def __init__(self, pasts: list[Prefix], layers: int, retain: bool):
        width = max(len(past) for past in pasts)
        super().__init__(
            layers=[
                PastLayer([[piece[layer] for piece in past.pieces] for past in pasts], width, retain)
                for layer in range(layers)
            ]
        )

    def new(self, row: int, start: int, stop: int) -> Layers:
        """The new keys and values of tokens ``start`` to ``stop`` of a row, as views."""
        return tuple(
            (layer.keys[row : row + 1, :, start:stop], layer.values[row : row + 1, :, start:stop])
            for layer in self.layers
        )
