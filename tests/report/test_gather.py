"""The report's numbers against those that the stages counted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.errors import DamagedStageError, RunError
from deepwriting.pipeline import run_recipe
from deepwriting.report import tally
from deepwriting.report.gather import gather
from deepwriting.report.model import Flow
from deepwriting.rundir import RunFolder
from tests.report.conftest import document


def damage(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def test_numbers_are_those_of_the_stages(whole_run: RunFolder) -> None:
    report = gather(whole_run)
    for stage in report.stages:
        record = whole_run.stage(stage.name).record()
        assert record is not None
        counts = record.counts
        assert (stage.rows_in, stage.rows_out, stage.extra, stage.rejected) == (
            counts.rows_in, counts.rows_out, counts.extra, counts.rejected,
        )  # fmt: skip
        assert stage.reasons == counts.reasons
        assert sum(flow.rows_in or 0 for flow in stage.sources.values()) == counts.rows_in
        assert sum(flow.rows_out or 0 for flow in stage.sources.values()) == counts.rows_out
        assert sum(flow.rejected for flow in stage.sources.values()) == counts.rejected
        assert {r.reason: r.rows for r in report.reasons if r.stage == stage.name} == counts.reasons
    assert [stage.rows_out for stage in report.stages] == [7, 5, 4, 4, 4, 4]
    assert report.stage("source").rows_per_second == 5.0
    assert report.notes == []


def test_flow_by_source(whole_run: RunFolder) -> None:
    report = gather(whole_run)
    assert report.stage("source").sources == {"chats": Flow(4, 2, 2), "pairs": Flow(6, 5, 1)}
    assert report.stage("dedupe").sources["pairs"] == Flow(5, 3, 2)
    assert report.stage("select").sources["pairs"] == Flow(3, 2, 1)
    # Row a was searched twice, and d is of the chats.
    assert report.stage("search").sources == {"chats": Flow(2, 0, 1), "pairs": Flow(2, 4, 0)}
    chats, pairs = report.sources
    assert (chats.name, chats.kind, chats.license) == ("chats", "wildchat", "ODC-BY-1.0")
    assert (chats.candidates, chats.pairs, chats.left, chats.languages) == (4, 2, 2, {"en": 2})
    assert (pairs.candidates, pairs.pairs, pairs.left, pairs.languages) == (6, 5, 2, {"en": 1, "zh": 1})


def test_lengths_before_and_after(whole_run: RunFolder) -> None:
    answers = {length.source: length for length in gather(whole_run).lengths if length.text == "answer"}
    assert list(answers) == ["", "chats", "pairs"]
    every, pairs = answers[""], answers["pairs"]
    assert every.before is not None
    assert every.after is not None
    assert pairs.before is not None
    assert (every.before.rows, every.before.most) == (7, 1000)
    assert (every.after.rows, every.after.median, every.after.most) == (4, 250, 400)
    assert (pairs.before.rows, pairs.before.median) == (5, 300)
    assert sum(rows for _, _, rows in every.before.bins) == 7


def test_categories_measures_and_personal_details(whole_run: RunFolder) -> None:
    report = gather(whole_run)
    essays, poems = report.categories
    assert (essays.name, essays.rows, essays.sources) == ("Essay Writing", 4, {"chats": 2, "pairs": 2})
    assert (essays.probability, essays.asked, essays.available) == (0.5, 6, 5)
    assert essays.why == "source_limits reached: pairs"
    assert (poems.name, poems.rows, poems.asked, poems.available) == ("Poetry & Lyrics", 0, 2, 0)
    found = {(measure.name, measure.source): measure.after for measure in report.measures}
    score = found["provenance.score", ""]
    assert score is not None
    assert (score.rows, score.median) == (2, 5)
    assert ("provenance.score", "pairs") not in found
    [masked] = report.masked
    assert (masked.source, masked.kinds, masked.rows) == ("chats", {"email": 2}, 1)
    assert not any(measure.name == "pii_masked" for measure in report.measures)


def test_effect_of_the_search(whole_run: RunFolder) -> None:
    search = gather(whole_run).search
    assert search is not None
    assert (search.rows, search.stage, search.lower_score, search.kept) == (4, "build", 3, 3)
    assert (search.accepted_edits, search.steps, search.edited) == (6, 16, 3)
    assert search.measures["score_after"].mean == pytest.approx(2.35)
    assert (search.flags, search.drop_reasons, search.refusals) == (
        {"repetition": 1}, {"repetition": 1}, {"copies_answer": 4},
    )  # fmt: skip
    assert search.published == {"pairs": 3}


def test_details_and_samples(whole_run: RunFolder) -> None:
    reasons = {reason.reason: reason for reason in gather(whole_run).reasons}
    broken = reasons["malformed_json"]
    assert broken.sources == {"chats": 2}
    assert [(detail.text, detail.rows) for detail in broken.details] == [("column # of line #", 2)]
    assert {sample.text for sample in broken.samples} == {"{broken", "{worse"}
    assert reasons["duplicate_pair"].details[0].text == "duplicate of pairs/…"


def test_result_does_not_depend_on_tasks_and_processes(
    tmp_path: Path, write_stage: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        document(f"n{i}", "pairs", "x" * (60 + i * 7 % 500), reject="short_answer" if i % 3 else None)
        for i in range(60)
    ]
    for row in rows:
        if row.metadata["reject"] is None:
            del row.metadata["reject"]
    one, many = RunFolder(tmp_path / "a/same"), RunFolder(tmp_path / "b/same")
    write_stage(one, "source", [rows])
    write_stage(many, "source", [rows[3::4], rows[::4], rows[2::4], rows[1::4]])
    first, second = gather(one).as_dict(), gather(many, workers=2).as_dict()
    assert first | {"run": ""} == second | {"run": ""}
    [reason] = first["reasons"]
    assert len(reason["samples"]) == tally.SAMPLES


def test_details_that_differ_from_row_to_row_are_left_out(run: RunFolder, write_stage: Callable[..., None]) -> None:
    words = ["".join(chr(97 + (i // 26**k) % 26) for k in range(3)) for i in range(tally.MAX_DETAILS + 1)]
    rows = [document(word, reject="refusal", reject_detail=f"says {word}") for word in words]
    write_stage(run, "source", [rows[:150], [*rows[150:], document("kept")]])
    [reason] = gather(run).reasons
    assert (reason.rows, reason.details) == (len(words), [])


def test_a_run_that_has_not_begun(run: RunFolder) -> None:
    report = gather(run)
    assert {stage.state for stage in report.stages} == {"waiting"}
    assert (report.name, report.sources, report.reasons, report.search) == ("tried", [], [], None)
    assert report.notes == [
        "Not begun yet: source, dedupe, select, search, annotate, build.",
        "No stage has finished, so there are no sources, lengths and categories to show.",
    ]


def test_an_unfinished_stage_shows_its_finished_tasks(run: RunFolder, write_stage: Callable[..., None]) -> None:
    rows = [document(f"n{i}") for i in range(6)]
    write_stage(run, "source", [rows])
    bad = document("twice", reject="duplicate_pair")
    write_stage(run, "dedupe", [[*rows[:2], bad]], state="running", rows_in=0)
    # The second task is at work: its file has no end yet, and it has counted nothing.
    (run.stage("dedupe").rejects / "00001.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00")
    report = gather(run)
    dedupe = report.stage("dedupe")
    assert (dedupe.state, dedupe.rows_in, dedupe.rows_out, dedupe.rejected) == ("interrupted", 6, 2, 1)
    assert dedupe.sources == {"pairs": Flow(None, None, 1)}
    assert (report.last, report.sources[1].name, report.sources[1].left) == ("source", "pairs", 6)
    assert [reason.reason for reason in report.reasons] == ["duplicate_pair"]
    assert "Stage dedupe was interrupted or failed, and nobody works on it" in report.notes[0]
    with run.locked():
        assert gather(run).stage("dedupe").state == "running"


def test_a_stage_that_left_no_row(run: RunFolder, write_stage: Callable[..., None]) -> None:
    write_stage(run, "source", [[document("a")]])
    write_stage(run, "dedupe", [[document("a", reject="contaminated")]], state="running")
    assert "Stage dedupe has no row left; its reasons are below." in gather(run).notes


def test_results_behind_an_unfinished_stage_do_not_count(whole_run: RunFolder) -> None:
    record = whole_run.stage("source").record()
    assert record is not None
    record.state = "running"
    whole_run.stage("source").save(record)
    report = gather(whole_run)
    assert [stage.state for stage in report.stages] == ["interrupted", *["waiting"] * 5]
    assert report.last == ""


def test_a_truncated_file_is_named(whole_run: RunFolder) -> None:
    file = whole_run.stage("dedupe").rejects / "00000.jsonl.gz"
    damage(file, file.read_bytes()[:-12])
    with pytest.raises(DamagedStageError, match=r"dedupe/rejects/00000.jsonl.gz is damaged after line"):
        gather(whole_run)


def test_a_missing_file_is_named(whole_run: RunFolder) -> None:
    (whole_run.stage("select").shards / "00001.jsonl.gz").unlink()
    with pytest.raises(DamagedStageError, match=r"select/shards/00001.jsonl.gz is missing; .* counted 3 rows"):
        gather(whole_run)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"{\n", mtime=0), r"line 1: not JSON"),
        (gzip.compress(b'{"text": 1}\n', mtime=0), r"line 1: not a row"),
        (gzip.compress(b"[]\n", mtime=0), r"line 1: not a row"),
        (b"no gzip", r"is damaged after line 0"),
        (b"", r"holds 0 rows, but stage 'dedupe' counted 2"),
    ],
)
def test_damage_is_named(whole_run: RunFolder, content: bytes, message: str) -> None:
    damage(whole_run.stage("dedupe").rejects / "00000.jsonl.gz", content)
    with pytest.raises(DamagedStageError, match=message):
        gather(whole_run)


def test_damage_found_by_another_process_is_named(whole_run: RunFolder) -> None:
    damage(whole_run.stage("dedupe").rejects / "00000.jsonl.gz", b"no gzip")
    with pytest.raises(DamagedStageError, match=r"dedupe/rejects/00000.jsonl.gz is damaged"):
        gather(whole_run, workers=2)


def test_counts_that_are_damaged_or_differ_are_named(whole_run: RunFolder) -> None:
    file = whole_run.stage("source").path / "counts/00001.json"
    counts = json.loads(file.read_text())
    file.write_text(json.dumps(counts | {"rows_out": 9}))
    with pytest.raises(DamagedStageError, match=r"sums up to rows_out = 12, but .*source/stage.json says 7"):
        gather(whole_run)
    file.write_text("{")
    with pytest.raises(DamagedStageError, match=r"source/counts/00001.json is damaged"):
        gather(whole_run)
    (whole_run.stage("source").path / "stage.json").write_text("{")
    with pytest.raises(RunError, match=r"source/stage.json is damaged"):
        gather(whole_run)


def test_a_real_run(tmp_path: Path, write_lines: Any, own_pairs: Any, recipe_for: Any) -> None:
    pairs = own_pairs(12)
    file = write_lines(tmp_path / "p.jsonl", *pairs, b"{broken", pairs[3] | {"id": "again"}, {"id": "q", "query": "x"})
    recipe, text = recipe_for(file, execution={"tasks": 2})
    run_recipe(recipe, text, tmp_path / "run", until="dedupe")
    report = gather(RunFolder(tmp_path / "run"))
    assert [stage.rows_out for stage in report.stages[:2]] == [13, 12]
    assert (report.name, report.last) == ("short", "dedupe")
    assert report.sources[0].candidates == 15
    assert {reason.reason for reason in report.reasons} == {"malformed_json", "missing_columns", "duplicate_pair"}
