from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.metrics import PATTERNS, count_patterns, count_patterns_in_tail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hmm... maybe a letter.", {"hmm": 1, "maybe": 1}),
        ("Hmmmm, HMM, hm.", {"hmm": 3}),
        ("Wait, that's a bit dull.", {"wait": 1, "that's a bit": 1}),
        ("Oh wait, no. But wait — wait a minute.", {"wait": 3, "but": 1}),
        ("It ends at night, wait, that is a bit sad.", {"wait": 1, "that's a bit": 1}),
        ("Let me think. Let’s reconsider the voice.", {"let me think": 2}),
        ("Alternatively, what if she stays? How about both?", {"alternatively": 1, "what if": 1, "how about": 1}),
        ("Hold on, I'm not quite sure. On second thought, yes.", {"hold on": 1, "not sure": 1, "on second thought": 1}),
        ("Let me see: I wonder. Let me double-check. Scratch that.",
         {"let me see": 1, "let me check": 1, "i wonder": 1, "scratch that": 1}),
        ("- Actually, no.\n2. However, yes.\nBut perhaps.", {"actually": 1, "however": 1, "but": 1, "perhaps": 1}),
        ("嗯，等等，这不对。", {"嗯": 1, "等等": 1, "不对": 1}),
        ("也许可以换个角度。或许会不会太满？", {"也许": 1, "或许": 1, "换个角度": 1, "会不会": 1}),
        ("让我再仔细想想。让我们检查一下，重新考虑结构。", {"让我想想": 1, "让我看看": 1, "重新考虑": 1}),
        ("如果她没有走呢？说不定更好。等一下，先停。", {"如果…呢": 1, "说不定": 1, "等一下": 1}),
        ("不过，太满了。其实不用。另外，加一句。但是要短。", {"不过": 1, "其实": 1, "另外": 1, "但是": 1}),
        ("我maybe可以先写开头。", {"maybe": 1}),
        ("🙂 hmm 🙂", {"hmm": 1}),
    ],
)  # fmt: skip
def test_patterns_are_found(text: str, expected: dict[str, int]) -> None:
    assert count_patterns(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "She had to wait.",
        "Wait for the ferry, the sign said, and the waiter waited.",
        "They wait until dark; wait times are long.",
        "A small but warm room, not grand but clean.",
        "What he actually said was, however, unclear.",
        "He could hold on to the rope. Hold on to it.",
        "Let me see the harbour. The algorithmm is mapped.",
        "苹果、梨、桃子等等。",
        "春天，夏天，等等，都写进去。",
        "左右不对称，对不对？",
        "他想要的不过是一盏灯，她却其实不懂。",
        "",
        "🙂",
    ],
)
def test_ordinary_uses_are_not_patterns(text: str) -> None:
    assert count_patterns(text) == {}


def test_names_are_unique_and_counts_follow_their_order() -> None:
    names = [pattern.name for pattern in PATTERNS]
    assert len(names) == len(set(names))
    found = list(count_patterns("Maybe. 嗯。 Wait, hmm."))
    assert found == [name for name in names if name in found]


def test_the_tail_is_the_last_tenth_and_a_pattern_counts_where_it_starts() -> None:
    # 100 characters: "maybe" starts at 90, the first of the last tenth, or at 89, one before it.
    inside = "x" * 89 + " maybe" + "." * 5
    before = "x" * 88 + " maybe" + "." * 6
    assert len(inside) == len(before) == 100
    assert count_patterns_in_tail(inside) == 1
    assert count_patterns_in_tail(before) == 0


def test_space_at_the_end_does_not_empty_the_tail() -> None:
    assert count_patterns_in_tail("The plan is made, all of it. " * 10 + "Hmm, maybe." + "\n" * 500) == 2


def test_the_tail_of_chinese_thinking() -> None:
    body = "先写码头，再写那笔钱，最后写信。" * 10
    assert count_patterns_in_tail(body + "嗯，也许吧。") == 2
    assert count_patterns_in_tail("嗯，也许吧。" + body) == 0


def test_connectives_in_the_tail_are_no_reflection() -> None:
    text = "The plan is made, all of it. " * 10 + "But it stands. 但是够了。"
    assert count_patterns(text) == {"but": 1, "但是": 1}
    assert count_patterns_in_tail(text) == 0


def test_the_tail_is_read_with_what_stands_before_it() -> None:
    # Cut off from its sentence, the second half would start with an interjection.
    text = "She had to wait, and so she did."
    assert count_patterns_in_tail(text, fraction=(len(text) - text.index("wait")) / len(text)) == 0


def test_a_whole_text_can_be_the_tail() -> None:
    assert count_patterns_in_tail("Hmm, wait, maybe.", fraction=1.0) == 3


@pytest.mark.parametrize("text", ["", "\n", "🙂"])
def test_an_empty_tail(text: str) -> None:
    assert count_patterns_in_tail(text) == 0


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_impossible_fractions(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction is"):
        count_patterns_in_tail("text", fraction)


@pytest.mark.parametrize("piece", [" ", "\n", "wait, ", ".", "- ", "如果", "hm", "嗯", "plan "])
def test_giant_texts_take_time_in_proportion(piece: str) -> None:
    started = time.perf_counter()
    count_patterns(piece * (500_000 // len(piece)))
    assert time.perf_counter() - started < 10


@given(st.lists(st.sampled_from(["Hmm, ", "maybe ", "the tide. ", "嗯，", "也许", "\n", "But "]), max_size=40))
def test_a_tail_never_holds_more_than_the_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert count_patterns_in_tail(text) <= count_patterns_in_tail(text, 1.0) <= sum(count_patterns(text).values())


def test_no_pattern_is_left_out_for_want_of_its_needle() -> None:
    """Texts in which every pattern occurs, in odd spellings too: trying all patterns finds nothing more."""
    rng = random.Random(2)
    parts = (
        "WAIT,", "waİt, ", "HMM", "maybe", "let's think", "alternatively", "THAT’S A BİT", "perhapſ", "hold on a sec,",
        "let me see.", "let's re-read", "what if", "how about", "ı wonder", "i'm not quite ſure", "On second thought",
        "Scratch that.", "\nBut ", ". However", "Actually,", "嗯嗯", "。等等，", "稍等，", "。且慢。", "也许", "或许",
        "说不定", "不对。", "让我们再好好想想", "让我再仔细看看", "重新想想", "换一种思路", "会不会", "要是他不来呢?",
        "\n但是", "。不过", "。其实", "\n另外", " see ", " a bit", "of", ". ", "\n",
    )  # fmt: skip
    seen: set[str] = set()
    for _ in range(200):
        text = "".join(rng.choice(parts) + rng.choice(("", " ")) for _ in range(40))
        tried = {pattern.name: len(list(pattern.regex.finditer(text))) for pattern in PATTERNS}
        found = count_patterns(text)
        assert found == {name: count for name, count in tried.items() if count}
        seen |= found.keys()
    assert seen == {pattern.name for pattern in PATTERNS}
