"""Key-value caches of token prefixes, kept so that what many texts share is computed once.

Three kinds of sharing meet here: the instructions that all prompts of one template begin with, the query that all
scores of one search begin with, and the settled segments that grow from step to step of a search.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Ids = NDArray[np.int64]

#: Rotary encodings of transformers that change all positions when the text grows beyond the length trained on.
LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})


@dataclass(frozen=True)
class Prefix:
    """Keys and values of a token sequence.

    Attributes:
        ids: the tokens, shape ``(tokens,)``.
        layers: for each layer keys and values, each of shape ``(1, heads, tokens, head_dim)``.
    """

    ids: Ids
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @property
    def nbytes(self) -> int:
        """Memory that the keys and values take (bytes)."""
        return sum(k.numel() * k.element_size() + v.numel() * v.element_size() for k, v in self.layers)

    def cut(self, tokens: int) -> Prefix:
        """The first ``tokens`` tokens, as views."""
        return Prefix(self.ids[:tokens], tuple((k[:, :, :tokens], v[:, :, :tokens]) for k, v in self.layers))


def common_length(a: Ids, b: Ids) -> int:
    """Number of leading tokens that two sequences share."""
    n = min(len(a), len(b))
    different = np.nonzero(a[:n] != b[:n])[0]
    return int(different[0]) if len(different) else n


class PrefixStore:
    """The most recently used prefixes, up to a memory limit.

    Args:
        limit_bytes: memory for keys and values; the prefix used longest ago goes first.
    """

    def __init__(self, limit_bytes: int):
        self.limit_bytes = limit_bytes
        self._entries: OrderedDict[bytes, Prefix] = OrderedDict()
        self._bytes = 0

    def longest(self, ids: Ids) -> Prefix | None:
        """The longest kept beginning of ``ids``, or ``None``."""
        best_key, best = None, 0
        for key, entry in self._entries.items():
            length = common_length(entry.ids, ids)
            if length > best:
                best_key, best = key, length
        if best_key is None:
            return None
        self._entries.move_to_end(best_key)
        return self._entries[best_key].cut(best)

    def keep(self, prefix: Prefix) -> None:
        """Keep a prefix, and forget those used longest ago if the memory limit asks for it."""
        key = prefix.ids.tobytes()
        if key in self._entries:
            self._entries.move_to_end(key)
            return
        if prefix.nbytes > self.limit_bytes:
            return
        self._entries[key] = prefix
        self._bytes += prefix.nbytes
        while self._bytes > self.limit_bytes:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: bytes) -> None:
        self._bytes -= self._entries.pop(key).nbytes

    def __len__(self) -> int:
        return len(self._entries)


def cache_from(prefix: Prefix | None, batch: int, config: Any) -> Any:
    """A transformers cache that starts with ``prefix`` in each of ``batch`` rows."""
    from transformers import DynamicCache

    cache = DynamicCache(config=config)
    if prefix is not None and len(prefix.ids):
        for index, (keys, values) in enumerate(prefix.layers):
            cache.update(keys.expand(batch, -1, -1, -1), values.expand(batch, -1, -1, -1), index)
    return cache


def prefix_from(cache: Any, ids: Ids) -> Prefix:
    """The prefix that a one-row cache holds after ``ids`` went through the model; a copy."""
    tokens = len(ids)
    if tokens == 0:  # nothing went through the model: the layers have no tensors yet
        return Prefix(ids.copy(), ())
    layers = tuple((layer.keys[:1, :, :tokens].clone(), layer.values[:1, :, :tokens].clone()) for layer in cache.layers)
    return Prefix(ids.copy(), layers)


def can_reuse(cache: Any, config: Any) -> bool:
    """Whether a model's keys can be cut at any token and used again.

    Two things forbid it, and such models work without reuse: layers that do not keep all keys (sliding-window,
    recurrent, quantised), and positions whose encoding changes with the length of the text.
    """
    from transformers.cache_utils import DynamicLayer

    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    kinds = [rope.get("rope_type"), *(part.get("rope_type") for part in rope.values() if isinstance(part, dict))]
    plain = all(type(layer) is DynamicLayer for layer in cache.layers)
    return plain and not LENGTH_DEPENDENT_ROPE.intersection(kinds)
