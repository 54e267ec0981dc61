"""The classifier with the embedded model; what a probability is, is computed again here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from deepwriting.reer.prompts import load_prompts
from deepwriting.select.classifier import NO_QUERY, CategoryClassifier
from deepwriting.select.taxonomy import CATEGORIES, DOMAIN_OF, TAXONOMY

PROMPTS = load_prompts("compact")
QUERY = "Write a poem of four lines about the first snow on an empty bridge."


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    from deepwriting.engines.transformers.engine import TransformersEngine

    engine = TransformersEngine("smollm2-135m", device="cpu", dtype="float32", max_batch=1)
    yield engine
    engine.close()


def log_likelihoods(engine: Any, query: str, language: str) -> np.ndarray:
    prompt = PROMPTS[language]["category"].render(engine, query=query, categories="\n".join(CATEGORIES)).text
    scores = asyncio.run(engine.score_each(prompt, [f" {name}" for name in CATEGORIES]))
    return np.array([score.logprobs.astype(float).sum() for score in scores])


def shares(logs: np.ndarray) -> np.ndarray:
    return np.exp(logs) / np.exp(logs).sum()


def test_the_taxonomy() -> None:
    assert len(CATEGORIES) == len(set(CATEGORIES)) == 25
    assert len(TAXONOMY) == 8
    assert set(DOMAIN_OF.values()) == set(TAXONOMY)
    assert not any(a != b and b.startswith(a) for a in CATEGORIES for b in CATEGORIES)  # the longer could not win
    assert set(NO_QUERY) == set(PROMPTS)


@pytest.mark.model
def test_probabilities_are_shares_of_all_25(engine: Any) -> None:
    logs, none = log_likelihoods(engine, QUERY, "en"), log_likelihoods(engine, NO_QUERY["en"], "en")
    plain = asyncio.run(CategoryClassifier(engine, PROMPTS, calibrate=False).classify(QUERY, "en"))
    calibrated = asyncio.run(CategoryClassifier(engine, PROMPTS).classify(QUERY, "en"))
    for found, expected in ((plain, shares(logs)), (calibrated, shares(logs - none))):
        assert expected.sum() == pytest.approx(1.0)
        assert found.category == CATEGORIES[int(expected.argmax())]
        assert found.probability == pytest.approx(expected.max(), rel=1e-3)
        assert found.domain == DOMAIN_OF[found.category]
        assert 1 / 25 < found.probability < 1
    assert plain.probability != pytest.approx(calibrated.probability, rel=1e-2)
    prompt = PROMPTS["en"]["category"].render(engine, query=QUERY, categories="\n".join(CATEGORIES)).text
    for index in (2, 17):  # one name in its own right
        [alone] = asyncio.run(engine.score(prompt, [""], f" {CATEGORIES[index]}"))
        assert alone.logprobs.sum() == pytest.approx(logs[index], abs=1e-3)


@pytest.mark.model
def test_calibration_takes_out_what_a_name_is_worth_by_itself(engine: Any) -> None:
    """Without a query the calibrated classifier has no opinion."""
    found = asyncio.run(CategoryClassifier(engine, PROMPTS).classify(NO_QUERY["en"], "en"))
    assert found.probability == pytest.approx(1 / 25, rel=1e-3)


@pytest.mark.model
def test_the_query_is_cut_and_the_baseline_is_measured_once(engine: Any) -> None:
    classifier = CategoryClassifier(engine, PROMPTS, max_query_chars=20)
    first = asyncio.run(classifier.classify(QUERY, "en"))
    before = engine.usage.scored_tokens
    assert asyncio.run(classifier.classify(QUERY[:20] + " and so on" * 50, "en")) == first
    prompt = PROMPTS["en"]["category"].render(engine, query=QUERY[:20], categories="\n".join(CATEGORIES)).text
    once = sum(engine.count_tokens(f"{prompt} {name}") for name in CATEGORIES)
    assert engine.usage.scored_tokens - before == once


@pytest.mark.model
def test_chinese(engine: Any) -> None:
    query = "为一家只在雨天打折的旧书店写一段广告文案。"
    found = asyncio.run(CategoryClassifier(engine, PROMPTS).classify(query, "zh"))
    expected = shares(log_likelihoods(engine, query, "zh") - log_likelihoods(engine, NO_QUERY["zh"], "zh"))
    assert found.category == CATEGORIES[int(expected.argmax())]
    assert found.probability == pytest.approx(expected.max(), rel=1e-3)
