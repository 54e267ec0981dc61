from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.metrics import Copying, copied, copy_ratio, longest_copied_run

ANSWER = "The lamp was lit again, although nobody had asked for it, and the sea took the light without a word."
ANSWER_ZH = "灯又亮了，虽然没有人要求，海水把光收下，一句话也没有说。"


def brute_force(answer: list[str], thinking: list[str], min_run: int) -> Copying:
    """The definition, in the plainest way: every pair of positions."""
    covered: set[int] = set()
    longest = 0
    for i in range(len(answer)):
        for j in range(len(thinking)):
            run = 0
            while i + run < len(answer) and j + run < len(thinking) and answer[i + run] == thinking[j + run]:
                run += 1
            longest = max(longest, run)
            if run >= min_run:
                covered.update(range(i, i + run))
    return Copying(len(covered) / len(answer) if answer else 0.0, longest)


words = st.lists(st.sampled_from(["tide", "and", "山"]), max_size=40)


@given(words, words, st.integers(1, 12))
def test_equals_the_brute_force(answer: list[str], thinking: list[str], min_run: int) -> None:
    result = copied(" ".join(answer), " ".join(thinking), min_run)
    expected = brute_force(answer, thinking, min_run)
    assert result.longest_run == expected.longest_run
    assert result.ratio == pytest.approx(expected.ratio)


@given(words, words, st.integers(1, 12))
def test_the_single_measures_agree_with_the_pair(answer: list[str], thinking: list[str], min_run: int) -> None:
    y, z = " ".join(answer), " ".join(thinking)
    assert Copying(copy_ratio(y, z, min_run), longest_copied_run(y, z)) == copied(y, z, min_run)


@pytest.mark.parametrize("answer", [ANSWER, ANSWER_ZH])
def test_an_answer_inside_the_thinking_is_copied_whole(answer: str) -> None:
    result = copied(answer, f"Maybe I could end like this: {answer} 嗯，就这样。")
    assert result.ratio == 1.0
    assert result.longest_run == len(brute_units(answer))


def brute_units(text: str) -> list[str]:
    """Units of the two answers above, without the code under test."""
    chinese = [character for character in text if "\u4e00" <= character <= "\u9fff"]
    return chinese or text.split()


def test_planning_that_does_not_quote_copies_nothing() -> None:
    result = copied(ANSWER, "I want the keeper to light the lamp at the end, and the sea to stay indifferent to it.")
    assert result.ratio == 0.0
    assert result.longest_run == 3  # and the sea


def test_only_long_runs_count_for_the_ratio() -> None:
    thinking = "the lamp was lit again — then something else — the sea took the light"
    assert copied(ANSWER, thinking, min_run=6) == Copying(ratio=0.0, longest_run=5)
    assert copied(ANSWER, thinking, min_run=5).ratio == pytest.approx(10 / 20)


def test_case_punctuation_and_line_breaks_do_not_hide_a_copy() -> None:
    retyped = "THE LAMP was lit; again\nalthough nobody: had asked for it and the sea took the light without a word"
    assert copy_ratio(ANSWER, retyped) == 1.0


def test_the_order_of_the_words_matters() -> None:
    shuffled = " ".join(reversed(ANSWER.split()))
    assert longest_copied_run(ANSWER, shuffled) == 1


@pytest.mark.parametrize(("answer", "thinking"), [("", ""), ("", "plan"), (ANSWER, ""), ("🙂", "🙂"), (ANSWER, "🎉")])
def test_nothing_to_copy(answer: str, thinking: str) -> None:
    assert copied(answer, thinking) == Copying(ratio=0.0, longest_run=0)


def test_an_answer_shorter_than_a_run() -> None:
    assert copied("Yes, gladly.", "I would say: yes, gladly.") == Copying(ratio=0.0, longest_run=2)


def test_min_run_must_be_positive() -> None:
    with pytest.raises(ValueError, match="min_run is 0"):
        copied("a", "a", min_run=0)


@pytest.mark.parametrize("vocabulary", [1, 3, 5000])
def test_twenty_thousand_units_take_about_a_second_at_most(vocabulary: int) -> None:
    rng = random.Random(vocabulary)
    answer = [chr(0x4E00 + rng.randrange(vocabulary)) for _ in range(20_000)]
    thinking = [chr(0x4E00 + rng.randrange(vocabulary)) for _ in range(15_000)] + answer[5_000:10_000]
    started = time.perf_counter()
    result = copied("".join(answer), "".join(thinking))
    assert time.perf_counter() - started < 2
    assert result.longest_run >= 5_000
    assert result.ratio >= 0.25
