from __future__ import annotations

import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.errors import RecipeError, SourceError
from deepwriting.recipe import parse_recipe
from deepwriting.sections.decontaminate import DecontaminateSection
from deepwriting.select.decontaminate import Decontaminate, decontamination_settings

SHARED = Path(os.environ.get("DEEPWRITING_SHARED", Path(__file__).resolve().parents[3] / "shared"))
REAL = SHARED / "data" / "benchmarks"
ASKED = "Describe how a ferry pilot learned to read the currents of a river that changes its bed every spring."
ANSWER = "He went out with his uncle before dawn and drew what he saw on the back of old tickets."


@pytest.fixture
def section(tmp_path: Path) -> DecontaminateSection:
    (tmp_path / "own.txt").write_text(ASKED + "\n")
    return DecontaminateSection.model_validate({"benchmarks": [{"name": "ours", "path": str(tmp_path / "own.txt")}]})


def pair(query: str, answer: str = ANSWER, **metadata: Any) -> Document:
    return Document(text=answer, id="x", metadata={"query": query, **metadata})


def test_a_contaminated_pair_is_rejected_and_names_its_benchmark(section: DecontaminateSection) -> None:
    docs = [pair(ASKED.upper()), pair("Write about a river."), pair("Write.", f"{ANSWER} “{ASKED}” {ANSWER}")]
    step = Decontaminate(section)
    assert list(step.run(docs)) == docs
    assert [doc.metadata.get("reject") for doc in docs] == ["contaminated", None, "contaminated"]
    assert docs[0].metadata["reject_detail"] == "the query is that of ours, row 1"
    assert "the answer shares a run of 19 words with ours, row 1" in docs[2].metadata["reject_detail"]
    assert step.stats["contaminated_ours"].total == 2


def test_answers_may_be_left_out(section: DecontaminateSection) -> None:
    doc = pair("Write.", f"{ANSWER} “{ASKED}” {ANSWER}")
    list(Decontaminate(section.model_copy(update={"answers": False})).run([doc]))
    assert "reject" not in doc.metadata


def test_the_first_reason_stays_and_without_benchmarks_all_pass(section: DecontaminateSection) -> None:
    done, other = pair(ASKED, reject="short_answer"), pair(ASKED)
    list(Decontaminate(section).run([done]))
    list(Decontaminate(DecontaminateSection.model_validate({})).run([other]))
    assert done.metadata["reject"] == "short_answer"
    assert "reject" not in other.metadata


def test_a_missing_file_is_refused_before_anything_runs(tmp_path: Path) -> None:
    section = DecontaminateSection.model_validate({"benchmarks": [{"name": "ours", "path": str(tmp_path / "no.txt")}]})
    with pytest.raises(SourceError, match=r"benchmark 'ours': source path .*no\.txt' does not exist"):
        Decontaminate(section)
    assert decontamination_settings(section)["files"] == {"ours": "missing"}


def test_a_changed_file_changes_the_settings_and_the_index(section: DecontaminateSection) -> None:
    before = decontamination_settings(section)
    assert json.loads(json.dumps(before)) == before
    first = pair(ASKED)
    list(Decontaminate(section).run([first]))
    Path(section.benchmarks[0].path).write_text("Describe something else in many more words than this needs, please.\n")
    second = pair(ASKED)
    list(Decontaminate(section).run([second]))
    assert decontamination_settings(section)["files"] != before["files"]
    assert ("reject" in first.metadata, "reject" in second.metadata) == (True, False)


def test_the_step_travels_to_worker_processes(section: DecontaminateSection) -> None:
    step = pickle.loads(pickle.dumps(Decontaminate(section)))
    doc = pair(ASKED)
    list(step.run([doc]))
    assert doc.metadata["reject"] == "contaminated"


RECIPE = """
name: own
sources: [{kind: pairs, path: x.jsonl}]
engines: {generator: {model: smollm2-135m}}
decontaminate: %s
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "{benchmarks: [{name: a, path: x}, {name: a, path: y}]}",
            r"decontaminate.benchmarks: the names \['a'\] occur",
        ),
        ("{benchmarks: [{name: a}]}", r"decontaminate.benchmarks.0.path is missing"),
        ("{benchmarks: [{name: a, path: x, columns: []}]}", r"columns = \[\] is not allowed"),
        ("{min_similarity: 0.0}", "decontaminate.min_similarity = 0.0 is not allowed"),
        ("{minimum: 3}", "decontaminate.minimum = 3 is an unknown key; allowed: benchmarks, min_run"),
    ],
)
def test_a_wrong_section_is_refused_when_the_recipe_is_read(text: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        parse_recipe(RECIPE % text)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real benchmarks are not at {REAL}")
def test_the_real_benchmarks_are_found_and_everyday_requests_are_not() -> None:
    files = sorted(REAL.glob("*.jsonl"))
    section = DecontaminateSection.model_validate(
        {"benchmarks": [{"name": file.stem, "path": str(file)} for file in files]}
    )
    rng, planted = random.Random(0), []
    for file in files:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        texts = [row.get("query") or row.get("instruction") or row["prompt"] for row in rows]
        planted += [text for text in rng.sample(texts, 30) if len(text) > 60]
    docs = [pair(f"I need help. {text} Thank you.") for text in planted]
    clean = [
        pair(f"Write a {length} {kind} about {topic}, with an introduction and a conclusion.")
        for length in ("500-word", "1,000-word", "short") for kind in ("essay", "speech", "report", "story")
        for topic in ("the spring festival", "remote work and loneliness", "a lighthouse keeper", "time travel")
    ]  # fmt: skip
    list(Decontaminate(section).run(docs + clean))
    found = sum(doc.metadata.get("reject") == "contaminated" for doc in docs)
    assert found / len(docs) > 0.97
    assert not any("reject" in doc.metadata for doc in clean)
