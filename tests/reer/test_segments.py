from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.reer.segments import MIN_SEGMENT_CHARS, Trajectory, keep_text, split_scored, split_segments

A, B, C = "a" * 120, "b" * 130, "c" * 140

#: Texts made of what the rules look at: letters of two scripts, blanks of every kind, and pieces long enough to stand.
TEXTS = st.lists(
    st.sampled_from(["x", "好", " ", "\n", "\n\n", "\n \t\n", "\r\n", "\u2028", "\t", A, B, "好" * 110]), max_size=25
).map("".join)


def no_space(text: str) -> str:
    return "".join(character for character in text if not character.isspace())


def test_blank_lines_cut() -> None:
    found = split_segments(f"{A}\n\n{B}\n \t\n\n{C}\n")
    assert found == Trajectory((A, B, C), "\n\n")
    assert found.text == f"{A}\n\n{B}\n\n{C}"


def test_single_newlines_inside_a_block_stay() -> None:
    assert split_segments(f"{A}\n{B}\n\n{C}").segments == (f"{A}\n{B}", C)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["short", A, B], [f"short\n\n{A}", B]),  # the first one joins the next
        ([A, "short", B], [f"{A}\n\nshort", B]),  # any other joins the one before it
        ([A, B, "short"], [A, f"{B}\n\nshort"]),
        ([A, "s", "t", "u", B], [f"{A}\n\ns\n\nt\n\nu", B]),
        (["s", "t", A, B], [f"s\n\nt\n\n{A}", B]),
    ],
)
def test_short_pieces_join_a_neighbour(pieces: list[str], expected: list[str]) -> None:
    assert list(split_segments("\n\n".join(pieces)).segments) == expected


def test_the_limit_is_one_hundred_characters() -> None:
    assert MIN_SEGMENT_CHARS == 100
    assert len(split_segments(f"{'a' * 100}\n\n{'b' * 100}").segments) == 2
    assert len(split_segments(f"{'a' * 100}\n\n{'b' * 99}").segments) == 1
    assert len(split_segments(f"{'a' * 10}\n\n{'b' * 9}", 9).segments) == 2


def test_without_blank_lines_newlines_cut() -> None:
    found = split_segments(f"{A}\nshort\n{B}")
    assert found == Trajectory((f"{A}\nshort", B), "\n")


def test_one_block_too_many_short_ones_falls_back_to_newlines() -> None:
    # Blank lines give one segment only, since the second block is short: the lines of the first one cut.
    assert split_segments(f"{A}\n{B}\n\nshort") == Trajectory((A, f"{B}\nshort"), "\n")


def test_a_short_text_is_one_segment() -> None:
    assert split_segments("One thought.\n\nAnother.").segments == ("One thought.\nAnother.",)


def test_chinese() -> None:
    one, two = "我要写一封信，" * 20, "先想想读者是谁。" * 20
    assert split_segments(f"{one}\n\n嗯。\n\n{two}").segments == (f"{one}\n\n嗯。", two)
    assert split_segments(f"{one}\n{two}") == Trajectory((one, two), "\n")


@given(TEXTS, st.integers(1, 150))
def test_nothing_but_space_is_lost(text: str, min_chars: int) -> None:
    found = split_segments(text, min_chars)
    assert no_space(found.text) == no_space(text)
    if len(found.segments) > 1:
        assert all(len(segment) >= min_chars for segment in found.segments)
    assert all(segment == segment.strip() for segment in found.segments)


@given(TEXTS)
def test_before_segment_and_after_make_the_text(text: str) -> None:
    found = split_segments(text, 5)
    for index, segment in enumerate(found.segments):
        assert found.before(index) + segment + found.after(index) == found.text
        new = found.replaced(index, "NEW")
        assert new.text == found.before(index) + "NEW" + found.after(index)
        assert new.text.startswith(found.before(index))
        assert new.segments[:index] + new.segments[index + 1 :] == found.segments[:index] + found.segments[index + 1 :]


@pytest.mark.parametrize(
    ("answer", "head", "target"),
    [
        ("One.\n\nTwo.\n\nThree.", "One.\n\n", "Two.\n\nThree."),
        ("One.\n \n\n  Two.", "One.\n \n\n  ", "Two."),
        ("One.\nTwo.", "One.\n", "Two."),
        ("One.\nStill one.\n\nTwo.", "One.\nStill one.\n\n", "Two."),
        ("第一段。\n\n第二段。", "第一段。\n\n", "第二段。"),
        ("A single paragraph.", "", "A single paragraph."),
        ("A single paragraph.\n\n", "", "A single paragraph.\n\n"),
        ("\n\nA single paragraph.", "", "\n\nA single paragraph."),
    ],
)
def test_the_first_paragraph_can_stand_unscored(answer: str, head: str, target: str) -> None:
    assert split_scored(answer, score_first_segment=False) == (head, target)
    assert split_scored(answer, score_first_segment=True) == ("", answer)


@given(TEXTS.filter(str.strip), st.booleans())
def test_split_scored_loses_nothing(answer: str, whole: bool) -> None:
    head, target = split_scored(answer, score_first_segment=whole)
    assert head + target == answer
    assert target.strip()


@given(TEXTS, st.sampled_from([1, 100, 250]))
def test_a_kept_text_stays_as_it_is_and_is_cut_like_any_other(text: str, least: int) -> None:
    kept, plain = keep_text(text, least), split_segments(text, least)
    assert kept.text == text
    assert len(kept.gaps) == len(kept.segments) - 1
    for index in range(len(kept.segments)):
        assert kept.before(index) + kept.segments[index] + kept.after(index) == text
        assert kept.replaced(index, "new").text == kept.before(index) + "new" + kept.after(index)
    if "\u2028" not in text and "\r" not in text:  # splitlines breaks there as well
        assert [no_space(segment) for segment in kept.segments] == [no_space(s) for s in plain.segments or ("",)]


def test_gaps_of_a_kept_text() -> None:
    kept = keep_text(f"  {A} \n \n\n{B}\n\n\n\n{C}\n")
    assert kept.segments == (f"  {A}", B, f"{C}\n")
    assert kept.gaps == (" \n \n\n", "\n\n\n\n")
    assert keep_text("short").segments == ("short",)
    assert keep_text(f"{A}\n{B}") == Trajectory((A, B), "\n", ("\n",))
