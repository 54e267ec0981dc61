from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.engines.forward import CausalModel
from deepwriting.engines.prefixes import Prefix, PrefixStore, common_length

TOKENS = st.lists(st.integers(0, 2), max_size=8)


def prefix(*tokens: int) -> Prefix:
    """A prefix whose key at each position is its token: 8 bytes a token."""
    values = torch.tensor(tokens, dtype=torch.float32).reshape(1, 1, -1, 1)
    return Prefix(np.array(tokens, dtype=np.int64), ((values, -values),))


@given(TOKENS, TOKENS)
def test_common_length(a: list[int], b: list[int]) -> None:
    n = common_length(np.array(a, dtype=np.int64), np.array(b, dtype=np.int64))
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


@given(st.lists(TOKENS.filter(bool), max_size=6), TOKENS)
def test_the_longest_beginning_is_found(kept: list[list[int]], asked: list[int]) -> None:
    store = PrefixStore(10_000)
    for tokens in kept:
        store.keep(prefix(*tokens))
    ids = np.array(asked, dtype=np.int64)
    best = max((common_length(np.array(tokens, dtype=np.int64), ids) for tokens in kept), default=0)
    found = store.longest(ids)
    assert (0 if found is None else len(found.ids)) == best
    if found is not None:
        assert found.ids.tolist() == asked[:best]
        [(keys, values)] = found.layers
        assert keys.flatten().tolist() == asked[:best]
        assert values.flatten().tolist() == [-token for token in asked[:best]]


def test_those_used_longest_ago_go_first() -> None:
    store = PrefixStore(5 * 8)
    store.keep(prefix(1, 1))
    store.keep(prefix(2, 2))
    assert store.longest(np.array([1, 1, 7])) is not None  # used again
    store.keep(prefix(3, 3))
    assert len(store) == 2
    assert store.longest(np.array([2, 2])) is None
    assert store.longest(np.array([1, 1])) is not None
    store.keep(prefix(1, 1))
    assert len(store) == 2


def test_what_does_not_fit_is_not_kept() -> None:
    store = PrefixStore(3 * 8)
    store.keep(prefix(1))
    store.keep(prefix(2, 2, 2, 2))
    assert len(store) == 1
    assert PrefixStore(0).longest(np.array([1])) is None


@pytest.mark.model
@pytest.mark.parametrize(
    ("kind", "config", "reusable"),
    [
        ("llama", {}, True),
        ("llama", {"attn_implementation": "eager"}, False),  # takes no boolean masks
        ("mistral", {"sliding_window": None}, True),
        ("mistral", {"sliding_window": 8}, False),
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
