from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.cleaning.requests import WritingRequests
from deepwriting.recipe import TransformersSection
from deepwriting.sources.writing_requests import UNSURE

pytestmark = pytest.mark.usefixtures("closing_engines")


def step(model: Path | str, settings: Any) -> WritingRequests:
    scorer = TransformersSection.model_validate({"model": str(model), "device": "cpu", "dtype": "float32"})
    return WritingRequests(scorer, {"own": settings}, prompts="compact", concurrency=2)


def docs(*queries: str) -> list[Document]:
    return [
        Document(text="An answer.", id=query, metadata={"query": query, "source": "own", UNSURE: True})
        for query in queries
    ]


def test_without_a_model_what_is_unsure_is_rejected_and_nothing_else(section: Callable[..., Any]) -> None:
    pairs = docs("The quick brown fox", "Write a story.")
    del pairs[1].metadata[UNSURE]
    found = list(step("no-such-model", section()).run(pairs))
    assert [doc.metadata.get("reject") for doc in found] == ["not_a_writing_request", None]
    assert all(UNSURE not in doc.metadata for doc in found)


def test_the_scorer_gives_a_calibrated_probability(pocket_model: Path, section: Callable[..., Any]) -> None:
    # The pocket model likes the words that it has seen: "no" in the query makes the answer "no" likelier, and so "yes".
    queries = ("say yes, yes, yes to it", "say no, no, no to it", "(none given)", "我要一份是的")
    found = list(step(pocket_model, section(classify_requests=True)).run(docs(*queries)))
    yes, no, neutral, chinese = (doc.metadata["request_probability"] for doc in found)
    assert yes > 0.5 > no
    assert neutral == pytest.approx(0.5)
    assert 0 <= chinese <= 1
    assert [doc.metadata.get("reject") for doc in found][:3] == [None, "not_a_writing_request", None]
    assert found[1].metadata["reject_detail"] == f"probability of a writing request {no:.2f}"
    strict = list(step(pocket_model, section(classify_requests=True, min_request_probability=1.0)).run(docs(*queries)))
    assert {doc.metadata.get("reject") for doc in strict} == {"not_a_writing_request"}
