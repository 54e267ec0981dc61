"""The decoding cache: one slot a sequence, each of its own length, so that sequences join and leave at any step.

transformers' own dynamic cache copies every key at every step and needs rows of equal length. Here keys live in one
preallocated tensor a layer; a step writes one position a row and attends under a mask.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from deepwriting.engines.transformers.prefixes import Prefix

#: Capacity grows by whole blocks of this many tokens.
BLOCK_TOKENS = 256


class _View:
    """Which rows and positions the next forward pass writes; shared by all layers."""

    rows: torch.Tensor
    positions: torch.Tensor
    width: int = 0


class SlotLayer(CacheLayerMixin):
    """Keys and values of one layer, shape ``(rows, heads, capacity, head_dim)``."""

    is_sliding = False

    def __init__(self, view: _View):
        super().__init__()
        self.view = view

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take heads, dtype and device from the first keys."""
        self.keys = key_states.new_zeros(0, key_states.shape[1], 0, key_states.shape[3])
        self.values = value_states.new_zeros(0, value_states.shape[1], 0, value_states.shape[3])
        self.is_initialized = True

    def resize(self, rows: int, capacity: int, used: int) -> None:
        """Move to tensors of another size; the first ``used`` rows keep what fits."""
        self.keys = _resized(self.keys, rows, capacity, used)
        self.values = _resized(self.values, rows, capacity, used)

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
        slots: most sequences at a time; memory is taken when they come.
    """

    def __init__(self, layers: int, slots: int):
        self.view = _View()
        self.slots = slots
        self.rows = 0
        self.capacity = 0
        super().__init__(layers=[SlotLayer(self.view) for _ in range(layers)])

    def reserve(self, rows: int, tokens: int) -> None:
        """Have at least ``rows`` rows of ``tokens`` tokens; grows in large steps, since that copies everything."""
        if rows <= self.rows and tokens <= self.capacity:
            return
        if rows > self.rows:
            rows = min(self.slots, max(rows, 2 * self.rows))
        self._resize(max(rows, self.rows), max(-(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS, self.capacity), self.rows)

    def shrink(self, rows: int, tokens: int) -> None:
        """Give memory back: keep the first ``rows`` rows, each of ``tokens`` tokens."""
        self.slots = rows
        self._resize(rows, tokens, rows)

    def load(self, row: int, prefix: Prefix) -> None:
        """Fill a row, for which there is room, with a prompt's keys and values."""
        at = 0
        for piece in prefix.pieces:
            tokens = piece[0][0].shape[2]
            for layer, (keys, values) in zip(self.layers, piece, strict=True):
                layer.keys[row, :, at : at + tokens] = keys[0]
                layer.values[row, :, at : at + tokens] = values[0]
            at += tokens

    def begin(self, prefix: Prefix) -> None:
        """Take the shapes of keys and values from the first prompt."""
        for layer, (keys, values) in zip(self.layers, prefix.pieces[0], strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(keys, values)

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy a row's first ``tokens`` tokens to another row."""
        for layer in self.layers:
            layer.keys[target, :, :tokens] = layer.keys[source, :, :tokens]
            layer.values[target, :, :tokens] = layer.values[source, :, :tokens]

    def aim(self, positions_B: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Prepare one decoding step for the first rows.

        Args:
            positions_B: tokens that each row already holds, where its next one goes.
            width: the largest of them and one.

        Returns:
            Positions of the queries ``(rows, 1, 1)`` and of the keys ``(1, 1, width)``, and which query may see which
            key ``(rows, 1, width)``.
        """
        self.view.rows = torch.arange(len(positions_B), device=positions_B.device)
        self.view.positions = positions_B
        self.view.width = width
        queries_B11 = positions_B[:, None, None]
        keys_11S = torch.arange(width, device=positions_B.device)[None, None]
        return queries_B11, keys_11S, keys_11S <= queries_B11

    def _resize(self, rows: int, capacity: int, used: int) -> None:
        for layer in self.layers:
            layer.resize(rows, capacity, min(rows, used))
        self.rows, self.capacity = rows, capacity


def _resized(tensor: torch.Tensor, rows: int, capacity: int, used: int) -> torch.Tensor:
    kept = tensor[:used, :, :capacity]
    resized = tensor.new_zeros(rows, tensor.shape[1], capacity, tensor.shape[3])
    resized[:used, :, : kept.shape[2]] = kept
    return resized
