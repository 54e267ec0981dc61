"""Key-value caches of token prefixes, kept so that what many texts share is computed once.

Three kinds of sharing meet here: the instructions that all prompts of one template begin with, the query that all
scores of one search begin with, and the settled segments that grow from step to step of a search.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

Ids = NDArray[np.int64]
#: Keys and values of a run of tokens: for each layer a pair of tensors of shape ``(1, heads, tokens, head_dim)``.
Layers = tuple[tuple[torch.Tensor, torch.Tensor], ...]


@dataclass(frozen=True, eq=False)
class Prefix:
    """Keys and values of a token sequence, in pieces: extending a prefix copies nothing.

    Attributes:
        ids: the tokens, shape ``(tokens,)``.
        pieces: keys and values of consecutive runs of the tokens.
    """

    ids: Ids
    pieces: tuple[Layers, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Memory that the keys and values take (bytes)."""
        return sum(map(_nbytes, self.pieces))

    def extended(self, ids: Ids, layers: Layers) -> Prefix:
        """This prefix and the tokens ``ids`` behind it."""
        return Prefix(np.concatenate([self.ids, ids]), (*self.pieces, layers))

    def part(self, start: int, stop: int) -> Prefix:
        """Tokens ``start`` to ``stop`` as views; not a prefix any more unless ``start`` is 0."""
        pieces, at = [], 0
        for layers in self.pieces:
            tokens = layers[0][0].shape[2]
            low, high = max(start - at, 0), min(stop - at, tokens)
            if low < high:
                pieces.append(layers if high - low == tokens else _cut(layers, low, high))
            at += tokens
        return Prefix(self.ids[start:stop], tuple(pieces))


NOTHING = Prefix(np.empty(0, dtype=np.int64))


def common_length(a: Ids, b: Ids) -> int:
    """Number of leading tokens that two sequences share."""
    n = min(len(a), len(b))
    different = np.nonzero(a[:n] != b[:n])[0]
    return int(different[0]) if len(different) else n


@dataclass(eq=False)
class _Node:
    """A run of tokens behind its parent's; what several kept prefixes begin with exists once."""

    ids: Ids
    layers: Layers
    parent: _Node | None
    children: dict[int, _Node] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return _nbytes(self.layers)


class PrefixStore:
    """The most recently used prefixes, up to a memory limit, as a tree: no token's keys are kept twice.

    Args:
        limit_bytes: memory for keys and values; the run of tokens used longest ago goes first.
    """

    def __init__(self, limit_bytes: int):
        self.limit_bytes = limit_bytes
        self.nbytes = 0
        self._root = _Node(NOTHING.ids, (), None)
        #: Used longest ago first. A node always stands before its parent, so the first one is a leaf.
        self._order: OrderedDict[_Node, None] = OrderedDict()

    def longest(self, ids: Ids) -> Prefix:
        """The longest kept beginning of ``ids``; an empty prefix if there is none."""
        path, at = self._walk(ids)
        if not path:
            return NOTHING
        self._touch(path[-1])
        found = Prefix(ids[:0], tuple(node.layers for node in path)).part(0, at)
        return Prefix(ids[:at].copy(), found.pieces)

    def keep(self, prefix: Prefix) -> None:
        """Keep a prefix, and forget what was used longest ago if the memory limit asks for it."""
        path, at = self._walk(prefix.ids)
        if at == len(prefix):
            if path:
                self._touch(path[-1])
            return
        rest = prefix.part(at, len(prefix))
        if rest.nbytes > self.limit_bytes:
            return
        parent = self._end(path, at)
        node = _Node(rest.ids.copy(), _joined(rest.pieces), parent)
        parent.children[int(node.ids[0])] = node
        self._add(node)
        self._touch(node)
        while self.nbytes > self.limit_bytes:
            self._forget(next(iter(self._order)))

    def clear(self) -> None:
        """Forget everything."""
        self._root.children.clear()
        self._order.clear()
        self.nbytes = 0

    def _walk(self, ids: Ids) -> tuple[list[_Node], int]:
        """The nodes that ``ids`` runs through, and the number of its tokens that they cover."""
        path: list[_Node] = []
        node, at = self._root, 0
        while at < len(ids) and (child := node.children.get(int(ids[at]))) is not None:
            shared = common_length(child.ids, ids[at:])
            path.append(child)
            at += shared
            if shared < len(child.ids):
                break
            node = child
        return path, at

    def _end(self, path: list[_Node], at: int) -> _Node:
        """The node that ends where the path's first ``at`` tokens do; the last one is split if it goes on."""
        if not path:
            return self._root
        node = path[-1]
        extra = sum(len(step.ids) for step in path) - at
        if extra == 0:
            return node
        cut = len(node.ids) - extra
        parent = node.parent
        assert parent is not None  # only the root has none, and it is in no path
        self._remove(node)
        # Copies of both parts: a view would keep the memory of the whole when only one of them is left.
        upper = _Node(node.ids[:cut].copy(), _joined((_cut(node.layers, 0, cut),)), parent)
        lower = _Node(node.ids[cut:].copy(), _joined((_cut(node.layers, cut, cut + extra),)), upper, node.children)
        for child in lower.children.values():
            child.parent = lower
        upper.children[int(lower.ids[0])] = lower
        parent.children[int(upper.ids[0])] = upper
        for part in (lower, upper):
            self._add(part)
        self._touch(lower)
        return upper

    def _add(self, node: _Node) -> None:
        self._order[node] = None
        self.nbytes += node.nbytes

    def _remove(self, node: _Node) -> None:
        del self._order[node]
        self.nbytes -= node.nbytes

    def _touch(self, node: _Node) -> None:
        step: _Node | None = node
        while step is not None and step is not self._root:
            self._order.move_to_end(step)
            step = step.parent

    def _forget(self, leaf: _Node) -> None:
        self._remove(leaf)
        assert leaf.parent is not None
        del leaf.parent.children[int(leaf.ids[0])]

    def __len__(self) -> int:
        """Number of runs of tokens that are kept."""
        return len(self._order)


def _nbytes(layers: Layers) -> int:
    return sum(keys.nbytes + values.nbytes for keys, values in layers)


def _cut(layers: Layers, start: int, stop: int) -> Layers:
    return tuple((keys[:, :, start:stop], values[:, :, start:stop]) for keys, values in layers)


def _joined(pieces: tuple[Layers, ...]) -> Layers:
    """One run from several, in memory of its own; copied only where that is not so already."""
    if len(pieces) == 1:
        return tuple((_owned(keys), _owned(values)) for keys, values in pieces[0])
    return tuple(
        (torch.cat([keys for keys, _ in parts], dim=2), torch.cat([values for _, values in parts], dim=2))
        for parts in zip(*pieces, strict=True)
    )


def _owned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
