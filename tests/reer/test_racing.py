from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.recipe import SearchSection
from deepwriting.reer.racing import MIN_RACE_TOKENS, Rival, abandon_rule, cannot_win, win_probability

losses = st.lists(st.floats(0, 2), min_size=1, max_size=40).map(np.array)


@given(rival=losses, candidate=losses, needed=st.floats(0, 0.5))
def test_what_is_pruned_has_lost(rival: np.ndarray, candidate: np.ndarray, needed: float) -> None:
    size = min(len(rival), len(candidate))
    rival, candidate = rival[:size], candidate[:size]
    pruned = [cannot_win(candidate[:seen], Rival(rival, needed)) for seen in range(size + 1)]
    assert pruned == sorted(pruned)  # once lost, always lost
    if any(pruned):
        assert candidate.mean() >= rival.mean() - needed - 1e-9


def test_pruning_notices_what_is_lost() -> None:
    rival = Rival(np.full(10, 1.0), 0.1)
    assert not cannot_win(np.full(4, 2.0), rival)
    assert cannot_win(np.full(5, 2.0), rival)  # 10 nats, 9 may be spent
    assert cannot_win(np.full(10, 1.0), rival)


def test_a_race_is_right_as_often_as_it_says() -> None:
    """Over many races between candidates of almost equal worth, those given up at 90 % win at most a tenth."""
    rng = np.random.default_rng(0)
    given_up = won_after_all = 0
    for _ in range(4000):
        rival = rng.gamma(1.0, 0.7, 600).clip(0, 2)
        candidate = (rival + rng.normal(0, 0.25, 600) + rng.normal(0, 0.01)).clip(0, 2)
        if win_probability(candidate[:128], Rival(rival, 0.0)) < 0.1:
            given_up += 1
            won_after_all += candidate.mean() < rival.mean()
    assert given_up > 400
    assert won_after_all / given_up < 0.1


def test_too_little_to_tell() -> None:
    rival = Rival(np.zeros(200), 0.0)
    assert win_probability(np.ones(MIN_RACE_TOKENS - 1), rival) == 1
    assert win_probability(np.ones(MIN_RACE_TOKENS), rival) == 0
    assert win_probability(np.ones(200), rival) == 1  # the whole text: the score decides


def test_what_is_needed_counts() -> None:
    rng = np.random.default_rng(1)
    rival = rng.uniform(0, 2, 400)
    candidate = (rival - 0.02 + rng.normal(0, 0.2, 400)).clip(0, 2)[:200]
    chances = [win_probability(candidate, Rival(rival, needed)) for needed in (0.0, 0.01, 0.05, 0.1)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.5 > chances[-1]


@pytest.mark.parametrize(("options", "abandons"), [({}, None), ({"prune": True}, 61), ({"race_confidence": 0.95}, 64)])
def test_the_rule_of_a_recipe(options: dict[str, float], abandons: int | None) -> None:
    """A hopeless candidate: every token at the clip, against a rival at 0.6 of it."""
    rival = Rival(np.full(100, 1.2) + np.linspace(0, 0.02, 100), 0.0)
    rule = abandon_rule(rival, SearchSection(**options))  # type: ignore[arg-type]
    if abandons is None:
        assert rule is None
    else:
        assert rule is not None
        logprobs = np.full(100, -50.0, dtype=np.float32)  # clipped to 2 nats
        assert next(seen for seen in range(1, 100) if rule(logprobs[:seen])) == abandons
