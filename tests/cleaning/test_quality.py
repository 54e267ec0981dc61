from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.cleaning.quality import Quality

STORY = "The lamp had gone out before midnight, and nobody on the quay had noticed it until the boat came in."
CHINESE = "半夜里灯已经灭了，码头上没有人注意到。她坐在最低的台阶上，膝上放着那封信，已经读了四遍。"

CASES: list[tuple[str, dict[str, Any], str | None]] = [
    (STORY, {}, None),
    (CHINESE, {}, None),
    ("The lamp was out.", {}, "too_few_words"),
    ("灯已经灭了。", {}, "too_few_words"),
    ("The lamp was out.", {"min_words": 4}, None),
    (STORY, {"max_words": 19}, "too_many_words"),
    (STORY, {"max_words": 20}, None),
    ("1 2 3 4 5 6 7 8 9 10 11 12 = ? + - * / the sum", {}, "few_letters"),
    ("Flour is a tenth of sales, so a 12 % rise costs 1.2 % of turnover; at 4 % margin that hurts.", {}, None),
    (
        "| a | b | ------ | ====== | ++++++ | ###### | ------ | one two three four five six seven eight",
        {},
        "few_letters",
    ),
    ("a b c d e f g h i j k l m", {}, "odd_word_length"),
    ("Donaudampfschiffahrtsgesellschaft " * 12, {}, "odd_word_length"),
    ("#a #b day in the sun #by #the #sea #with #all #my #old #friends of ours", {}, "many_hashes"),
    ("A quiet day by the sea with all my old friends and a dog called Bread. #sea #dog #bread", {}, None),
    ("I … do … not … know … what … to … say … to … you … now", {}, "many_ellipses"),
    ("“I…” She looked at the door. “I do not know what to say…” He waited. “Then say nothing.”", {}, None),
    ("我……不知道……该怎么说才好，也许以后再告诉你吧，现在先走。", {}, None),
    (
        "\n".join(f"- item number {word} of the list" for word in ["one", "two", "three", "four", "five"]),
        {},
        "bullet_lines",
    ),
    ("Bring these:\n" + "\n".join(f"- a {word} for the road" for word in ["cup", "lamp", "hat", "pen"]), {}, None),
    ("— Where?\n— There, by the gate.\n— I see nothing at all.\n— Look again, please.\n— Oh.", {}, None),
    ("\n".join(f"The {word} goes on…" for word in ["road", "sea", "night", "song"]), {}, "ellipsis_lines"),
    ("The road goes on…\nThe sea is still there.\nThe night is long.\nThe song stops.", {}, None),
    ("", {}, None),
]


@pytest.mark.parametrize(("answer", "settings", "reason"), CASES)
def test_reasons(cleaned: Callable[..., Document], answer: str, settings: dict[str, Any], reason: str | None) -> None:
    assert cleaned(Quality, answer, **settings).metadata.get("reject") == reason


def test_a_short_query_is_refused_a_missing_one_is_not(cleaned: Callable[..., Document]) -> None:
    assert cleaned(Quality, STORY, "Write now.", min_query_words=3).metadata["reject"] == "short_query"
    assert "reject" not in cleaned(Quality, STORY, None, min_query_words=3).metadata


def test_the_detail_tells_the_number_and_the_threshold(cleaned: Callable[..., Document]) -> None:
    assert cleaned(Quality, "The lamp was out.").metadata["reject_detail"] == "4 words, 10 are needed"


def test_it_can_be_switched_off(cleaned: Callable[..., Document]) -> None:
    assert "reject" not in cleaned(Quality, "Out.", quality=False).metadata
