from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.engines.transformers.forward import CausalModel
from deepwriting.engines.transformers.prefixes import Prefix, PrefixStore, common_length

TOKENS = st.lists(st.integers(0, 2), max_size=8)


def prefix(*tokens: int) -> Prefix:
    """A prefix whose key at each position is its token: 8 bytes a token."""
    values = torch.tensor(tokens, dtype=torch.float32).reshape(1, 1, -1, 1)
    return Prefix(np.array(tokens, dtype=np.int64), (((values, -values),),))


@given(TOKENS, TOKENS)
def test_common_length(a: list[int], b: list[int]) -> None:
    n = common_length(np.array(a, dtype=np.int64), np.array(b, dtype=np.int64))
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


def keys(found: Prefix) -> list[int]:
    """The keys of a prefix, one a token; its values are checked on the way."""
    layers = [layer for [layer] in found.pieces]
    flat = [int(x) for k, _ in layers for x in k.flatten()]
    assert flat == [-int(x) for _, v in layers for x in v.flatten()]
    return flat


@given(st.lists(TOKENS.filter(bool), max_size=8), TOKENS)
def test_the_longest_beginning_is_found(kept: list[list[int]], asked: list[int]) -> None:
    store = PrefixStore(10_000)
    for tokens in kept:
        store.keep(prefix(*tokens))
    ids = np.array(asked, dtype=np.int64)
    best = max((common_length(np.array(tokens, dtype=np.int64), ids) for tokens in kept), default=0)
    found = store.longest(ids)
    assert found.ids.tolist() == keys(found) == asked[:best]


@given(st.lists(TOKENS.filter(bool), max_size=12), st.integers(1, 20))
def test_nothing_is_kept_twice_and_the_limit_holds(kept: list[list[int]], limit: int) -> None:
    """Memory is that of the different beginnings; what is found is right whatever was forgotten."""
    store, beginnings = PrefixStore(limit * 8), set()
    for tokens in kept:
        store.keep(prefix(*tokens))
        beginnings |= {tuple(tokens[: i + 1]) for i in range(len(tokens))}
        assert store.nbytes <= min(limit, len(beginnings)) * 8
        assert store.nbytes == sum(node.nbytes for node in store._order)
        for other in kept:
            found = store.longest(np.array(other, dtype=np.int64))
            assert keys(found) == other[: len(found)]
    if sum(map(len, kept)) <= limit:
        assert store.nbytes == len(beginnings) * 8


def test_an_extended_prefix_takes_only_what_is_new() -> None:
    store = PrefixStore(1000)
    store.keep(prefix(1, 1))
    known = store.longest(np.array([1, 1, 2]))
    new = torch.full((1, 1, 1, 1), 2.0)
    store.keep(known.extended(np.array([2]), ((new, -new),)))
    assert store.nbytes == 3 * 8
    assert store.longest(np.array([1, 1, 2])).pieces[0][0][0] is known.pieces[0][0][0]  # not a copy


def test_those_used_longest_ago_go_first() -> None:
    store = PrefixStore(5 * 8)
    store.keep(prefix(1, 1))
    store.keep(prefix(2, 2))
    assert len(store.longest(np.array([1, 1, 7]))) == 2  # used again
    store.keep(prefix(3, 3))
    assert len(store) == 2
    assert len(store.longest(np.array([2, 2]))) == 0
    assert len(store.longest(np.array([1, 1]))) == 2
    store.keep(prefix(1, 1))
    assert len(store) == 2
    store.clear()
    assert (len(store), store.nbytes, len(store.longest(np.array([1, 1])))) == (0, 0, 0)


def test_what_does_not_fit_is_not_kept() -> None:
    store = PrefixStore(3 * 8)
    store.keep(prefix(1))
    store.keep(prefix(2, 2, 2, 2))
    assert len(store) == 1
    assert len(PrefixStore(0).longest(np.array([1]))) == 0


def test_a_view_is_copied_before_it_is_kept() -> None:
    """A view would keep the memory of the batch that it is a part of."""
    store = PrefixStore(1000)
    batch = torch.arange(6, dtype=torch.float32).reshape(2, 1, 3, 1)
    store.keep(Prefix(np.array([0, 1, 2]), (((batch[:1], -batch[:1]),),)))
    [((keys, _),)] = store.longest(np.array([0, 1, 2])).pieces
    assert keys.untyped_storage().nbytes() == 3 * 4


@pytest.mark.model
@pytest.mark.parametrize(
    ("kind", "config", "reusable"),
    [
        ("llama", {}, True),
        ("llama", {"attn_implementation": "eager"}, True),
        ("mistral", {"sliding_window": None}, True),
        ("mistral", {"sliding_window": 8}, True),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}, True),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}}, False),
        (
            "llama",
            {
                "rope_parameters": {
                    "rope_type": "longrope",
                    "rope_theta": 10000.0,
                    "original_max_position_embeddings": 16,
                    "short_factor": [1.0] * 4,
                    "long_factor": [1.0] * 4,
                },
            },
            False,
        ),
    ],
)
def test_which_models_can_share(
    tiny_network: Callable[..., Any], kind: str, config: dict[str, Any], reusable: bool
) -> None:
    assert CausalModel(tiny_network(kind, **config), PrefixStore(10**6)).reusable is reusable
