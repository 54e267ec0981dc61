from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from deepwriting.engines.base import SCORE_NOISE_NATS
from deepwriting.errors import EngineError, RequestError
from deepwriting.recipe import SearchSection
from deepwriting.reer.found import Found, Skipped
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.scoring import SolutionScorer
from deepwriting.reer.search import LocalSearch

Make = Callable[..., SearchSection]
Pair = tuple[str, str]
NOISE = SCORE_NOISE_NATS["float32"]


def found_by(search: LocalSearch, pair: Pair, rollout: int = 0, language: str = "en") -> Any:
    return asyncio.run(search.search("dw-1", *pair, language, rollout))


def score_of(engine: Any, section: SearchSection, pair: Pair, thinking: str) -> tuple[float, float]:
    score = SolutionScorer(
        engine, load_prompts(section.prompts)["en"], *pair,
        clip_logprob=section.clip_logprob, score_first_segment=section.score_first_segment,
    )  # fmt: skip
    [value] = asyncio.run(score([thinking]))
    return value.value, value.perplexity


@given(
    seed=st.integers(0, 10_000),
    candidates=st.integers(1, 3),
    max_steps=st.integers(0, 6),
    paragraphs=st.integers(2, 5),
    first=st.booleans(),
    min_gain=st.sampled_from([0.0, 0.02]),
    prompts=st.sampled_from(["default", "no-reflection", "compact"]),
    extras=st.sampled_from([{}, {"prune": True}, {"race_confidence": 0.9}, {"length_penalty": 0.05}]),
)
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_score_never_rises(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, seed: int, candidates: int, max_steps: int,
    paragraphs: int, first: bool, min_gain: float, prompts: str, extras: dict[str, Any],
) -> None:  # fmt: skip
    section = settings(
        candidates=candidates, max_steps=max_steps, score_first_segment=first, min_gain=min_gain, prompts=prompts,
        unclosed="trim", **extras,
    )  # fmt: skip
    engine = counting_engine(paragraphs=paragraphs)
    with searching(engine, section, seed=seed) as search:
        result = found_by(search, pair)
    assert isinstance(result, Found)
    values = result.values
    current = [step["score_current"] for step in result.trace if step["candidate_index"] == 0]
    path = [*current, values["score_after"]]
    assert path[0] == values["score_before"]
    assert all(later <= earlier for earlier, later in pairwise(path))
    for index, (before, after) in enumerate(pairwise(path)):
        tried = [t for t in result.trace if t["step"] == index + 1]
        accepted = [t for t in tried if t["accepted"]]
        scored = [t["score"] for t in tried if t["score"] is not None]
        if accepted:
            assert accepted[0]["score"] == after < before - min_gain - NOISE
            assert after == min(scored) or "length_penalty" in extras
        else:
            assert after == before
            assert all(score >= before - min_gain - NOISE for score in scored) or "length_penalty" in extras
    assert values["accepted_edits"] == sum(t["accepted"] for t in result.trace)
    assert (score_of(engine, section, pair, result.thinking)) == (values["score_after"], values["perplexity_after"])
    assert score_of(engine, section, pair, "")[0] == values["score_no_thinking"]
    if values["accepted_edits"] == 0:
        assert result.thinking == values["initial_thinking"]
    assert sum(segment["edited"] for segment in result.segments) == values["accepted_edits"]
    assert "\n\n".join(segment["final"] for segment in result.segments) == result.thinking
    assert "\n\n".join(segment["initial"] for segment in result.segments) == values["initial_thinking"]


def test_some_edits_are_accepted_and_some_are_not(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    """Without this the property above could hold because nothing ever happens."""
    accepted, steps = 0, 0
    for seed in range(6):
        with searching(counting_engine(), settings(), seed=seed) as search:
            result = found_by(search, pair)
        accepted += result.values["accepted_edits"]
        steps += result.values["steps"]
    assert 0 < accepted < steps


def test_the_original_stays_if_nothing_improves(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    with searching(counting_engine(), settings(min_gain=100.0)) as search:
        result = found_by(search, pair)
    assert result.values["steps"] == 4
    assert result.values["accepted_edits"] == 0
    assert result.thinking == result.values["initial_thinking"]
    assert result.values["score_after"] == result.values["score_before"]
    assert result.values["perplexity_after"] == result.values["perplexity_before"]


def test_all_segments(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    engine = counting_engine(paragraphs=3)
    with searching(engine, settings()) as search:
        result = found_by(search, pair)
    assert (result.values["stop_reason"], result.values["steps"]) == ("all_segments", 3)
    assert [t["segment_index"] for t in result.trace] == [0, 0, 1, 1, 2, 2]
    assert [t["candidate_index"] for t in result.trace] == [0, 1] * 3


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_max_steps(searching: Any, counting_engine: Any, pair: Pair, settings: Make, limit: int) -> None:
    engine = counting_engine()
    with searching(engine, settings(max_steps=limit)) as search:
        result = found_by(search, pair)
    assert (result.values["stop_reason"], result.values["steps"]) == ("max_steps", limit)
    assert len(engine.sampled) == 1 + limit


def test_stop_score(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    with searching(counting_engine(), settings(), seed=1) as search:
        free = found_by(search, pair)
    path = [t["score_current"] for t in free.trace if t["candidate_index"] == 0]
    first_gain = next(i for i, score in enumerate(path) if score < path[0])
    with searching(counting_engine(), settings(stop_score=path[first_gain]), seed=1) as search:
        stopped = found_by(search, pair)
    assert (stopped.values["stop_reason"], stopped.values["steps"]) == ("target_score", first_gain)
    assert stopped.values["score_after"] == path[first_gain]
    with searching(counting_engine(), settings(stop_score=path[0]), seed=1) as search:
        assert found_by(search, pair).values["steps"] == 0


def test_a_step_sees_the_edits_before_it(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    engine = counting_engine()
    with searching(engine, settings(), seed=1) as search:
        result = found_by(search, pair)
    assert result.values["accepted_edits"] > 0
    for index in range(result.values["steps"]):
        prompt = engine.sampled[1 + index][0]
        finals = [segment["final"] for segment in result.segments[:index]]
        originals = [segment["initial"] for segment in result.segments[index + 1 :]]
        block = f"<replace>\n{result.segments[index]['initial']}\n</replace>"
        assert "".join(f"{text}\n\n" for text in finals) + block in prompt
        assert block + "".join(f"\n\n{text}" for text in originals) in prompt


def test_a_begun_refinement_keeps_its_segment(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    prompts = load_prompts("compact")["en"]
    with searching(counting_engine(paragraphs=3), settings(prompts="compact")) as search:
        result = found_by(search, pair)
    seen = set()
    for tried in result.trace:
        phrases = prompts.closers if tried["segment_index"] == 2 else prompts.triggers
        begun = [f"{tried['segment']} {phrase} " for phrase in phrases]
        assert any(tried["candidate"].startswith(text) for text in begun)
        assert "\n" not in tried["candidate"]
        seen.add(tried["candidate"])
    assert len(seen) == len(result.trace)


def test_refusals_are_counted_and_not_scored(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    engine = counting_engine(paragraphs=2)
    with searching(engine, settings(max_segment_tokens=12)) as search:  # too short for </analyze>
        result = found_by(search, pair)
    assert result.refusals == {"no_refine_tag": 4}
    assert [t["refusal"] for t in result.trace] == ["no_refine_tag"] * 4
    assert all(t["score"] is None and t["perplexity"] is None and not t["accepted"] for t in result.trace)
    assert engine.scored == 2  # without thinking, and the first thinking


def test_equal_candidates_count_once(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    engine = counting_engine(paragraphs=2)
    sample = engine.sample

    async def twins(prompt: str, **options: Any) -> Any:
        completions = await sample(prompt, **options)
        return [completions[0]] * len(completions)

    engine.sample = twins
    with searching(engine, settings(candidates=3)) as search:
        result = found_by(search, pair)
    assert [t["refusal"] for t in result.trace] == [None, "repeats_segment", "repeats_segment"] * 2


@pytest.mark.parametrize(
    ("engine", "changes", "reason", "detail"),
    [
        ({"paragraphs": 1}, {}, "initial_one_segment", "tokens in one segment"),
        ({}, {"min_segment_chars": 100_000}, "initial_one_segment", "tokens in one segment"),
        ({}, {"min_thinking_tokens": 4000}, "initial_short_thinking", "tokens, 4000 are needed"),
        ({}, {"max_thinking_tokens": 30}, "initial_unclosed", "2 first thinkings refused"),
        ({"words": "la"}, {}, "initial_degenerate", "2 first thinkings refused"),
        ({"words": "bottle waits on"}, {"max_copy_run": 1}, "initial_copies_answer", "2 first thinkings refused"),
    ],
)
def test_skips(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path,
    engine: dict[str, Any], changes: dict[str, Any], reason: str, detail: str,
) -> None:  # fmt: skip
    writer = counting_engine(**engine)
    path = tmp_path / "j.jsonl"
    with searching(writer, settings(**changes), journal=path) as search:
        result = found_by(search, pair)
    assert isinstance(result, Skipped)
    assert result.reason == reason
    assert detail in result.detail
    assert result.refusals == {reason: 2}
    assert len(writer.sampled) == 2
    with searching(writer, settings(**changes), journal=path) as search:  # from the journal, without the engine
        again = found_by(search, pair)
    assert again == result
    assert len(writer.sampled) == 2


def test_the_detail_belongs_to_the_last_attempt(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    engine = counting_engine(paragraphs=1)
    sample = engine.sample

    async def worse_and_worse(prompt: str, **options: Any) -> Any:
        completions = await sample(prompt, **options)
        engine.words = "la"
        return completions

    engine.sample = worse_and_worse
    with searching(engine, settings()) as search:
        result = found_by(search, pair)
    assert result.refusals == {"initial_one_segment": 1, "initial_degenerate": 1}
    assert (result.reason, result.detail) == ("initial_degenerate", "2 first thinkings refused")


def test_a_second_attempt_can_succeed(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    engine = counting_engine(words="la")
    sample = engine.sample

    async def better(prompt: str, **options: Any) -> Any:
        completions = await sample(prompt, **options)
        engine.words = None
        return completions

    engine.sample = better
    with searching(engine, settings()) as search:
        result = found_by(search, pair)
    assert isinstance(result, Found)
    assert result.refusals["initial_degenerate"] == 1
    [one, two] = engine.sampled[:2]
    assert one[1] != two[1]  # another seed


def test_context_overflow_is_a_skip(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path
) -> None:
    engine = counting_engine(context_tokens=300)
    path = tmp_path / "j.jsonl"
    with searching(engine, settings(), journal=path) as search:
        result = found_by(search, pair)
    assert isinstance(result, Skipped)
    assert result.reason == "context_overflow"
    assert "300 of counts" in result.detail
    assert engine.sampled == []
    with searching(counting_engine(), settings(), journal=path) as search:
        again = found_by(search, pair)
    assert (again.reason, again.detail) == (result.reason, result.detail)


def test_a_step_that_does_not_fit_writes_nothing(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    probe = counting_engine()
    with searching(probe, settings(prompts="compact")) as search:
        found_by(search, pair)
    lengths = [probe.count_tokens(prompt) for prompt, _, _ in probe.sampled]
    assert lengths[1] > lengths[0]  # of the compact prompts; in the default set the first one is the longest
    writer = counting_engine(context_tokens=lengths[1] + 10)  # room for the first thinking, not for a segment
    with searching(writer, settings(prompts="compact", min_thinking_tokens=5), scorer=probe) as search:
        result = found_by(search, pair)
    assert isinstance(result, Found)
    assert result.refusals == {"context_overflow": 8}
    assert (result.values["steps"], result.values["accepted_edits"]) == (4, 0)
    assert len(writer.sampled) == 1


def test_a_text_gets_the_room_that_is_left(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    probe = counting_engine()
    with searching(probe, settings()) as search:
        found_by(search, pair)
    prompt = probe.count_tokens(probe.sampled[0][0])
    writer = counting_engine(context_tokens=prompt + 30)
    limits: list[int] = []
    sample = writer.sample

    async def noting(text: str, **options: Any) -> Any:
        limits.append(options["max_tokens"])
        return await sample(text, **options)

    writer.sample = noting
    with searching(writer, settings(max_thinking_tokens=4000), scorer=probe) as search:
        result = found_by(search, pair)
    openers = [writer.count_tokens(text) for text, _, _ in writer.sampled]
    assert limits == [prompt + 30 - opener for opener in openers]  # the openers differ in length
    assert len(limits) == 2
    assert result.reason == "initial_unclosed"
    with searching(writer, settings(max_thinking_tokens=4000, min_thinking_tokens=60), scorer=probe) as search:
        result = found_by(search, pair)
    assert result.reason == "initial_context_overflow"
    assert "60 are needed" in result.detail
    assert len(limits) == 2


def test_a_first_thinking_that_the_scorer_cannot_take(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make
) -> None:
    writer, section = counting_engine(), settings()
    least = SolutionScorer(
        writer, load_prompts(section.prompts)["en"], *pair, clip_logprob=-2.0, score_first_segment=False
    ).least_tokens
    with searching(writer, section, scorer=counting_engine(context_tokens=least + 20)) as search:
        result = found_by(search, pair)
    assert result.reason == "initial_context_overflow"
    assert result.refusals == {"initial_context_overflow": 2}
    assert f"{least + 20} of counts" in result.detail


def test_a_request_that_fails_costs_its_row_and_no_other(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path
) -> None:
    engine, path = counting_engine(), tmp_path / "j.jsonl"
    score, broken = engine.score, [True]

    async def once(prefix: str, middles: Any, target: str, **options: Any) -> Any:
        if broken and len(middles) == 2 and len(engine.sampled) == 3:  # the second step of the first row
            broken.clear()
            raise RequestError("no memory for this one")
        return await score(prefix, middles, target, **options)

    engine.score = once
    with searching(engine, settings(), journal=path) as search:
        results = [asyncio.run(search.search(name, *pair, "en")) for name in ("dw-1", "dw-2")]
    assert results[0] == Skipped("request_failed", "no memory for this one")
    assert isinstance(results[1], Found)
    with searching(counting_engine(), settings(), journal=path) as search:
        assert [asyncio.run(search.search(name, *pair, "en")) for name in ("dw-1", "dw-2")] == results


def test_an_engine_that_stops_ends_the_search_and_leaves_the_row_open(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path
) -> None:
    engine, path = counting_engine(), tmp_path / "j.jsonl"
    sample = engine.sample

    async def dies(prompt: str, **options: Any) -> Any:
        if len(engine.sampled) == 2:
            raise EngineError("the engine stopped")
        return await sample(prompt, **options)

    engine.sample = dies
    with searching(engine, settings(), journal=path) as search, pytest.raises(EngineError, match="stopped"):
        found_by(search, pair)
    with Journal(path, "settings") as journal:
        known = journal.row("dw-1-0")
        assert (len(known.steps), known.end) == (1, None)


def test_generators_take_turns(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path
) -> None:
    first, second = counting_engine(), counting_engine(name="other", words="lamp letter ship stairs keeper wet rocks")
    path = tmp_path / "j.jsonl"
    with searching([first, second], settings(candidates=3), journal=path) as search:
        result = found_by(search, pair)
        turned = found_by(search, pair, rollout=1)
    assert isinstance(result, Found)
    assert [t["generator"] for t in result.trace[:3]] == ["counts", "counts", "other"]
    assert [t["candidate_index"] for t in result.trace[:3]] == [0, 1, 2]
    assert [n for _, _, n in first.sampled[:3]] == [1, 2, 2]
    assert (result.values["generator"], result.values["generator_revision"]) == ("counts, other", "1, 1")
    assert "lamp" in turned.values["initial_thinking"].lower()  # the second generator's turn
    with searching([first, second], settings(candidates=3), journal=path) as search:
        assert found_by(search, pair) == result


def test_a_second_pass(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    with searching(counting_engine(paragraphs=3), settings(passes=2)) as search:
        twice = found_by(search, pair)
    with searching(counting_engine(paragraphs=3), settings()) as search:
        once = found_by(search, pair)
    assert [t["segment_index"] for t in twice.trace[::2]] == [0, 1, 2, 0, 1, 2]
    assert twice.trace[:6] == once.trace
    assert twice.values["stop_reason"] == "all_segments"
    assert twice.values["score_after"] <= once.values["score_after"]
    assert len({t["candidate"] for t in twice.trace}) == len(twice.trace)  # other seeds than in the first pass


def test_length_has_its_price(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    with searching(counting_engine(), settings(), seed=3) as search:
        free = found_by(search, pair)
    with searching(counting_engine(), settings(length_penalty=1000.0), seed=3) as search:
        dear = found_by(search, pair)
    assert free.values["accepted_edits"] > 0
    assert any(len(t["candidate"]) > len(t["segment"]) for t in free.trace if t["accepted"])
    engine = counting_engine()
    for t in dear.trace:
        if t["accepted"]:
            assert engine.count_tokens(t["candidate"]) <= engine.count_tokens(t["segment"])
            assert t["score"] < t["score_current"]


@pytest.mark.parametrize("seed", range(4))
def test_pruning_changes_no_choice(searching: Any, counting_engine: Any, pair: Pair, settings: Make, seed: int) -> None:
    with searching(counting_engine(), settings(), seed=seed) as search:
        whole = found_by(search, pair)
    with searching(counting_engine(), settings(prune=True), seed=seed) as search:
        pruned = found_by(search, pair)
    assert (pruned.thinking, pruned.values) == (whole.thinking, whole.values)
    for full, short in zip(whole.trace, pruned.trace, strict=True):
        if short["refusal"] == "abandoned":
            assert full["score"] >= full["score_current"] - 0.05 - NOISE
        else:
            assert short == full


def test_a_resumed_search_prunes_like_an_undisturbed_one(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path
) -> None:
    path, section = tmp_path / "whole.jsonl", settings(prune=True, min_gain=0.05)
    with searching(counting_engine(), section, seed=2, journal=path) as search:
        whole = found_by(search, pair)
    assert whole.refusals["abandoned"] > 0
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        cut = tmp_path / f"cut-{kept}.jsonl"
        cut.write_bytes(b"".join(lines[:kept]))
        with searching(counting_engine(), section, seed=2, journal=cut) as search:
            assert found_by(search, pair) == whole
        assert cut.read_bytes() == path.read_bytes()


def test_resume_after_every_event(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path
) -> None:
    """Cut the journal behind every event, and within the next: the rest is searched, and nothing else."""
    engine, path = counting_engine(paragraphs=5), tmp_path / "whole.jsonl"
    with searching(engine, settings(), journal=path) as search:
        whole = found_by(search, pair)
    assert whole.values["accepted_edits"] > 0
    lines = path.read_bytes().splitlines(keepends=True)
    assert [orjson.loads(line)["event"] for line in lines] == ["header", "start", *["step"] * 5, "end"]
    calls = engine.sampled
    assert len(calls) == 6
    for kept in range(len(lines) + 1):
        torn = lines[kept][: len(lines[kept]) // 2] if kept < len(lines) else b""
        cut = tmp_path / f"cut-{kept}.jsonl"
        cut.write_bytes(b"".join(lines[:kept]) + torn)
        resumed = counting_engine(paragraphs=5)
        with searching(resumed, settings(), journal=cut) as search:
            result = found_by(search, pair)
        assert result == whole
        finished = max(kept - 1, 0)  # the header stands for no call
        assert resumed.sampled == calls[finished:]
        assert cut.read_bytes() == path.read_bytes()


def test_a_finished_row_costs_nothing(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path
) -> None:
    path = tmp_path / "j.jsonl"
    with searching(counting_engine(), settings(), journal=path) as search:
        whole = found_by(search, pair)
        assert found_by(search, pair) == whole  # asked again within one run
    fresh = counting_engine()
    with searching(fresh, settings(), journal=path) as search:
        assert found_by(search, pair) == whole
    assert (fresh.sampled, fresh.scored) == ([], 0)


def test_rollouts_differ_and_return(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    with searching(counting_engine(), settings()) as search:
        rollouts = [found_by(search, pair, rollout) for rollout in range(4)]
    assert len({result.values["initial_thinking"] for result in rollouts}) == 4
    assert len({result.thinking for result in rollouts}) == 4
    with searching(counting_engine(), settings()) as search:
        assert found_by(search, pair, 2) == rollouts[2]
    with searching(counting_engine(), settings(), seed=8) as search:
        assert found_by(search, pair, 2).thinking != rollouts[2].thinking


def test_searches_at_the_same_time_do_not_touch_each_other(
    searching: Any, counting_engine: Any, pair: Pair, settings: Make, tmp_path: Path
) -> None:
    engine = counting_engine()
    ids = [f"dw-{number}" for number in range(5)]

    async def together(search: LocalSearch) -> list[Any]:
        return await asyncio.gather(*(search.search(name, *pair, "en") for name in ids))

    with searching(engine, settings(), journal=tmp_path / "together.jsonl") as search:
        results = asyncio.run(together(search))
    for name, result in zip(ids, results, strict=True):
        with searching(counting_engine(), settings()) as search:
            assert asyncio.run(search.search(name, *pair, "en")) == result
    with Journal(tmp_path / "together.jsonl", "settings") as journal:
        assert {row for row in journal.rows if journal.row(row).end} == {f"{name}-0" for name in ids}


def test_chinese_uses_chinese_prompts(searching: Any, counting_engine: Any, settings: Make) -> None:
    engine = counting_engine()
    query, answer = "写一段灯塔守夜人的故事。", "天还没亮。\n\n守夜人在礁石上捡到一封信，信上有海水的味道。"
    with searching(engine, settings(min_segment_chars=40)) as search:
        result = found_by(search, (query, answer), language="zh")
    assert isinstance(result, Found)
    assert any(result.values["initial_thinking"].startswith(opener) for opener in load_prompts()["zh"].openers)
    assert all("你即将为它写出的成品" in prompt or "把这一段改得更好" in prompt for prompt, _, _ in engine.sampled)
    assert result.values["scored_tokens"] == engine.count_tokens(answer.split("\n\n")[1])


def test_what_a_row_records(searching: Any, counting_engine: Any, pair: Pair, settings: Make) -> None:
    engine = counting_engine()
    with searching(engine, settings()) as search:
        result = found_by(search, pair)
    values = result.values
    assert (values["generator"], values["scorer"], values["scorer_revision"]) == ("counts", "counts", "1")
    assert values["thinking_tokens_before"] == engine.count_tokens(values["initial_thinking"])
    assert values["thinking_tokens_after"] == engine.count_tokens(result.thinking)
    assert values["answer_tokens"] == engine.count_tokens(pair[1]) > values["scored_tokens"]
    assert values["first_segment_scored"] is False
