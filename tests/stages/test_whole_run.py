"""The whole pipeline with the embedded model: one small run, looked at from all sides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.pipeline import run_recipe
from deepwriting.rundir import RunFolder, StageRecord
from deepwriting.schema import CONFIG_COLUMNS
from deepwriting.select.taxonomy import DOMAIN_OF
from deepwriting.stages import STAGE_NAMES
from deepwriting.stages.rows import stage_documents

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.usefixtures("closing_engines")]

PAIRS = (
    {
        "id": "letter",
        "query": "Write a brief letter to a neighbour about a borrowed ladder.",
        "answer": "Dear Mrs Hale,\n\nYour ladder stands behind the shed again. I cleaned the paint off its feet.",
    },
    {
        "id": "ferry",
        "query": "Write a short scene in which a ferry captain waits for a late passenger.",
        "answer": "The last ferry was ready at six.\n\nThe captain watched the empty road and did not ring the bell.",
    },
)


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, write_lines: Callable[..., Path], recipe_for: Callable[..., Any]
) -> tuple[RunFolder, list[StageRecord]]:
    """A run of two pairs."""
    folder = tmp_path_factory.mktemp("embedded")
    path = write_lines(folder / "pairs.jsonl", *PAIRS)
    recipe, text = recipe_for(
        path,
        search={"max_steps": 1, "candidates": 1, "max_thinking_tokens": 60, "initial_attempts": 6, "concurrency": 2},
        build={"drop_flags": []},
    )
    return RunFolder(folder / "run"), run_recipe(recipe, text, folder / "run")


@pytest.fixture(scope="module")
def found(run: tuple[RunFolder, list[StageRecord]]) -> list[dict[str, Any]]:
    """The searched rows."""
    return [document["metadata"] for document in stage_documents(run[0], "annotate")]


def test_every_stage_finishes_and_its_counts_balance(run: tuple[RunFolder, list[StageRecord]]) -> None:
    _, records = run
    assert [(record.stage, record.state) for record in records] == [(name, "finished") for name in STAGE_NAMES]
    assert all(record.counts.balanced for record in records)
    assert records[0].counts.rows_in == records[2].counts.rows_out == len(PAIRS)
    assert records[3].counts.rows_out >= 1


def test_rows_hold_scores_that_fit_together(found: list[dict[str, Any]]) -> None:
    for row in found:
        assert 0 < row["score_after"] <= row["score_before"] <= 10
        assert (row["score_after"] < row["score_before"]) == (row["accepted_edits"] > 0)
        assert row["perplexity_before"] > 1
        assert row["steps"] == 1
        assert row["stop_reason"] == "max_steps"
        assert row["thinking_tokens_before"] >= 10
        assert row["generator"] == row["scorer"] == "smollm2-135m"
        assert row["generator_revision"].startswith("gguf-sha256:")
        assert DOMAIN_OF[row["category"]] == row["domain"]
        assert 0 < row["category_probability"] < 1


def test_logs_name_model_device_and_dtype(run: tuple[RunFolder, list[StageRecord]]) -> None:
    log = (run[0].path / "search" / "logs" / "deepwriting" / "task_00000.log").read_text()
    assert "smollm2-135m (gguf-sha256:" in log
    assert ") on cpu in float32, context 8192 tokens" in log


LOADER = """
import json, sys
from datasets import load_dataset
found = {}
for config in sys.argv[1:]:
    whole = load_dataset("deepwriting-20k", config, split="train")
    streamed = list(load_dataset("deepwriting-20k", config, split="train", streaming=True))
    found[config] = {"columns": whole.column_names, "rows": whole.to_list(), "streamed": streamed}
print(json.dumps(found))
"""


def test_the_dataset_loads_by_name_offline_in_all_configs_and_streaming(
    run: tuple[RunFolder, list[StageRecord]], found: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder, records = run
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    published = records[-1].facts["rows"]
    assert published.keys() >= {"default", "all", "steps", "sft", "sft-reasoning", "verl", "initial"}
    result = subprocess.run(
        [sys.executable, "-c", LOADER, *published],
        cwd=folder.path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    loaded = json.loads(result.stdout)
    assert loaded.keys() == published.keys()
    for config in published:
        assert loaded[config]["columns"] == [column.name for column in CONFIG_COLUMNS[config]]
        assert loaded[config]["rows"] == loaded[config]["streamed"]
        assert len(loaded[config]["rows"]) == published[config] > 0
    assert {row["row_id"]: row["thinking"] for row in loaded["default"]["rows"]} == {
        row["row_id"]: row["thinking"] for row in found
    }


def test_the_manifest_names_what_made_the_dataset(run: tuple[RunFolder, list[StageRecord]]) -> None:
    folder, records = run
    text = (folder.path / "deepwriting-20k" / "manifest.json").read_text()
    settings = json.loads(text)["settings"]
    assert settings["generator"]["model"] == "smollm2-135m"
    assert settings["stages"] == {record.stage: record.settings_hash for record in records[:-1]}
    assert [item["stage"] for item in settings["counts"]] == list(STAGE_NAMES[:-1])
    assert settings["counts"][3]["in"] == len(PAIRS)
    assert str(folder.path) not in text, "a rebuild elsewhere must be equal"
