from __future__ import annotations

import inspect
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from deepwriting import filters
from deepwriting.errors import StageMissingError
from deepwriting.filters import Copying, EndOfThinking, Repetition, ThinkingPatterns
from deepwriting.schema import ANNOTATION_COLUMNS, REJECT
from deepwriting.steps import Annotator

ANSWER = "The lamp was lit again, although nobody had asked for it, and the sea took the light without a word."
PLAN = (
    "Hmm, maybe the keeper should speak first. Wait, that's a bit loud. The boatman then, who hesitates with the "
    "letter in his hand. But what is in it? Maybe only repairs: a hinge, a pane, a step. The tenderness lies in what "
    "the sender remembers. I will begin at the harbour, stay at the table for the middle, and close on the light "
    "over the water."
)


def document(thinking: str = PLAN, answer: str = ANSWER, **metadata: Any) -> Document:
    return Document(text=answer, id="dw-0", metadata={"thinking": thinking, **metadata})


def annotated(step: Annotator, *docs: Document) -> list[Document]:
    return list(step.run(iter(docs)))


def outcomes(step: PipelineStep) -> dict[str, int]:
    return {name: int(stat.total) for name, stat in step.stats.stats.items()}


ALL = (Repetition, EndOfThinking, ThinkingPatterns, Copying)


def test_a_good_plan_gets_every_measurement_and_no_flag() -> None:
    doc = document()
    for step in (Repetition(), EndOfThinking(), ThinkingPatterns(), Copying()):
        annotated(step, doc)
    assert doc.metadata["repetition"] == 0.0
    assert doc.metadata["end_pattern_count"] == 0
    assert doc.metadata["copy_ratio"] == 0.0
    assert doc.metadata["longest_copy"] == 2
    assert doc.metadata["flags"] == []
    measured = {column.name for column in ANNOTATION_COLUMNS} - {"pipeline_version"}
    assert set(doc.metadata) == measured | {"thinking"}


def test_patterns_are_listed_most_frequent_first_and_add_up() -> None:
    doc = document()
    annotated(step := ThinkingPatterns(), doc)
    assert doc.metadata["thinking_patterns"] == [
        {"pattern": "maybe", "count": 2},
        {"pattern": "but", "count": 1},
        {"pattern": "hmm", "count": 1},
        {"pattern": "that's a bit", "count": 1},
        {"pattern": "wait", "count": 1},
    ]
    assert doc.metadata["thinking_pattern_count"] == 6
    assert outcomes(step)["with_thinking_patterns"] == 1


@pytest.mark.parametrize(
    ("step", "thinking", "flag"),
    [
        (Repetition(), PLAN + " I should look at the ending again, it is not right." * 10, "repetition"),
        (Repetition(), "先写码头，再写桌子。" + "结尾还是不对，再想一想怎么写。" * 10, "repetition"),
        (EndOfThinking(), PLAN + " Hmm.", "end_of_thinking"),
        (EndOfThinking(), "先写码头，再写桌子，最后写灯。" * 5 + "嗯，也许吧。", "end_of_thinking"),
        (Copying(), PLAN + " " + ANSWER, "copying"),
    ],
)
def test_what_is_beyond_the_threshold_is_flagged_and_counted(step: Annotator, thinking: str, flag: str) -> None:
    bad, good = annotated(step, document(thinking), document())
    assert bad.metadata["flags"] == [flag]
    assert good.metadata["flags"] == []
    assert REJECT not in bad.metadata
    counted = outcomes(step)
    assert counted[f"{flag}_flagged"] == counted[f"{flag}_ok"] == 1


def test_a_long_run_is_flagged_even_if_it_is_a_small_part_of_the_answer() -> None:
    run = " ".join(f"word{letter}" for letter in "abcdefghijkl")
    answer = run + " something else entirely" * 100
    (doc,) = annotated(Copying(max_run=11), document(f"Plan: {run}.", answer))
    assert doc.metadata["longest_copy"] == 12
    assert doc.metadata["copy_ratio"] < 0.1
    assert doc.metadata["flags"] == ["copying"]
    (doc,) = annotated(Copying(max_run=12), document(f"Plan: {run}.", answer))
    assert doc.metadata["flags"] == []


def test_chinese_answers_are_measured_in_characters() -> None:
    answer = "灯又亮了，虽然没有人要求，海水把光收下。"
    (doc,) = annotated(Copying(), document(f"结尾可以写：{answer}", answer))
    assert doc.metadata["copy_ratio"] == 1.0
    assert doc.metadata["longest_copy"] == 17


def test_thresholds_are_inclusive() -> None:
    (doc,) = annotated(EndOfThinking(tail_fraction=1.0, max_patterns=5), document())
    assert doc.metadata["end_pattern_count"] == 5
    assert doc.metadata["flags"] == []


@pytest.mark.parametrize("step_class", ALL)
@pytest.mark.parametrize("thinking", ["", "🙂🎉", "\n\n"])
def test_empty_thinking_is_measured_and_not_flagged(step_class: type[Annotator], thinking: str) -> None:
    (doc,) = annotated(step_class(), document(thinking))
    assert doc.metadata.get("flags", []) == []
    assert len(doc.metadata) > 1


@pytest.mark.parametrize("step_class", ALL)
def test_a_giant_trajectory_is_measured(step_class: type[Annotator]) -> None:
    (doc,) = annotated(step_class(), document(PLAN * 500, ANSWER * 500))
    assert len(doc.metadata) > 1


def test_other_flags_stay_and_a_second_run_corrects_its_own() -> None:
    doc = document(PLAN + " Hmm.", flags=["pii"])
    annotated(EndOfThinking(), doc)
    annotated(EndOfThinking(), doc)
    assert doc.metadata["flags"] == ["pii", "end_of_thinking"]
    doc.metadata["thinking"] = PLAN
    annotated(EndOfThinking(), doc)
    assert doc.metadata["flags"] == ["pii"]


@pytest.mark.parametrize("step_class", ALL)
@pytest.mark.parametrize("metadata", [{}, {"thinking": None}])
def test_a_document_that_was_never_searched_stops_the_run(
    step_class: type[Annotator], metadata: dict[str, Any]
) -> None:
    with pytest.raises(StageMissingError, match="'dw-9' has None as its thinking"):
        annotated(step_class(), Document(text=ANSWER, id="dw-9", metadata=metadata))


@pytest.mark.parametrize("step_class", ALL)
def test_rejected_documents_pass_by(step_class: type[Annotator]) -> None:
    rejected = Document(text="", id="dw-9", metadata={REJECT: "empty_answer"})
    assert annotated(step_class(), rejected) == [rejected]
    assert rejected.metadata == {REJECT: "empty_answer"}


@pytest.mark.parametrize(
    ("step_class", "settings", "message"),
    [
        (Repetition, {"n": 0}, "n is 0"),
        (Repetition, {"max_share": 1.5}, "max_share is 1.5"),
        (EndOfThinking, {"tail_fraction": 0}, "tail_fraction is 0"),
        (EndOfThinking, {"max_patterns": -1}, "max_patterns is -1"),
        (Copying, {"min_run": 0}, "min_run is 0"),
        (Copying, {"max_ratio": -0.1}, "max_ratio is -0.1"),
        (Copying, {"max_run": -1}, "max_run is -1"),
    ],
)
def test_impossible_thresholds(step_class: type[Annotator], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        step_class(**settings)


def test_the_defaults_of_the_package_are_the_defaults_of_the_filters() -> None:
    def defaults(step_class: type[Annotator]) -> dict[str, Any]:
        return {name: parameter.default for name, parameter in inspect.signature(step_class).parameters.items()}

    assert defaults(Repetition) == {"n": filters.DEFAULT_NGRAM_SIZE, "max_share": filters.DEFAULT_MAX_SHARE}
    assert defaults(EndOfThinking) == {
        "tail_fraction": filters.DEFAULT_TAIL_FRACTION,
        "max_patterns": filters.DEFAULT_MAX_END_PATTERNS,
    }
    assert defaults(Copying) == {
        "min_run": filters.DEFAULT_MIN_RUN,
        "max_ratio": filters.DEFAULT_MAX_COPY_RATIO,
        "max_run": filters.DEFAULT_MAX_COPIED_RUN,
    }
