from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwriting.select.fast import fast_model, labelled_sample, train
from deepwriting.select.ngrams import BUCKETS, CHARACTERS, ngrams
from deepwriting.select.taxonomy import CATEGORIES


def test_the_sample_has_enough_of_every_category_in_both_languages() -> None:
    sample = labelled_sample()
    counts = Counter((entry.category, entry.language, entry.part) for entry in sample)
    for category in CATEGORIES:
        for language, queries, held_out in (("en", 14, 5), ("zh", 6, 3)):
            assert counts[category, language, "held_out"] >= held_out
            assert counts[category, language, "train"] + counts[category, language, "held_out"] >= queries
            assert counts[category, language, "cues"] >= 10
    assert {entry.category for entry in sample} == set(CATEGORIES)
    queries = [entry.query for entry in sample if entry.part != "cues"]
    assert len(queries) == len(set(queries))


@pytest.mark.parametrize(("language", "least"), [("en", 0.75), ("zh", 0.8)])
def test_it_finds_the_category_of_most_queries_it_has_not_seen(language: str, least: float) -> None:
    held = [entry for entry in labelled_sample() if entry.language == language and entry.part == "held_out"]
    shares = fast_model(language).probabilities([entry.query for entry in held], language)
    truth = np.array([CATEGORIES.index(entry.category) for entry in held])
    right, sure = shares.argmax(axis=1) == truth, shares.max(axis=1)
    assert shares.shape == (len(held), 25)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert right.mean() > least
    assert right[sure >= 0.8].mean() > 0.93
    assert abs(sure.mean() - right.mean()) < 0.1, "probabilities are what they say"


def test_the_held_out_part_is_not_learned() -> None:
    sample = labelled_sample()
    without = train([entry for entry in sample if entry.part != "held_out"], "zh")
    assert np.array_equal(without.coefficients, fast_model("zh").coefficients)


def test_a_text_gets_the_same_whatever_stands_beside_it() -> None:
    texts = [entry.query for entry in labelled_sample() if entry.language == "en"][:600]
    together = fast_model("en").probabilities(texts, "en")
    for index in (0, 255, 256, 599):
        assert fast_model("en").probabilities([texts[index]], "en")[0] == pytest.approx(together[index], abs=1e-6)


@pytest.mark.parametrize("text", ["", "   ", "!!! ???", "🙂🙂", "\ud800", "x", "İ" * 50, "a" * 5000])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_odd_texts_have_probabilities_too(text: str, language: str) -> None:
    shares = fast_model(language).probabilities([text, "Write a poem.", text], language)
    assert np.isfinite(shares).all()
    assert shares[0] == pytest.approx(shares[2])


def test_no_texts() -> None:
    assert fast_model("en").probabilities([], "en").shape == (0, 25)


def grams(text: str, language: str) -> Counter[str]:
    """The n-grams of one text, by the definition and one by one."""
    plain = "".join("0" if c.isdigit() else c if c.isalpha() and ord(c) < 0x10000 else " " for c in text.lower())
    plain = f" {' '.join(plain.split())} " if plain.split() else " "
    found: Counter[str] = Counter()
    for length in CHARACTERS[language]:
        for at in range(len(plain) - length + 1):
            gram = plain[at : at + length]
            if " " not in (gram[1:-1] if language == "en" else gram):
                found[gram] += 1
    words = plain.split() if language == "en" else []
    found.update(f"w {word}" for word in words)
    found.update(f"p {a} {b}" for a, b in itertools.pairwise(words))
    return found


@given(st.lists(st.text(alphabet="abAé9 ,.写诗。", max_size=30), min_size=1, max_size=4), st.sampled_from(["en", "zh"]))
@settings(max_examples=60)
def test_ngrams_are_those_of_the_definition(texts: list[str], language: str) -> None:
    found: list[Counter[int]] = [Counter() for _ in texts]
    for kind in ngrams(texts, language):
        assert ((kind.buckets >= 0) & (kind.buckets < BUCKETS)).all()
        assert (np.diff(kind.rows) >= 0).all()
        for row, bucket in zip(kind.rows.tolist(), kind.buckets.tolist(), strict=True):
            found[row][bucket] += 1
    for text, buckets in zip(texts, found, strict=True):
        # Two n-grams may share a bucket, which the counts of so few hardly ever do.
        assert buckets.total() == grams(text, language).total()
        assert abs(len(buckets) - len(grams(text, language))) <= 1
