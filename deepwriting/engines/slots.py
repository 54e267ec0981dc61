"""The decoding cache: one slot a sequence, each of its own length, so that sequences join and leave at any step.

transformers' own dynamic cache copies every key at every step and needs rows of equal length. Here keys live in one
preallocated tensor a layer; a step writes one position a row and attends under a mask.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from deepwriting.engines.prefixes import Prefix

#: Capacity grows by whole blocks of this many tokens.
BLOCK_TOKENS = 256


class _View:
    """Which rows and positions the next forward pass writes; shared by all layers."""

    rows: torch.Tensor
    positions: torch.Tensor
    width: int = 0


class SlotLayer(CacheLayerMixin):
    """Keys and values of one layer, shape ``(slots, heads, capacity, head_dim)``."""

    is_sliding = False

    def __init__(self, view: _View, slots: int):
        super().__init__()
        self.view = view
        self.slots = slots

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take shape, dtype and device from the first keys."""
        self.keys = key_states.new_zeros(self.slots, key_states.shape[1], 0, key_states.shape[3])
        self.values = value_states.new_zeros(self.slots, value_states.shape[1], 0, value_states.shape[3])
        self.is_initialized = True

    def reserve(self, capacity: int) -> None:
        """Grow to at least ``capacity`` tokens."""
        have = self.keys.shape[2]
        if have >= capacity:
            return
        more = -(-capacity // BLOCK_TOKENS) * BLOCK_TOKENS - have
        slots, heads, _, dim = self.keys.shape
        self.keys = torch.cat([self.keys, self.keys.new_zeros(slots, heads, more, dim)], dim=2)
        self.values = torch.cat([self.values, self.values.new_zeros(slots, heads, more, self.values.shape[3])], dim=2)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one position a row; return the active rows up to the widest one."""
        view, count = self.view, key_states.shape[0]
        self.keys[view.rows, :, view.positions] = key_states[:, :, 0]
        self.values[view.rows, :, view.positions] = value_states[:, :, 0]
        return self.keys[:count, :, : view.width], self.values[:count, :, : view.width]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that the next pass attends to."""
        return self.view.width, 0

    def get_seq_length(self) -> int:
        """Width of the widest active row (tokens)."""
        return self.view.width

    def get_max_length(self) -> int:
        """No limit: the layer grows."""
        return -1


class SlotCache(Cache):
    """A transformers cache whose first ``active`` rows are sequences in flight.

    Args:
        layers: number of layers.
        slots: most sequences at a time.
    """

    def __init__(self, layers: int, slots: int):
        self.view = _View()
        super().__init__(layers=[SlotLayer(self.view, slots) for _ in range(layers)])

    def load(self, row: int, prefix: Prefix, reserve: int) -> None:
        """Fill a row with a prompt's keys and values, and make room for ``reserve`` more tokens."""
        tokens = len(prefix.ids)
        for layer, (keys, values) in zip(self.layers, prefix.layers, strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(keys, values)
            layer.reserve(tokens + reserve)
            layer.keys[row, :, :tokens] = keys[0]
            layer.values[row, :, :tokens] = values[0]

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy a row's first ``tokens`` tokens to another row."""
        for layer in self.layers:
            layer.keys[target, :, :tokens] = layer.keys[source, :, :tokens]
            layer.values[target, :, :tokens] = layer.values[source, :, :tokens]

    def aim(self, lengths: list[int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Prepare one decoding step for the first ``len(lengths)`` rows.

        Args:
            lengths: tokens that each row already holds.
            device: where the masks live.

        Returns:
            Attention mask of shape ``(rows, 1, 1, width)`` and position ids of shape ``(rows, 1)``.
        """
        positions = torch.tensor(lengths, device=device)
        self.view.rows = torch.arange(len(lengths), device=device)
        self.view.positions = positions
        self.view.width = max(lengths) + 1
        mask = torch.arange(self.view.width, device=device)[None, :] <= positions[:, None]
        return mask[:, None, None, :], positions[:, None]
