"""What a recipe tells the card, and what of it stays off the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deepwriting.builders.manifest import manifest
from deepwriting.errors import BuildError, RecipeError
from deepwriting.recipe import Recipe, parse_recipe
from deepwriting.stages.build import BuildStage, _card_facts, _hub_dataset


def recipe(dataset: dict[str, Any], *paths: str) -> Recipe:
    sources = [{"kind": "pairs", "path": path, "name": f"s{n}"} for n, path in enumerate(paths or ("a.jsonl",))]
    text = {"name": "mine", "sources": sources, "engines": {"generator": {"model": "smollm2-135m"}}, "dataset": dataset}
    return parse_recipe(yaml.safe_dump(text), "my.yaml")


def test_what_the_recipe_leaves_out_is_absent() -> None:
    assert _card_facts(recipe({})) == {"pretty_name": "DeepWriting-20K"}
    told = {"pretty_name": "Mine", "repo_id": "me/mine", "authors": ["A"], "date": "2026-11-26", "changes": ["More."]}
    assert _card_facts(recipe(told)) == told


def test_datasets_on_the_hub_are_named_and_other_paths_are_not() -> None:
    paths = (
        "hf://datasets/a/b/data/*.parquet",
        "hf://datasets/c/d@main/x.jsonl",
        "/home/me/secret.jsonl",
        "hf://buckets/x",
    )
    assert [_hub_dataset(path) for path in paths] == [{"dataset": "a/b"}, {"dataset": "c/d"}, {}, {}]
    assert _card_facts(recipe({}, *paths))["source_datasets"] == ["a/b", "c/d"]


def test_the_change_log_of_the_version_before_is_continued(tmp_path: Path) -> None:
    counts = {"rows": 3, "kept": 2, "dropped": 1, "dropped_by_reason": {}}
    settings = {"changes": ["First."]}
    text = manifest(name="mine", version="1.0.0", settings=settings, tables=[], documents=[], counts=counts)
    (tmp_path / "manifest.json").write_text(text, "utf-8")
    chosen = recipe({"previous": str(tmp_path)})
    history = [{"version": "1.0.0", "rows": 2, "changes": ["First."]}]
    assert _card_facts(chosen)["history"] == history
    # The place of that folder decides nothing, what stands in it does.
    told = BuildStage().settings(chosen)
    assert told["history"] == history
    assert str(tmp_path) not in str(told)


def test_a_version_before_that_is_no_dataset_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no manifest\.json"):
        BuildStage().settings(recipe({"previous": str(tmp_path)}))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"repo_id": "mine"}, r"dataset\.repo_id = 'mine'"),
        ({"repo_id": "me/../mine"}, r"dataset\.repo_id"),
        ({"date": "tomorrow"}, r"dataset\.date = 'tomorrow'"),
        ({"authors": "Ada"}, r"dataset\.authors = 'Ada'"),
        ({"changes": [""]}, r"dataset\.changes"),
    ],
)
def test_wrong_facts_are_refused(dataset: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(dataset)
