from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deepwriting.builders.ablations import LITERATURE_DOMAINS, NOT_SEARCHED, stays
from deepwriting.builders.tables import rows
from deepwriting.metrics.copying import copied
from deepwriting.schema import CONFIG_COLUMNS
from deepwriting.sections.outcome import FiltersSection
from deepwriting.select.taxonomy import TAXONOMY

Maker = Callable[..., dict[str, Any]]


def test_the_domains_without_literature_are_those_of_the_taxonomy() -> None:
    assert set(TAXONOMY) > LITERATURE_DOMAINS


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_that_stays_is_the_share(share: float) -> None:
    staying = sum(stays(f"dw-{number:016x}-0", share) for number in range(4000))
    assert staying == pytest.approx(4000 * share, abs=120)


def test_a_larger_share_keeps_what_a_smaller_one_kept() -> None:
    ids = [f"dw-{number:016x}-0" for number in range(500)]
    assert {row for row in ids if stays(row, 0.1)} < {row for row in ids if stays(row, 0.3)}


def test_initial_row_is_measured_again(document: Maker) -> None:
    doc = document(1)
    answer = doc["text"]
    doc["metadata"] |= {
        "initial_thinking": f"Wait. {answer} Hmm, maybe.", "segments": [], "score_before": 1.5, "score_after": 1.25,
        "perplexity_before": 6.0, "thinking_tokens_before": 12,
    }  # fmt: skip
    (row,) = rows("initial", doc, FiltersSection.model_validate({"copy_min_run": 3, "max_copy_ratio": 0.5}))
    assert list(row) == [column.name for column in CONFIG_COLUMNS["default"]]
    assert row["thinking"] == doc["metadata"]["initial_thinking"]
    assert (row["score_after"], row["perplexity_after"], row["thinking_tokens_after"]) == (1.5, 6.0, 12)
    assert (row["steps"], row["accepted_edits"], row["stop_reason"]) == (0, 0, NOT_SEARCHED)
    assert row["copy_ratio"] == copied(answer, row["thinking"], 3).ratio == 1.0
    assert {"copying", "end_of_thinking"} <= set(row["flags"])
    assert {pattern["pattern"] for pattern in row["thinking_patterns"]} >= {"wait", "hmm", "maybe"}
    assert doc["metadata"]["flags"] == []


def test_a_search_without_edits_leaves_the_measurements_alone(document: Maker) -> None:
    doc = document(1)
    doc["metadata"]["initial_thinking"] = doc["metadata"]["thinking"]
    (initial,), (final,) = rows("initial", doc), rows("default", doc)
    assert (initial["copy_ratio"], initial["repetition"]) == (final["copy_ratio"], final["repetition"])
