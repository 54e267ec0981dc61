from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.writers.jsonl import JsonlWriter

from deepwriting.recipe import BuildSection, TransformersSection, parse_recipe
from deepwriting.rundir import RunFolder, StageFolder
from deepwriting.stages import STAGE_NAMES, STAGES, StageContext
from deepwriting.stages.decide import Decide
from deepwriting.stages.rows import stage_documents
from deepwriting.stages.writer import WriteShard

RECIPE = """
name: mine
sources: [{kind: KIND, path: in}]
engines: {generator: {model: writer}, scorer: {model: judge}}
"""


def document(number: int, **metadata: Any) -> Document:
    return Document(text=f"text {number}", id=f"d{number}", metadata=metadata)


def write(folder: Path, docs: list[Document], rank: int = 0, **options: Any) -> None:
    assert list(WriteShard(str(folder), **options).run(docs, rank, 2)) == docs


def test_rows_and_rejects_go_their_ways_and_are_counted(tmp_path: Path) -> None:
    write(tmp_path, [document(0), document(1, reject="empty"), document(2), document(3, reject="empty")])
    write(tmp_path, [document(4, reject="short"), document(5)], rank=1)
    run = RunFolder(tmp_path.parent)
    assert [doc["id"] for doc in stage_documents(run, tmp_path.name)] == ["d0", "d2", "d5"]
    assert [doc["id"] for doc in stage_documents(run, tmp_path.name, "rejects")] == ["d1", "d3", "d4"]
    counts = StageFolder(tmp_path).counted()
    assert (counts.rows_out, counts.rejected, counts.extra) == (3, 3, 0)
    assert counts.reasons == {"empty": 2, "short": 1}
    assert StageFolder(tmp_path).progress() == 6


def test_files_are_datatroves_byte_for_byte(tmp_path: Path) -> None:
    docs = [
        document(0, numbers=[1, {"a": None}], zh="渡船"),
        Document(text="", id="d1", metadata={"x": ""}),
        document(2),
    ]
    write(tmp_path, docs)
    with JsonlWriter(str(tmp_path / "stock")) as stock:
        for doc in docs:
            stock.write(doc, 0)
    files = [gzip.decompress((tmp_path / name / "00000.jsonl.gz").read_bytes()) for name in ("shards", "stock")]
    assert files[0] == files[1]


def test_a_task_without_rows_still_counts(tmp_path: Path) -> None:
    write(tmp_path, [])
    assert json.loads((tmp_path / "counts" / "00000.json").read_text())["rows_out"] == 0


def test_a_task_that_is_done_again_replaces_its_files(tmp_path: Path) -> None:
    write(tmp_path, [document(0), document(1)])
    write(tmp_path, [document(0)])
    assert [doc["id"] for doc in stage_documents(RunFolder(tmp_path.parent), tmp_path.name)] == ["d0"]
    assert StageFolder(tmp_path).counted().rows_out == 1


def test_further_rollouts_are_extra_only_where_a_stage_makes_them(tmp_path: Path) -> None:
    docs = [document(0, rollout=0), document(0, rollout=1), document(0, rollout=2, reject="empty")]
    write(tmp_path / "search", docs, multiplies=True)
    write(tmp_path / "annotate", docs)
    assert StageFolder(tmp_path / "search").counted().extra == 2
    assert StageFolder(tmp_path / "annotate").counted().extra == 0


def decided(row: dict[str, Any], **settings: Any) -> dict[str, Any]:
    doc = document(0, **{"flags": [], "score_before": 2.0, "score_after": 1.5} | row)
    Decide(BuildSection.model_validate(settings), "1.2.3").annotate(doc)
    assert doc.metadata["pipeline_version"] == "1.2.3"
    return {name: doc.metadata[name] for name in ("keep", "drop_reasons")}


@pytest.mark.parametrize(
    ("row", "settings", "reasons"),
    [
        ({}, {}, []),
        ({"flags": ["copying", "repetition"]}, {}, ["repetition", "copying"]),
        ({"flags": ["copying", "repetition"]}, {"drop_flags": ["copying"]}, ["copying"]),
        ({"flags": ["copying"]}, {"drop_flags": []}, []),
        ({}, {"max_score": 1.5}, []),
        ({}, {"max_score": 1.4}, ["high_score"]),
        ({}, {"min_improvement": 0.5}, []),
        ({}, {"min_improvement": 0.6}, ["low_improvement"]),
        ({"score_after": 2.0}, {"min_improvement": 0.0}, []),
        (
            {"flags": ["copying"]},
            {"max_score": 1.0, "min_improvement": 1.0},
            ["copying", "high_score", "low_improvement"],
        ),
    ],
)
def test_the_decision(row: dict[str, Any], settings: dict[str, Any], reasons: list[str]) -> None:
    assert decided(row, **settings) == {"keep": not reasons, "drop_reasons": reasons}


def test_the_stages_are_in_the_order_of_the_design() -> None:
    assert STAGE_NAMES == ("source", "dedupe", "select", "search", "annotate", "build")
    assert all(stage.title for stage in STAGES)


@pytest.mark.parametrize("stage", STAGES, ids=STAGE_NAMES)
def test_settings_are_json_and_steps_can_be_made_without_a_model(stage: Any, tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE.replace("KIND", "gutenberg"))
    settings = stage.settings(recipe)
    assert json.loads(json.dumps(settings)) == settings
    phases = list(stage.phases(StageContext(recipe, RunFolder(tmp_path), "hash")))
    assert isinstance(phases[-1].steps[-1], WriteShard)
    assert len({phase.name for phase in phases}) == len(phases), "phases share no completion markers"
    assert not list(tmp_path.iterdir())


def test_the_generator_decides_about_sources_only_where_it_writes_queries() -> None:
    settings = [STAGES[0].settings(parse_recipe(RECIPE.replace("KIND", kind))) for kind in ("pairs", "gutenberg")]
    assert "generator" not in settings[0]
    assert settings[1]["generator"]["model"] == "writer"
    assert set(settings[1]["prompts"]) == {"en/query.txt", "zh/query.txt"}


def test_settings_of_speed_are_not_part_of_an_engines_identity() -> None:
    speed = {"max_batch": 3, "max_batch_tokens": 9, "prefix_cache_gb": 0.0, "device": "cpu"}
    section = TransformersSection.model_validate({"model": "m", **speed})
    assert section.identity == TransformersSection.model_validate({"model": "m"}).identity
    other = TransformersSection.model_validate({"model": "m", "dtype": "float16"})
    assert section.identity != other.identity
