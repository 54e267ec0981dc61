from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.builders.tables import document_row_id, rows, table
from deepwriting.builders.values import checked
from deepwriting.errors import BuildError, SchemaError
from deepwriting.samples import resolve_samples
from deepwriting.schema import CONFIG_COLUMNS, Column, assistant_turn
from deepwriting.sources.release import split_solution

Maker = Callable[..., dict[str, Any]]

SAMPLE_RELEASE = Path(resolve_samples("samples://deepwriting_release"))


@pytest.mark.parametrize("config", CONFIG_COLUMNS)
def test_rows_have_exactly_the_columns_of_the_schema_in_order(document: Maker, config: str) -> None:
    made = list(rows(config, document(1)))
    assert made
    assert all(list(row) == [column.name for column in CONFIG_COLUMNS[config]] for row in made)


def test_dropped_row_is_in_all_and_steps_only(document: Maker) -> None:
    dropped = document(1, keep=False)
    made = {config: len(list(rows(config, dropped))) for config in CONFIG_COLUMNS}
    assert {config: number for config, number in made.items() if number} == {"all": 1, "steps": 4}


def test_sft_messages_hold_query_thinking_and_answer(document: Maker) -> None:
    doc = document(3)
    (row,) = rows("sft", doc)
    meta = doc["metadata"]
    assert row["messages"] == [
        {"role": "user", "content": meta["query"]},
        {"role": "assistant", "content": assistant_turn(meta["thinking"], doc["text"])},
    ]


def test_sft_reasoning_parts_thinking_and_answer(document: Maker) -> None:
    doc = document(3)
    (row,) = rows("sft-reasoning", doc)
    meta = doc["metadata"]
    assert row["messages"] == [
        {"role": "user", "content": meta["query"], "reasoning_content": ""},
        {"role": "assistant", "content": doc["text"], "reasoning_content": meta["thinking"]},
    ]


def test_verl_rows_are_the_layout_of_the_original_release(document: Maker) -> None:
    doc = document(3)
    (row,) = rows("verl", doc)
    (sample, *_) = (SAMPLE_RELEASE / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert set(row) == set(json.loads(sample))
    assert row["reward_model"].keys() == json.loads(sample)["reward_model"].keys()
    assert split_solution(row["solution"]) == (doc["metadata"]["thinking"], doc["text"], False)


def test_steps_carry_the_row_id_and_keep_refused_candidates(document: Maker) -> None:
    doc = document(2)
    made = list(rows("steps", doc))
    assert {row["row_id"] for row in made} == {doc["metadata"]["row_id"]}
    assert [(row["step"], row["candidate_index"]) for row in made] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert made[1]["refusal"] == "unparsed"
    assert made[1]["score"] is None


def test_row_without_steps_contributes_none(document: Maker) -> None:
    assert list(rows("steps", document(1, steps=0))) == []


def test_table_keeps_the_order_of_documents(document: Maker) -> None:
    documents = [document(n) for n in (5, 2, 9)]
    assert [row["row_id"] for row in table("all", documents)] == [document_row_id(doc) for doc in documents]


def test_unknown_config_names_the_allowed_ones(document: Maker) -> None:
    with pytest.raises(BuildError, match=r"unknown config 'gold': allowed are default, all, steps, preferences, sft,"):
        list(rows("gold", document(1)))


def test_missing_text_is_reported_as_a_missing_answer(document: Maker) -> None:
    doc = document(1)
    del doc["text"]
    with pytest.raises(BuildError, match=r"row dw-\w+-0: column 'answer' is missing; expected a string"):
        list(rows("all", doc))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 2, "accepted_edits": True}, "'accepted_edits' holds True; expected a int32"),
        ({"perplexity_after": "low"}, "'perplexity_after' holds 'low'; expected a finite float32"),
        ({"flags": "repetition"}, "'flags' holds 'repetition'; expected a list of strings"),
        ({"segments": [{"initial": "a", "final": "b"}]}, "'segments' holds .*edited: bool"),
        ({"score_before": None}, "'score_before' is missing"),
        ({"thinking": " \n"}, "column 'thinking' is empty"),
        ({"category": "Speeches"}, "category 'Speeches' is not in the taxonomy; allowed: Creative Writing, Essay"),
        ({"domain": "Education"}, "domain 'Education' is not that of 'Creative Writing', which is 'Artistic"),
    ],
)
def test_wrong_values_name_row_column_and_expectation(document: Maker, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        list(rows("all", document(1, **change)))


def test_decision_and_reasons_must_agree(document: Maker) -> None:
    with pytest.raises(BuildError, match="a dropped row needs a reason"):
        list(rows("all", document(1, keep=False, drop_reasons=[])))
    with pytest.raises(BuildError, match="keep is True but drop_reasons is"):
        list(rows("default", document(1, drop_reasons=["copying"])))
    with pytest.raises(SchemaError, match="column 'keep' is missing"):
        list(rows("default", document(1, keep=None)))


def test_document_that_was_never_searched_is_refused() -> None:
    with pytest.raises(BuildError, match="'dw-1' has no row_id"):
        list(rows("all", {"text": "y", "id": "dw-1", "metadata": {"query": "x"}}))


def test_trace_must_be_a_list_of_records(document: Maker) -> None:
    with pytest.raises(BuildError, match="trace is NoneType; expected a list"):
        list(rows("steps", document(1, trace=None)))


@given(st.integers())
def test_integers_pass_exactly_when_they_fit_into_int32(value: int) -> None:
    column = Column("n", "int32", "A number.")
    if -(2**31) <= value < 2**31:
        assert checked(value, column, "r") == value
    else:
        with pytest.raises(BuildError, match="expected a int32"):
            checked(value, column, "r")


@given(st.floats())
def test_floats_pass_exactly_when_float32_holds_them_finite(value: float) -> None:
    import numpy as np

    column = Column("x", "float32", "A number.")
    with np.errstate(over="ignore"):
        finite = bool(np.isfinite(np.float32(value)))
    # Between the largest float32 and the next rounding step, numpy rounds down where the check already refuses.
    if finite and abs(value) <= 3.4028234663852886e38:
        assert checked(value, column, "r") == value
    else:
        with pytest.raises(BuildError, match="finite float32"):
            checked(value, column, "r")


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(BuildError) as caught:
        checked("x" * 10_000, Column("n", "bool", "A flag."), "r")
    assert len(str(caught.value)) < 200


def test_a_pair_that_no_cleaning_has_seen_has_nothing_masked(document: Maker) -> None:
    (row,) = rows("all", document(1))
    assert row["pii_masked"] == 0
    (row,) = rows("all", document(1, pii_masked=3))
    assert row["pii_masked"] == 3
