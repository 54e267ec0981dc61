"""The stage on real shards: phases, spreading, counts, resuming."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.executors.local import LocalRunner
from deepwriting.pipeline import Planned, Watcher, run_stage
from deepwriting.recipe import Recipe, parse_recipe
from deepwriting.rundir import Counts, RunFolder, StageRecord
from deepwriting.select.apply import Move
from deepwriting.select.choose import Choose
from deepwriting.select.fast import fast_model, labelled_sample
from deepwriting.select.taxonomy import CATEGORIES
from deepwriting.stages.base import StageContext
from deepwriting.stages.rows import stage_documents
from deepwriting.stages.select import SelectStage

HELD_OUT = [entry for entry in labelled_sample() if entry.part == "held_out"][::3]


def rows() -> list[dict[str, Any]]:
    """Pairs as the stage before leaves them."""
    return [
        {
            "text": f"Answer {index}. " * (index % 40 + 5),
            "id": f"dw-{index:016x}",
            "metadata": {
                "query": entry.query, "language": entry.language, "source": "forum" if index % 3 else "books",
                "source_id": str(index), "license": "CC0-1.0",
                "provenance": json.dumps({"score": index % 7} if index % 3 else {"title": "A book"}),
            },
        }
        for index, entry in enumerate(HELD_OUT)
    ]  # fmt: skip


def recipe_with(tasks: int = 1, model: str = "none", **select: Any) -> Recipe:
    sources = [{"kind": "pairs", "path": "x", "name": name} for name in ("forum", "books")]
    data = {
        "name": "mine", "sources": sources, "select": select, "execution": {"tasks": tasks},
        "engines": {"generator": {"model": model, "dtype": "float32", "device": "cpu"}},
    }  # fmt: skip
    return parse_recipe(json.dumps(data))


def prepared(folder: Path, recipe: Recipe, shards: int = 1, order: int = 1) -> Planned:
    """A run whose pairs lie in so many shards, in one order or the other."""
    run = RunFolder(folder)
    pairs = rows()[::order]
    before = run.stage("dedupe")
    before.shards.mkdir(parents=True)
    for index in range(shards):
        with gzip.open(before.shards / f"{index:05d}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.writelines(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs[index::shards])
    before.save(StageRecord("dedupe", "x", {}, "finished", counts=Counts(rows_out=len(pairs))))
    context = StageContext(recipe, run, "hash")
    return Planned(SelectStage(), context, {}, "run")


def ids(run: RunFolder, folder: str = "shards") -> set[str]:
    found = [doc["id"] for doc in stage_documents(run, "select", folder)]
    assert len(found) == len(set(found))
    return set(found)


def test_every_pair_goes_on_or_is_rejected_with_its_rank(tmp_path: Path) -> None:
    planned = prepared(tmp_path, recipe_with(pairs=20))
    record = run_stage(planned, LocalRunner(planned.context.recipe), Watcher())
    assert (record.counts.rows_out, record.counts.rejected) == (20, len(HELD_OUT) - 20)
    assert record.counts.reasons == {"not_selected": len(HELD_OUT) - 20}
    assert record.facts["pairs"] == record.facts["chosen"] == 20
    assert record.facts["classified_by"] == {"fast": len(HELD_OUT), "likelihood": 0}
    given = {row["id"]: row for row in rows()}
    for doc in stage_documents(planned.context.run, "select"):
        assert doc["text"] == given[doc["id"]]["text"]
        assert given[doc["id"]]["metadata"].items() <= doc["metadata"].items()
        assert doc["metadata"]["category_by"] == "fast"
    reject = next(stage_documents(planned.context.run, "select", "rejects"))["metadata"]
    rank, of, kept = (int(word) for word in reject["reject_detail"].replace(";", "").split() if word.isdigit())
    assert kept < rank <= of
    assert reject["category"] in reject["reject_detail"]
    assert not planned.context.run.stage("select").work.exists()


@pytest.fixture(scope="module")
def choices(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int, int], RunFolder]:
    """The same choice by so many tasks, from so many shards, in one order of the pairs or the other."""
    found = {}
    for tasks, shards, order in ((1, 1, 1), (2, 1, -1), (5, 3, 1), (2, 5, -1)):
        folder = tmp_path_factory.mktemp("choice")
        recipe = recipe_with(tasks, pairs=23, source_limits={"forum": 11}, min_probability=0.2)
        planned = prepared(folder, recipe, shards, order)
        assert run_stage(planned, LocalRunner(planned.context.recipe), Watcher()).counts.balanced
        found[tasks, shards, order] = planned.context.run
    return found


def test_the_choice_does_not_depend_on_tasks_shards_or_order(choices: dict[Any, RunFolder]) -> None:
    assert len({frozenset(ids(run)) for run in choices.values()}) == 1
    details = [
        {doc["id"]: doc["metadata"]["reject_detail"] for doc in stage_documents(run, "select", "rejects")}
        for run in choices.values()
    ]
    assert all(detail == details[0] for detail in details)
    sources = Counter(doc["metadata"]["source"] for doc in stage_documents(next(iter(choices.values())), "select"))
    assert sources == {"forum": 11, "books": 12}


def test_chosen_pairs_are_spread_evenly_over_the_tasks(choices: dict[Any, RunFolder]) -> None:
    for (tasks, _, _), run in choices.items():
        counts = sorted((run.stage("select").path / "counts").glob("*.json"))
        sizes = [json.loads(file.read_text())["rows_out"] for file in counts]
        assert len(sizes) == tasks
        assert max(sizes) - min(sizes) <= 1


def test_another_seed_chooses_others(tmp_path: Path) -> None:
    found = []
    for seed in (1, 1, 2):
        recipe = recipe_with(pairs=20, quality={"chance": 1.0}).model_copy(update={"seed": seed})
        planned = prepared(tmp_path / str(len(found)), recipe)
        run_stage(planned, LocalRunner(planned.context.recipe), Watcher())
        found.append(ids(planned.context.run))
    assert found[0] == found[1] != found[2]


def test_without_a_number_every_pair_goes_on_in_order(tmp_path: Path) -> None:
    planned = prepared(tmp_path, recipe_with())
    run_stage(planned, LocalRunner(planned.context.recipe), Watcher())
    assert [doc["id"] for doc in stage_documents(planned.context.run, "select")] == [row["id"] for row in rows()]


@pytest.mark.parametrize("step", [Choose, Move], ids=lambda step: step.__name__)
def test_a_run_that_is_ended_between_phases_goes_on(
    step: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choices: dict[Any, RunFolder]
) -> None:
    recipe = recipe_with(2, pairs=23, source_limits={"forum": 11}, min_probability=0.2)
    planned = prepared(tmp_path, recipe, shards=3)

    def ended(self: Any, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        if step is Move:  # in the middle of its work
            list(itertools.islice(run(self, data, rank, world_size), 1))
        raise KeyboardInterrupt
        yield

    run: Callable[..., Any] = step.run
    monkeypatch.setattr(step, "run", ended)
    with pytest.raises(KeyboardInterrupt):
        run_stage(planned, LocalRunner(planned.context.recipe), Watcher())
    monkeypatch.setattr(step, "run", run)
    classified = planned.context.run.stage("select").work / "classified"
    before = {file.name: file.stat().st_mtime_ns for file in classified.iterdir()}
    again = Planned(planned.stage, planned.context, planned.settings, "continue")
    assert run_stage(again, LocalRunner(again.context.recipe), _Looks(classified, before)).counts.balanced
    assert ids(planned.context.run) == ids(choices[1, 1, 1])


class _Looks(Watcher):
    """Sees that what was classified is there still."""

    def __init__(self, folder: Path, files: dict[str, int]):
        self.folder, self.files = folder, files

    def stage_started(self, planned: Planned, total: int | None) -> None:
        assert {file.name: file.stat().st_mtime_ns for file in self.folder.iterdir()} == self.files


@pytest.mark.usefixtures("closing_engines")
def test_a_cascade_asks_the_scorer_where_the_fast_classifier_is_not_sure(pocket_model: Path, tmp_path: Path) -> None:
    recipe = recipe_with(model=str(pocket_model), classifier="cascade", sure_probability=0.4)
    planned = prepared(tmp_path, recipe)
    record = run_stage(planned, LocalRunner(planned.context.recipe), Watcher())
    asked = 0
    for doc in stage_documents(planned.context.run, "select"):
        row = doc["metadata"]
        [shares] = fast_model(row["language"]).probabilities([row["query"]], row["language"])
        assert row["category_by"] == ("fast" if shares.max() >= 0.4 else "likelihood")
        if row["category_by"] == "fast":
            assert row["category"] == CATEGORIES[int(shares.argmax())]
            assert row["category_probability"] == pytest.approx(shares.max(), abs=1e-4)
        asked += row["category_by"] == "likelihood"
    assert record.facts["classified_by"] == {"fast": len(HELD_OUT) - asked, "likelihood": asked}
    assert 0 < asked < len(HELD_OUT)


def test_what_takes_part_is_in_the_settings() -> None:
    stage = SelectStage()
    fast, cascade = stage.settings(recipe_with()), stage.settings(recipe_with(classifier="cascade"))
    likelihood = stage.settings(recipe_with(classifier="likelihood", pairs=5))
    assert {"labelled_sample"} == fast.keys() - {"select", "categories"}
    assert {"labelled_sample", "scorer", "prompts"} == cascade.keys() - {"select", "categories"}
    assert {"scorer", "prompts", "seed"} == likelihood.keys() - {"select", "categories"}
