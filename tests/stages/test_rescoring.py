"""An existing release through the real stages: scored again, its thinkings unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deepwriting.pipeline import run_recipe
from deepwriting.recipe import parse_recipe
from deepwriting.rundir import RunFolder
from deepwriting.samples import resolve_samples
from deepwriting.sources.release import split_solution
from deepwriting.stages.rows import stage_documents

pytestmark = pytest.mark.usefixtures("closing_engines")


def test_a_release_is_scored_again_and_keeps_its_thinkings(
    tmp_path: Path, pocket_model: Path, recipe_for: Callable[..., Any]
) -> None:
    sources = [{"kind": "deepwriting_release", "path": "samples://deepwriting_release", "license": "CC0-1.0"}]
    _, text = recipe_for(Path("unused"), pocket_model, search={"max_steps": 0}, sources=sources)
    records = run_recipe(parse_recipe(text), text, tmp_path / "run", until="annotate")
    source = records[0].counts
    assert (source.rows_in, source.rows_out, source.reasons) == (4, 3, {"unclosed_think": 1})
    lines = (Path(resolve_samples("samples://deepwriting_release")) / "train.jsonl").read_text().splitlines()
    known = {
        row["prompt"][0]["content"]: split_solution(row["solution"])[:2]
        for row in map(json.loads, lines)
        if "</think>" in row["solution"]
    }
    rows = [
        doc["metadata"] | {"answer": doc["text"]} for doc in stage_documents(RunFolder(tmp_path / "run"), "annotate")
    ]
    assert {row["query"]: (row["thinking"], row["answer"]) for row in rows} == known
    for row in rows:
        assert (row["generator"], row["generator_revision"]) == ("given", "unknown")
        assert row["score_before"] == row["score_after"] > 0
        assert row["score_no_thinking"] != row["score_after"]
        assert "copy_ratio" in row
        assert "given_thinking" not in row


def test_a_release_can_be_searched_on_or_its_thinkings_ignored(
    tmp_path: Path, pocket_model: Path, recipe_for: Callable[..., Any]
) -> None:
    sources = [{"kind": "deepwriting_release", "path": "samples://deepwriting_release", "license": "CC0-1.0"}]
    thinkings = {}
    for choice in ("use", "ignore"):
        _, text = recipe_for(
            Path("unused"), pocket_model, search={"max_steps": 1, "given_thinking": choice}, sources=sources
        )
        run_recipe(parse_recipe(text), text, tmp_path / choice, until="search")
        rows = [doc["metadata"] for doc in stage_documents(RunFolder(tmp_path / choice), "search")]
        assert rows
        thinkings[choice] = {row["query"]: row["initial_thinking"] for row in rows}
        assert all(row["steps"] == 1 for row in rows)
        expected = ("given", f"given, {pocket_model}") if choice == "use" else (str(pocket_model),)
        assert all(row["generator"] in expected for row in rows)
    shared = thinkings["use"].keys() & thinkings["ignore"].keys()
    assert all(thinkings["use"][query] != thinkings["ignore"][query] for query in shared)
    assert yaml.safe_load(text)["search"]["given_thinking"] == "ignore"
