from __future__ import annotations

from collections.abc import Callable

import pytest

from deepwriting.engines.base import Completion, FinishReason
from deepwriting.recipe import SearchSection
from deepwriting.reer.candidates import (
    TAGS,
    Proposal,
    check_refinement,
    check_thinking,
    opening_words,
    parse_refinement,
    parse_thinking,
    trim_to_sentence,
)

Make = Callable[..., SearchSection]

ANSWER = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."
FRESH = "I want the reader to meet the keeper first, then the storm, and only then the letter that nobody expects."


def completion(text: str, reason: FinishReason = "stop") -> Completion:
    return Completion(text, len(text.split()), reason)


def test_thinking_begins_with_its_opener() -> None:
    found = parse_thinking("Okay, I", completion(" am asked for a letter.\n"), "refuse")
    assert found == Proposal("Okay, I am asked for a letter.")


def test_thinking_ends_at_its_tag_even_without_a_stop_string() -> None:
    found = parse_thinking("Okay.", completion(" First.</think> <answer>Dear", "eos"), "refuse")
    assert found == Proposal("Okay. First.")


@pytest.mark.parametrize("tag", [tag for tag in TAGS if tag != "</think>"])
def test_tags_inside_a_thinking_are_broken(tag: str) -> None:
    assert parse_thinking("Okay.", completion(f" Some {tag} more.", "eos"), "refuse").refusal == "broken_tags"


def test_a_thinking_without_text_is_empty() -> None:
    assert parse_thinking("", completion(" \n"), "refuse") == Proposal("", "empty")


def test_an_unclosed_text_is_refused_or_trimmed() -> None:
    cut = completion(" I want the sea. And then the", "length")
    assert parse_thinking("Hmm.", cut, "refuse") == Proposal("Hmm. I want the sea. And then the", "unclosed")
    assert parse_thinking("Hmm.", cut, "trim") == Proposal("Hmm. I want the sea.")
    assert parse_thinking("So", completion(" no sentence ends here", "length"), "trim") == Proposal("", "empty")
    assert parse_refinement("<refine>\n", cut, "refuse").refusal == "unclosed"
    assert parse_refinement("<refine>\n", cut, "trim") == Proposal("I want the sea.")


def test_the_last_refine_block_counts() -> None:
    text = " step 1: it needs a <refine> block.</analyze>\n<refine>\nThe better one.\n"
    assert parse_refinement("<analyze>", completion(text), "refuse") == Proposal("The better one.")


def test_a_refinement_that_the_prompt_began_keeps_the_beginning() -> None:
    found = parse_refinement("<refine>\nThe sea. Maybe", completion(" I begin with it."), "refuse")
    assert found == Proposal("The sea. Maybe I begin with it.")


def test_a_refinement_without_its_tag_is_refused() -> None:
    assert parse_refinement("<analyze>", completion("only analysis"), "refuse") == Proposal("", "no_refine_tag")


@pytest.mark.parametrize("started", ["<analyze>", "<refine>\nThe sea. Maybe"])
def test_a_completion_without_text_is_empty(started: str) -> None:
    assert parse_refinement(started, completion(" \n"), "refuse") == Proposal("", "empty")


def test_an_empty_refine_block_is_empty() -> None:
    assert parse_refinement("<analyze>", completion("a</analyze><refine>\n"), "refuse") == Proposal("", "empty")


@pytest.mark.parametrize("tag", [tag for tag in TAGS if tag != "<refine>"])
def test_tags_inside_a_refinement_are_broken(tag: str) -> None:
    found = parse_refinement("<analyze>", completion(f"x</analyze><refine>one {tag} two"), "refuse")
    assert found.refusal == "broken_tags"


def refusal(
    settings: SearchSection, text: str, *, segment: str = "old segment", whole: str | None = None
) -> str | None:
    return check_refinement(text, text if whole is None else whole, segment, ["another one " * 9], ANSWER, settings)


def test_a_good_candidate_passes(settings: Make) -> None:
    assert refusal(settings(), FRESH) is None
    assert check_thinking(FRESH, ANSWER, settings()) is None


def test_every_refusal(settings: Make) -> None:
    assert refusal(settings(), FRESH, segment=f" {FRESH}\n") == "unchanged"
    assert refusal(settings(), ("another one " * 9).strip()) == "repeats_segment"
    assert refusal(settings(), FRESH[:99]) == "too_short"
    assert refusal(settings(min_segment_chars=99), FRESH[:99]) is None
    looped = "the sea and the ship and the storm " * 8
    assert refusal(settings(), looped) == "degenerate"
    assert refusal(settings(max_repetition=1.0), looped) is None


def test_copies_of_the_answer_are_refused(settings: Make) -> None:
    eight = " ".join(ANSWER.split()[:8])  # half of its 16 words
    assert refusal(settings(), f"{FRESH} {eight}") == "copies_answer"
    assert refusal(settings(max_copy_ratio=0.5), f"{FRESH} {eight}") is None
    assert refusal(settings(max_copy_ratio=0.5, max_copy_run=7), f"{FRESH} {eight}") == "copies_answer"
    assert refusal(settings(copy_min_run=9), f"{FRESH} {eight}") is None
    assert check_thinking(f"{FRESH} {eight}", ANSWER, settings()) == "copies_answer"


def test_copying_is_measured_over_the_whole_trajectory(settings: Make) -> None:
    eight = " ".join(ANSWER.split()[:8])
    assert refusal(settings(), FRESH, whole=f"{FRESH}\n\n{eight}") == "copies_answer"


def test_a_looping_first_thinking_is_degenerate(settings: Make) -> None:
    assert check_thinking("I think about the sea again. " * 10, ANSWER, settings()) == "degenerate"


@pytest.mark.parametrize(
    ("text", "trimmed"),
    [
        ("One. Two", "One."),
        ("One. Two.", "One. Two."),
        ("Really? Yes! And", "Really? Yes!"),
        ('He says "go." Then', 'He says "go."'),
        ("He says “go.” Then", "He says “go.”"),
        ("(It rains.) And", "(It rains.)"),
        ("It costs 3.50 and", ""),
        ("One.\n\nTwo", "One."),
        ("Hmm... and", "Hmm..."),
        ("我要写信。先想想", "我要写信。"),
        ("他说：“走吧。”然后", "他说：“走吧。”"),
        ("真的吗？是的！还有", "真的吗？是的！"),
        ("嗯……再", "嗯……"),
        ("没有句号", ""),
        ("", ""),
    ],
)
def test_trim_to_sentence(text: str, trimmed: str) -> None:
    assert trim_to_sentence(text) == trimmed


@pytest.mark.parametrize(
    ("segment", "opening"),
    [
        ("Okay, I want to begin.\nMore.", "Okay, I want"),
        ("  Two words", "Two words"),
        ("“Well, maybe I", "“Well, maybe I"),
        ("— so it begins here", "— so it"),
        ("好的，这次要写的是信", "好的，这次要"),
        ("3个人坐在一条船上", "3个人坐在一"),
        ("嗯\n下一行", "嗯"),
        ("", ""),
    ],
)
def test_opening_words(segment: str, opening: str) -> None:
    assert opening_words(segment) == opening
