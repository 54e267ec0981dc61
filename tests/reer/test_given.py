"""A search that begins with a thinking that came with the pair."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from deepwriting.recipe import SearchSection
from deepwriting.reer.found import Found, Skipped
from deepwriting.reer.given import Given, given_thinking

Make = Callable[..., SearchSection]
Pair = tuple[str, str]

#: Planning that shares hardly a word with the answer, so that edits which do can win.
PARAGRAPHS = (
    "Okay, I am asked for something quiet. My plan: no dialogue, few adjectives, and one object which is out of place.",
    "Maybe that object should be warm, although nobody could explain why. Wait, no: cold, so people hardly notice "
    "until somebody touches its surface.",
    "Endings are hard. Instead of explaining what happened, stop one moment early; readers will finish this.",
)
#: With more than a blank line between two paragraphs and blanks at a line's end: none of it may change.
THINKING = f"{PARAGRAPHS[0]}  \n\n\n{PARAGRAPHS[1]}\n \n{PARAGRAPHS[2]}"


def found_by(search: Any, pair: Pair, given: Given | None, rollout: int = 0) -> Any:
    return asyncio.run(search.search("dw-1", *pair, "en", rollout, given))


def test_without_steps_a_thinking_is_scored_and_nothing_is_written(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    engine = counting_engine()
    with searching(engine, settings(max_steps=0)) as search:
        result = found_by(search, pair, Given(THINKING, "writer", "r1"))
    values = result.values
    assert engine.sampled == []
    assert engine.scored == 2  # without and with the thinking
    assert result.thinking == values["initial_thinking"] == THINKING
    assert values["score_before"] == values["score_after"] != values["score_no_thinking"]
    assert (values["generator"], values["generator_revision"], values["scorer"]) == ("writer", "r1", "counts")
    assert (values["steps"], values["stop_reason"]) == (0, "max_steps")
    assert [segment["final"] for segment in result.segments] == list(PARAGRAPHS)


@pytest.mark.parametrize(
    ("thinking", "reason"),
    [
        ("One short line.", "given_one_segment"),
        ("la la la la la la la la la la. " * 30, "given_degenerate"),
        (f"{PARAGRAPHS[0]}\n\n{PARAGRAPHS[1]}", "given_short_thinking"),
    ],
)
def test_what_only_a_search_needs_is_asked_only_of_a_search(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, thinking: str, reason: str
) -> None:
    with searching(counting_engine(), settings(min_thinking_tokens=200)) as search:
        refused = found_by(search, pair, Given(thinking))
    assert isinstance(refused, Skipped)
    assert (refused.reason, refused.refusals) == (reason, {reason: 1})
    with searching(counting_engine(), settings(min_thinking_tokens=200, max_steps=0)) as search:
        assert found_by(search, pair, Given(thinking)).thinking == thinking


def test_a_thinking_that_copies_is_not_searched_but_can_be_scored(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    copying = f"{PARAGRAPHS[0]}\n\n{pair[1]}\n\n{PARAGRAPHS[1]}"
    with searching(counting_engine(), settings(max_copy_run=10)) as search:
        assert found_by(search, pair, Given(copying)).reason == "given_copies_answer"
    with searching(counting_engine(), settings(max_copy_run=10, max_steps=0)) as search:
        assert found_by(search, pair, Given(copying)).thinking == copying


@pytest.mark.parametrize(
    ("thinking", "reason"), [("I think.</think> More.", "given_broken_tags"), (" \n", "given_empty")]
)
def test_what_would_break_a_row_is_refused_even_without_steps(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, thinking: str, reason: str, tmp_path: Path
) -> None:
    engine, path = counting_engine(), tmp_path / "j.jsonl"
    for _ in range(2):  # the second time from the journal
        with searching(engine, settings(max_steps=0), journal=path) as search:
            assert found_by(search, pair, Given(thinking)).reason == reason
    assert (engine.sampled, engine.scored) == ([], 0)


def test_a_thinking_too_long_for_the_scorer_is_a_reject(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    with searching(counting_engine(context_tokens=1000), settings(max_steps=0)) as search:
        result = found_by(search, pair, Given("A letter came. " * 400))
    assert result.reason == "given_context_overflow"
    assert "1000 of counts" in result.detail


def test_with_steps_the_search_goes_on_from_there(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    edited = 0
    for seed in range(5):
        engine = counting_engine()
        with searching(engine, settings(max_steps=2), seed=seed) as search:
            result = found_by(search, pair, Given(THINKING, "old"))
        assert isinstance(result, Found)
        assert len(engine.sampled) == 2  # no first thinking
        assert result.values["initial_thinking"] == THINKING
        accepted = result.values["accepted_edits"]
        assert result.values["generator"] == ("old, counts" if accepted else "old")
        assert result.values["generator_revision"] == ("unknown, 1" if accepted else "unknown")
        assert result.thinking.endswith(f"\n \n{PARAGRAPHS[2]}")  # what was not edited stays to the last space
        assert (result.thinking == THINKING) == (accepted == 0)
        edited += accepted
    assert edited > 0


def test_only_the_generators_whose_edits_were_taken_are_named(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    useless, useful = counting_engine(name="useless", words="zig zag zog"), counting_engine(name="useful")
    with searching([useless, useful], settings(max_steps=3, candidates=4), scorer=useful) as search:
        result = found_by(search, pair, Given(THINKING))
    takers = {step["generator"] for step in result.trace if step["accepted"]}
    assert takers == {"useful"}
    assert result.values["generator"] == "given, useful"


def test_further_rollouts_are_sampled(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    given = Given(THINKING)
    with searching(counting_engine(), settings(max_steps=1)) as search:
        results = [found_by(search, pair, given, rollout) for rollout in range(3)]
    with searching(counting_engine(), settings(max_steps=1)) as search:
        plain = [found_by(search, pair, None, rollout) for rollout in range(3)]
    assert results[0].values["initial_thinking"] == THINKING != plain[0].values["initial_thinking"]
    assert results[1:] == plain[1:]


def test_resume_after_every_event(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path
) -> None:
    engine, path, section = counting_engine(), tmp_path / "whole.jsonl", settings(max_steps=3)
    with searching(engine, section, journal=path) as search:
        whole = found_by(search, pair, Given(THINKING))
    lines, calls = path.read_bytes().splitlines(keepends=True), engine.sampled
    assert [orjson.loads(line)["event"] for line in lines] == ["header", "start", *["step"] * 3, "end"]
    assert len(calls) == 3
    for kept in range(len(lines) + 1):
        cut = tmp_path / f"cut-{kept}.jsonl"
        cut.write_bytes(b"".join(lines[:kept]))
        resumed = counting_engine()
        with searching(resumed, section, journal=cut) as search:
            assert found_by(search, pair, Given(THINKING)) == whole
        assert resumed.sampled == calls[max(kept - 2, 0) :]  # header and start stand for no call
        assert cut.read_bytes() == path.read_bytes()


def test_the_recipe_can_ignore_it(settings: Make) -> None:
    metadata = {"given_thinking": THINKING, "given_generator": "old"}
    assert given_thinking(metadata, settings()) == Given(THINKING, "old", "unknown")
    assert given_thinking(metadata, settings(given_thinking="ignore")) is None
    assert given_thinking({"query": "q"}, settings()) is None
    assert given_thinking({"given_thinking": THINKING, "given_generator": None}, settings()) == Given(THINKING)
