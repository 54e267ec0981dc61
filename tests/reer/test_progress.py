from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.engines.base import Usage
from deepwriting.reer import progress as module
from deepwriting.reer.counts import MOST_NATS, SearchCounts
from deepwriting.reer.journal import Journal
from deepwriting.reer.meters import Window
from deepwriting.reer.progress import SearchProgress

MAX_STEPS = 3


@pytest.fixture(scope="module")
def events(
    tmp_path_factory: pytest.TempPathFactory, counting_engine: Any, settings: Any, pair: tuple[str, str]
) -> list[dict[str, Any]]:
    """The journal of real searches, as its events: some skipped, one still in flight."""
    from deepwriting.reer.prompts import load_prompts
    from deepwriting.reer.search import LocalSearch

    found: list[dict[str, Any]] = []
    engine, section = counting_engine(), settings(max_steps=MAX_STEPS)
    curt = counting_engine(paragraphs=1)  # a thinking of one segment is not searched
    with Journal(tmp_path_factory.mktemp("journal") / "j.jsonl", "x", written=found.append) as journal:
        for number in range(6):
            search = LocalSearch(
                [curt if number == 2 else engine], engine, load_prompts(), section, seed=number, journal=journal
            )
            asyncio.run(search.search(f"pair-{number}", *pair, "en"))
    assert found.pop()["event"] == "end"
    return found


def counted(events: list[dict[str, Any]]) -> SearchCounts:
    counts = SearchCounts(max_steps=MAX_STEPS)
    for event in events:
        counts.count(event)
    return counts


def test_counts_are_those_of_the_journal(events: list[dict[str, Any]]) -> None:
    figures = counted(events).figures()
    steps = [event for event in events if event["event"] == "step"]
    starts = {event["row"]: event for event in events if event["event"] == "start"}
    assert figures["steps"] == {
        "done": len(steps),
        "accepted": sum(step["accepted"] is not None for step in steps),
        "candidates": sum(len(step["candidates"]) for step in steps),
    }
    assert figures["steps"]["accepted"] > 0
    assert figures["rows"]["finished"] == 4
    assert figures["rows"]["skipped"] == {"initial_one_segment": 1}
    assert figures["refused"]["initial_one_segment"] == 2  # both attempts
    assert figures["rows"]["in_flight"] == 1
    now = {row: (start["before"]["value"], start["before"]["perplexity"]) for row, start in starts.items()}
    before = dict(now)
    for step in steps:
        if step["accepted"] is not None:
            chosen = step["candidates"][step["accepted"]]
            now[step["row"]] = (chosen["score"], chosen["perplexity"])
    scores = figures["scores"]
    assert scores["rows"] == len(starts) == 5
    for name, values in (("before", before), ("now", now)):
        assert scores[f"score_{name}"] == pytest.approx(sum(score for score, _ in values.values()) / 5)
        logs = sum(math.log(perplexity) for _, perplexity in values.values()) / 5
        assert scores[f"perplexity_{name}"] == pytest.approx(math.exp(logs))
    assert scores["score_now"] < scores["score_before"]


def test_a_row_in_flight_counts_by_its_share(events: list[dict[str, Any]]) -> None:
    counts = counted(events)
    assert counts.through == pytest.approx(5 + 1.0)  # its last step is done: only the end is missing
    row = next(event for event in events if event["event"] == "start")
    counts = SearchCounts(max_steps=MAX_STEPS)
    counts.begin(row["row"])
    assert (counts.through, len(counts.open_rows)) == (0, 1)
    counts.count(row)
    assert counts.through == pytest.approx(1 / (1 + MAX_STEPS))
    two = SearchCounts(max_steps=100, passes=2)
    two.count(row)
    assert two.through == pytest.approx(1 / (1 + 2 * len(row["segments"])))


def test_only_open_rows_are_held(events: list[dict[str, Any]]) -> None:
    assert len(counted(events).open_rows) == 1
    last = events[-1]["row"]
    assert not counted([*events, {"event": "end", "row": last, "stop_reason": "max_steps"}]).open_rows


def test_a_row_that_fails_on_its_way_takes_its_scores_along(events: list[dict[str, Any]]) -> None:
    last = events[-1]["row"]
    end = {"event": "end", "row": last, "skipped": "context_overflow", "detail": "", "refusals": {}}
    scores = counted([*events, end]).figures()["scores"]
    without = counted([event for event in events if event["row"] != last]).figures()["scores"]
    assert scores["rows"] == without["rows"] == 4
    assert scores["score_now"] == pytest.approx(without["score_now"])


def test_an_infinite_perplexity_leaves_a_mean(events: list[dict[str, Any]]) -> None:
    start = next(event for event in events if event["event"] == "start")
    lost = start | {"row": "other", "before": start["before"] | {"perplexity": None}}
    scores = counted([start, lost]).figures()["scores"]
    expected = (math.log(start["before"]["perplexity"]) + MOST_NATS) / 2
    assert scores["perplexity_before"] == pytest.approx(math.exp(expected))
    assert math.isfinite(counted([lost]).figures()["scores"]["perplexity_now"])


class Gauge:
    """An engine of which only the meter is looked at."""

    def __init__(self, engine: Any):
        self.info = engine.info
        self.usage = Usage()

    def uses(self, **tokens: int) -> None:
        self.usage = Usage(**{name: getattr(self.usage, name) + more for name, more in tokens.items()})


@pytest.fixture
def opened(tmp_path: Path, counting_engine: Any) -> Callable[..., SearchProgress]:
    """A progress at one and the same file, each a new life."""

    def open_(engines: dict[str, Any] | None = None, rows: int | None = 6) -> SearchProgress:
        path = tmp_path / "status" / "00000.json"
        return SearchProgress(path, rows=rows, max_steps=MAX_STEPS, engines=engines or {"scorer": counting_engine()})

    return open_


@given(cut=st.integers(min_value=0))
def test_a_second_life_counts_like_an_unbroken_one(
    events: list[dict[str, Any]], counting_engine: Any, tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    cut %= len(events) + 1
    progress = SearchProgress(Path("nowhere"), rows=6, max_steps=MAX_STEPS, engines={"scorer": counting_engine()})
    for event in events[:cut]:
        progress.replayed(event)
    for event in events[cut:]:
        progress.begun(event["row"])
        progress.recorded(event)
    figures, whole = progress.figures(), counted(events).figures()
    assert figures["rows"] == {"total": 6, **whole["rows"]}
    assert {key: figures[key] for key in ("steps", "refused")} == {key: whole[key] for key in ("steps", "refused")}
    assert figures["scores"] == pytest.approx(whole["scores"])


def test_the_file_is_written_and_says_when_it_ends(
    opened: Any, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.01)
    progress = opened()
    progress.start()
    assert json.loads(progress.path.read_text())["state"] == "running"
    for event in events:
        progress.recorded(event)
    progress.left_out("control_token", 2)
    while not (seen := json.loads(progress.path.read_text()))["rows"]["left_out"]:  # by its own thread
        time.sleep(0.005)
    assert seen["rows"]["through"] == pytest.approx(8.0)
    progress.stop()
    last = json.loads(progress.path.read_text())
    assert last["state"] == "stopped"
    assert last["rows"]["total"] == 6
    assert [file.name for file in progress.path.parent.iterdir()] == ["00000.json"]


def test_rates_leave_out_what_earlier_lives_did(opened: Any, events: list[dict[str, Any]]) -> None:
    progress = opened()
    for event in events:
        progress.replayed(event)
    progress.start()
    progress.stop()
    rates = json.loads(progress.path.read_text())["rates"]
    assert rates["rows_per_second"] in (None, 0)


def test_tokens_add_up_over_lives_and_begin_with_the_search(opened: Any, counting_engine: Any) -> None:
    writer, scorer = Gauge(counting_engine()), Gauge(counting_engine())
    engines = {"generator": writer, "generator 2": writer, "scorer": scorer}
    scorer.uses(scored_tokens=1000)  # the stage before
    for _ in range(2):
        progress = opened(engines)
        scorer.uses(scored_tokens=1000)  # while the journal is read
        progress.start()
        writer.uses(prompt_tokens=10, sampled_tokens=3)
        scorer.uses(scored_tokens=20, reused_tokens=4)
        progress.stop()
        scorer.uses(scored_tokens=1000)  # another task of the same process
    figures = json.loads(progress.path.read_text())
    nothing = {"prompt_tokens": 0, "sampled_tokens": 0, "scored_tokens": 0, "reused_tokens": 0}
    assert figures["engines"] == [
        {"roles": ["generator", "generator 2"], "model": "counts", **nothing, "prompt_tokens": 20, "sampled_tokens": 6},
        {"roles": ["scorer"], "model": "counts", **nothing, "scored_tokens": 40, "reused_tokens": 8},
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"engines": [{}]}', '{"engines": []}'])
def test_a_damaged_file_costs_the_earlier_tokens_and_is_named(
    opened: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = opened().path
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with caplog.at_level(logging.WARNING):
        progress = opened()
    assert "00000.json is damaged" in caplog.text
    assert progress.figures()["engines"][0]["scored_tokens"] == 0


def test_a_disk_that_fails_stops_nobody(
    opened: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    progress = opened()
    progress.start()

    def full(path: Path, data: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_json", full)
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.001)
    with caplog.at_level(logging.WARNING):
        progress.stop()
        progress._write_if_possible()
    assert caplog.text.count("No space left on device") == 1


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1000)), min_size=2, max_size=60))
def test_a_steady_rate_is_found_and_old_samples_are_forgotten(stretches: list[tuple[float, float]]) -> None:
    window, now = Window(10.0), 0.0
    window.add(now, 0.0)
    for seconds, _ in stretches:
        now += seconds
        window.add(now, 7 * now)
        assert window.rate == pytest.approx(7)
    changing, now, value = Window(10.0, every=2.0), 0.0, 0.0
    changing.add(now, value)
    for seconds, more in stretches:
        now, value = now + seconds, value + more
        changing.add(now, value)
    assert len(changing._samples) <= 10 / 2 + 2


def test_a_window_looks_no_further_back_than_it_is_long() -> None:
    window = Window(60.0)
    for second in range(1000):
        window.add(second, 100 * second if second < 500 else 50_000 + second)
    assert window.rate == pytest.approx(1.0)
    assert window.seconds == 60
    assert Window(60.0).rate is None
