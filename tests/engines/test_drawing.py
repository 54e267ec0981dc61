from __future__ import annotations

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deepwriting.engines.transformers.drawing import NO_TOKEN, draw, row_generator

#: Distinct logits: which of two equal ones comes first is nobody's promise.
ROWS = st.lists(st.integers(-90, 90), min_size=1, max_size=30, unique=True).map(lambda row: [x / 30 for x in row])


def reference(logits: list[float], temperature: float, top_p: float, top_k: int, uniform: float) -> tuple[int, float]:
    """The token by the book, in double precision, and how near the nearest decision was."""
    order = np.argsort(-np.array(logits))[: top_k or None]
    scaled = np.array(logits)[order] / temperature
    probabilities = np.exp(scaled - scaled.max())
    probabilities /= probabilities.sum()
    before = np.concatenate([[0.0], np.cumsum(probabilities)[:-1]])
    kept = before < top_p
    margin = np.abs(before[1:] - top_p).min(initial=1.0)
    probabilities = probabilities[kept] / probabilities[kept].sum()
    cumulative = np.cumsum(probabilities)
    chosen = int((cumulative[:-1] <= uniform).sum())
    return int(order[chosen]), float(min(margin, np.abs(cumulative[:-1] - uniform).min(initial=1.0)))


@given(
    logits=ROWS,
    temperature=st.sampled_from([0.2, 0.8, 1.0, 1.7]),
    top_p=st.one_of(st.just(1.0), st.floats(0.01, 0.99)),
    top_k=st.integers(0, 40),
    uniform=st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=500)
def test_like_a_plain_reference(
    logits: list[float], temperature: float, top_p: float, top_k: int, uniform: float
) -> None:
    expected, margin = reference(logits, temperature, top_p, top_k, uniform)
    assume(margin > 1e-5)  # nearer than that, float32 may decide otherwise
    found = draw(torch.tensor([logits]), temperature=temperature, top_p=top_p, top_k=top_k, uniforms=[uniform])
    assert found.tolist() == [expected]


@given(rows=st.lists(st.lists(st.integers(-50, 50), min_size=8, max_size=8, unique=True), min_size=1, max_size=6),
       seed=st.integers(0, 100))  # fmt: skip
def test_a_row_does_not_depend_on_the_others(rows: list[list[int]], seed: int) -> None:
    uniforms = list(np.random.default_rng(seed).random(len(rows)))
    logits = torch.tensor(rows, dtype=torch.float32) / 7
    options = {"temperature": 0.9, "top_p": 0.9, "top_k": 5}
    together = draw(logits, uniforms=uniforms, **options)
    alone = [int(draw(logits[i : i + 1], uniforms=[u], **options)) for i, u in enumerate(uniforms)]
    assert together.tolist() == alone


def test_each_row_has_its_own_settings() -> None:
    logits = torch.tensor(np.random.default_rng(1).normal(size=(5, 40)), dtype=torch.float32)
    temperatures, top_ps = [0.0, 0.5, 1.0, 1.5, 1.0], [1.0, 0.9, 0.5, 0.8, 1.0]
    uniforms = [0.99, 0.6, 0.3, 0.9, 0.999]
    together = draw(logits, temperature=temperatures, top_p=top_ps, top_k=0, uniforms=uniforms).tolist()
    for row, found in enumerate(together):
        [alone] = draw(
            logits[row : row + 1], temperature=temperatures[row], top_p=top_ps[row], top_k=0, uniforms=[uniforms[row]]
        ).tolist()
        assert found == alone
    assert together[0] == int(logits[0].argmax())


def test_logits_that_are_not_numbers_give_no_token() -> None:
    logits = torch.ones(3, 6)
    logits[0, 2], logits[2, 4] = float("nan"), float("inf")
    for temperature in (0.0, 1.0):
        found = draw(logits, temperature=temperature, top_p=0.9, top_k=0, uniforms=[0.5, 0.0, 0.5]).tolist()
        assert [found[0], found[2]] == [NO_TOKEN, NO_TOKEN]
        assert found[1] in range(6)


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [5.0, 3.0, 1.0]])
    assert draw(logits, temperature=0, top_p=0.1, top_k=1, uniforms=[0.99, 0.99]).tolist() == [1, 0]


def test_limits_shut_tokens_out() -> None:
    logits = torch.tensor([[1.0, 0.9, 0.8, 0.7]])
    uniforms = [i / 100 for i in range(100)]

    def seen(**limits: float) -> set[int]:
        options = {"temperature": 1.0, "top_p": 1.0, "top_k": 0} | limits
        return {int(draw(logits, uniforms=[u], **options)) for u in uniforms}

    assert seen() == {0, 1, 2, 3}
    assert seen(top_k=2) == {0, 1}
    assert seen(top_k=100) == {0, 1, 2, 3}
    assert seen(top_p=1e-6) == {0}
    assert seen(top_p=0.3) == {0, 1}  # the first has 0.29; the one that crosses the limit stays in
    assert seen(temperature=0.001) == {0}


def test_a_large_vocabulary_follows_its_distribution() -> None:
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(1, 50_000)), dtype=torch.float32)
    logits[0, 123] = 11.0
    share = float(torch.softmax(logits, dim=-1)[0, 123])
    rows = logits.expand(60, -1)
    tokens = draw(rows, temperature=1.0, top_p=1.0, top_k=0, uniforms=list(rng.random(60))).tolist()
    assert abs(tokens.count(123) / 60 - share) < 0.15
    assert len(set(tokens)) > 10


def test_random_numbers_belong_to_seed_and_index() -> None:
    first = row_generator(1, 2).random(5).tolist()
    assert row_generator(1, 2).random(5).tolist() == first
    others = [row_generator(1, 3), row_generator(2, 2), row_generator(12, 0), row_generator(0, 12)]
    assert all(other.random(5).tolist() != first for other in others)


@given(seed=st.integers(0, 1000), uniform=st.floats(0, 1, exclude_max=True))
def test_rounding_does_not_decide_between_equal_logits(seed: int, uniform: float) -> None:
    rng = np.random.default_rng(seed)
    logits = np.repeat(rng.integers(-3, 4, 10), 3).astype(np.float32) + 0.3
    shaken = logits + rng.uniform(-1e-6, 1e-6, 30).astype(np.float32)
    drawn = [
        draw(torch.from_numpy(x)[None], temperature=1.0, top_p=1.0, top_k=30, uniforms=[uniform]).item()
        for x in (logits, shaken)
    ]
    edges = np.cumsum(np.exp(np.sort(logits)[::-1].astype(float)))
    if np.abs(edges / edges[-1] - uniform).min() > 1e-4:  # not where one token's share ends
        assert drawn[0] == drawn[1]
