from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from deepwriting.reer.status import SearchStatus
from deepwriting.rundir import Counts, RunFolder, StageRecord
from deepwriting.watching import RunView, RunWatch, StageView, metrics, write_metrics

#: One series, as the format is specified.
LINE = re.compile(r'([a-z_:]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (-?[0-9.]+(?:e[+-]?\d+)?|[+-]Inf|NaN)')


def view(search: SearchStatus | None = None, run: str = "/runs/mine", **stages: StageView) -> RunView:
    return RunView(run, "running", None, stages, search)


def series(text: str) -> dict[str, str]:
    """Name and labels -> value, of every line that is no comment."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            match = LINE.fullmatch(line)
            assert match, line
            key = line.rpartition(" ")[0]
            assert key not in found, "the collector refuses a series that is there twice"
            found[key] = match[3]
    return found


def test_every_metric_is_described_once_and_before_its_series() -> None:
    search = SearchStatus(finished=3, steps=8, accepted=2, refused={"too_short": 2}, score_before=2.0, score_now=1.5)
    lines = metrics(view(search, source=StageView("source", "waiting"))).splitlines()
    described: dict[str, str] = {}
    for line in lines:
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert (name, word) not in described.items()
            described[name] = word if word == "HELP" else rest
        else:
            assert described[line.partition("{")[0]] in ("gauge", "counter")
    for name, kind in described.items():
        assert name.endswith("_total") == (kind == "counter"), name


def test_a_condition_is_one_of_all() -> None:
    found = series(metrics(view(source=StageView("source", "failed"))))
    run = {key: value for key, value in found.items() if key.startswith("deepwriting_run_condition")}
    assert [key for key, value in run.items() if value == "1"] == [
        'deepwriting_run_condition{run="/runs/mine",condition="running"}'
    ]
    assert len(run) == 8
    assert found['deepwriting_stage_condition{run="/runs/mine",stage="source",condition="failed"}'] == "1"


def test_a_run_has_one_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f'run="{tmp_path}/mine"' in metrics(view(run="mine"))
    assert 'run="s3://bucket/mine"' in metrics(view(run="s3://bucket/mine"))


def test_what_is_not_known_has_no_series() -> None:
    found = metrics(view(SearchStatus(), source=StageView("source", "waiting")))
    for name in ("score", "perplexity", "seconds_left", "rows_expected", "tokens_per_second", "jobs_left"):
        assert name not in found


def test_names_may_hold_anything() -> None:
    found = metrics(view(run='/a\\b\n"mine"'))
    assert 'run="/a\\\\b\\n\\"mine\\""' in found
    assert series(found)


def test_numbers_are_those_of_the_format() -> None:
    found = series(metrics(view(SearchStatus(perplexity_now=math.inf, score_now=1.25, score_before=-0.5))))
    assert found['deepwriting_search_perplexity{run="/runs/mine",when="now"}'] == "+Inf"
    assert found['deepwriting_search_score_nats{run="/runs/mine",when="now"}'] == "1.25"
    assert found['deepwriting_search_score_nats{run="/runs/mine",when="before"}'] == "-0.5"


def test_a_finished_stage_says_what_became_of_its_rows(made: Any) -> None:
    run = made()
    run.stage("select", "finished")
    record = StageRecord("select", "x", {"tasks": 2}, "finished", 2.5, Counts(10, 7, 0, 3, {"empty": 2, "toxic": 1}))
    run.folder.stage("select").save(record)
    look = RunWatch(lambda: RunFolder.existing(run.folder.path), "/mine").look()
    found = series(metrics(look))
    label = 'run="/mine",stage="select"'
    assert found[f'deepwriting_stage_rows{{{label},outcome="out"}}'] == "7"
    assert found[f'deepwriting_stage_rejected_rows{{{label},reason="empty"}}'] == "2"
    assert found[f'deepwriting_stage_tasks{{{label},phase="",state="done"}}'] == "2"
    assert found[f"deepwriting_stage_seconds{{{label}}}"] == "2.5"


def test_a_task_in_trouble_is_named(made: Any, far: Any) -> None:
    run = made()
    run.stage("annotate", tasks=2)
    run.note("annotate", "", 1, age=600, **far)
    found = series(metrics(RunWatch(lambda: RunFolder.existing(run.folder.path), "/mine").look()))
    labels = 'run="/mine",stage="annotate",phase="",task="1",state="stalled",host="far"'
    assert float(found[f"deepwriting_task_silent_seconds{{{labels}}}"]) == pytest.approx(600, abs=5)


def test_prometheus_itself_reads_it(made: Any) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus_client")
    run = made()
    run.stage("search", tasks=2)
    text = metrics(RunWatch(lambda: RunFolder.existing(run.folder.path)).look())
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert families["deepwriting_stage_rows_done"].samples[0].labels["stage"] == "source"
    assert sum(len(family.samples) for family in families.values()) == len(series(text))


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "mine.prom"
    write_metrics(file, view())
    before = file.stat().st_ino
    write_metrics(file, view())
    assert file.stat().st_ino != before
    assert file.read_text() == metrics(view())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.prom"]
    (tmp_path / "other.prom").mkdir()
    with pytest.raises(OSError, match="other"):
        write_metrics(tmp_path / "other.prom", view())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.prom", "other.prom"]
