"""``deepwriting report`` as a user meets it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deepwriting.cli.report_view import ROOM_FOR_BARS, report_view
from deepwriting.report.gather import gather
from deepwriting.report.model import LAYOUT, Report
from deepwriting.report.wording import bar, figure, middle, percent
from deepwriting.rundir import RunFolder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rendered(run: Path, width: int) -> list[str]:
    console = Console(width=width, highlight=False, emoji=False, markup=False, force_terminal=False)
    with console.capture() as captured:
        console.print(report_view(gather(RunFolder(run)), width))
    return captured.get().splitlines()


def test_report_in_the_terminal(here: Path, call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("report", "short") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("short: 5 of 5 candidates selected (100%)")
    for title in ("Funnel", "Sources", "Lengths in characters", "Categories of the selected pairs", "Search"):
        assert title in captured.out
    assert "Not begun yet: annotate, build." in captured.out
    assert captured.err == "as a page, with charts and more samples: deepwriting report short --html report.html\n"
    assert "\x1b" not in captured.out


@pytest.mark.parametrize("width", [60, 80, ROOM_FOR_BARS, 160])
def test_no_line_is_wider_than_the_terminal(here: Path, width: int) -> None:
    lines = rendered(here / "runs/short", width)
    assert max(len(line.rstrip()) for line in lines) <= width
    assert any("█" in line for line in lines) == (width >= ROOM_FOR_BARS)


def test_json_holds_the_whole_report(here: Path, call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("report", "runs/short", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["layout"] == LAYOUT
    assert set(data) == {field.name for field in fields(Report)} | {"layout"}
    assert [stage["name"] for stage in data["stages"]][:2] == ["source", "dedupe"]
    stage = RunFolder(here / "runs/short").stage("search").record()
    assert stage is not None
    assert data["stages"][3]["rows_out"] == stage.counts.rows_out
    assert data["search"]["rows"] == stage.counts.rows_out
    assert data["search"]["kept"] is None


def test_page_in_a_file(here: Path, call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("report", "short", "--html", "r.html") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("r.html: ")
    page = (here / "r.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in here.glob("*.html")) == ["r.html"]
    assert call("report", "short", "--html", "-") == 0
    assert capsys.readouterr().out == page
    assert call("report", "short", "--html", "r.html", "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "short"


def test_wrong_usage(here: Path, call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("report", "short", "--html", "nowhere/r.html") == 2
    assert "there is no folder nowhere" in capsys.readouterr().err
    assert call("report", "short", "--html", "-", "--json") == 2
    assert "would both write to standard output" in capsys.readouterr().err
    assert call("report", "nope") == 1
    assert "no run at 'nope'; runs here: short" in capsys.readouterr().err


def test_damage_is_one_line_that_names_the_file(here: Path, call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = here / "runs/short/select/shards/00000.jsonl.gz"
    file.write_bytes(file.read_bytes()[:-9])
    assert call("report", "short", "--html", "r.html") == 1
    error, repair = capsys.readouterr().err.splitlines()
    assert error.startswith("error: runs/short/select/shards/00000.jsonl.gz is damaged after line ")
    assert repair == "  → have that stage done anew: deepwriting run … --redo STAGE"
    assert not (here / "r.html").exists()


def test_run_that_has_not_begun(tmp_path: Path, call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.yaml").write_text("name: [broken\n")
    assert call("report", ".") == 0
    assert "not begun yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 7, "0%"), (7, 7, "100%"), (1, 2, "50%"), (1, 30, "3.3%"), (1, 9_999, "<0.1%"), (9_999, 10_000, "99.99%"),
     (999_999, 1_000_000, "99.99%"), (995, 1_000, "99.5%"), (1, 0, "")],
)  # fmt: skip
def test_shares_never_round_to_nothing_or_everything(part: int, whole: int, shown: str) -> None:
    assert percent(part, whole) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234.6, "1,235"), (12.34, "12.3"), (3.456, "3.46"), (0.5, "0.50"), (0.0123, "0.012"), (4.0, "4")],
)
def test_figures_have_three_digits_or_so(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_bars() -> None:
    assert bar(1, 2, 4) == "██"
    assert bar(5, 8, 1) == "▋"
    assert bar(1, 1_000_000, 4) == "▏"
    assert bar(0, 5, 4) == bar(1, 0, 4) == ""
    assert middle(None) == ""
