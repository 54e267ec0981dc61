from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.metrics import top_ngram_share
from deepwriting.metrics.repetition import MAX_TOP_SHARE

PLAN = (
    "The letter should open on the harbour, since that is where the two sisters parted, and only then turn to the "
    "money. I want the older one to sound certain and to be wrong. Her sentences are short. The younger one writes "
    "longer ones, with asides about the weather and the ferry, and she never says outright that she has "
    "forgiven anybody. "
)
PLAN_ZH = (
    "先写码头，因为姐妹俩是在那里分手的，然后再写那笔钱。"
    "姐姐说话很短，句句肯定，却是错的。妹妹的信写得长，夹着天气和渡船。"
)


@pytest.mark.parametrize("text", [PLAN, PLAN_ZH])
def test_a_plan_without_loops_has_no_share(text: str) -> None:
    assert top_ngram_share(text) == 0.0


@pytest.mark.parametrize(
    "loop",
    ["Let me think about the ending once more, because it is not right yet. ", "让我再想一想这个结尾，它还是不对。"],
)
@pytest.mark.parametrize("plan", [PLAN, PLAN_ZH])
def test_a_sentence_that_loops_is_beyond_the_threshold(plan: str, loop: str) -> None:
    assert top_ngram_share(plan + loop * 8) > MAX_TOP_SHARE


def test_the_share_is_of_all_ngrams() -> None:
    # 12 bigrams: "a b" five times, "b a" four times, "b x", "x y" and "y z" once.
    assert top_ngram_share("a b a b a b a b a b x y z", n=2, top=1) == pytest.approx(5 / 12)
    assert top_ngram_share("a b a b a b a b a b x y z", n=2, top=3) == pytest.approx(9 / 12)


def test_what_is_said_twice_is_no_loop() -> None:
    assert top_ngram_share("one two three four. one two three four.", n=2) == 0.0
    assert top_ngram_share("one two three four. " * 3, n=2) > 0.5


def test_short_texts_are_not_repetitive_by_being_short() -> None:
    assert top_ngram_share("Only these seven words stand in here.") == 0.0


@pytest.mark.parametrize("text", ["", "   \n", "🙂🙃", "too short"])
def test_texts_without_ngrams(text: str) -> None:
    assert top_ngram_share(text) == 0.0


def test_case_and_punctuation_do_not_hide_a_loop() -> None:
    assert top_ngram_share("So it goes. so, it GOES! So it goes… (so it goes)", n=3) == pytest.approx(1.0)


def test_a_giant_text_takes_seconds_at_most() -> None:
    started = time.perf_counter()
    assert top_ngram_share("round and round the garden " * 40_000) == pytest.approx(3 / 5, abs=1e-3)
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(("n", "top", "message"), [(0, 3, "n is 0"), (3, 0, "top is 0")])
def test_impossible_settings(n: int, top: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        top_ngram_share("text", n=n, top=top)


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_a_share_is_a_share_and_grows_with_top(words: list[str], n: int, top: int) -> None:
    text = " ".join(words)
    assert 0 <= top_ngram_share(text, n=n, top=top) <= top_ngram_share(text, n=n, top=top + 1) <= 1
