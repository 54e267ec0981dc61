"""The fast classifier: a linear model over hashed n-grams, made in a moment from the labelled sample in the package.

Ridge regression on the 25 categories with tf-idf weights. It has a closed form, and so have the answers it would give
to each training query without having seen it (leave-one-out); the probabilities are calibrated on those. Nothing is
stored but the sample: a reader of the code can see what the classifier knows, and a change of the sample is a change of
one text file.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from deepwriting.select.ngrams import BUCKETS, NGrams, ngrams
from deepwriting.select.taxonomy import CATEGORIES, TAXONOMY

#: Weight of the penalty on large coefficients. Between 0.1 and 1 the held-out accuracy moves by less than 2 points.
RIDGE = 0.3
#: Slopes tried for the calibration: from near indifference to near certainty.
_SLOPES = np.geomspace(1.0, 100.0, 81)
#: Texts worked on at once: their n-grams' coefficients stay in the processor's cache.
BATCH = 256


@dataclass(frozen=True)
class Labelled:
    """One entry of the labelled sample.

    Attributes:
        query: a writing request; in part ``cues`` a word or two that tell a category.
        category: the category it belongs to.
        language: ``en`` or ``zh``.
        part: ``train``, ``held_out`` or ``cues``.
    """

    query: str
    category: str
    language: str
    part: str


def _sample_text() -> str:
    return files("deepwriting.select").joinpath("labelled.jsonl").read_text(encoding="utf-8")


def sample_hash() -> str:
    """Hash of the labelled sample: what the fast classifier knows (first 16 digits of SHA-256)."""
    return hashlib.sha256(_sample_text().encode()).hexdigest()[:16]


@functools.cache
def labelled_sample() -> tuple[Labelled, ...]:
    """The labelled queries of the package."""
    text = _sample_text()
    return tuple(Labelled(**json.loads(line)) for line in text.splitlines())


@dataclass(frozen=True)
class FastModel:
    """What the classifier has learned for one language.

    Attributes:
        column: by bucket, the n-gram's column; 0 for n-grams that the sample does not have.
        coefficients: (columns, categories), the tf-idf weight included.
        squares: by column, the square of the n-gram's weight, which the length of a text's vector is made of.
        mean: by category, what an empty text scores.
        slope: what scores are multiplied with before they become probabilities.
    """

    column: NDArray[np.int32]
    coefficients: NDArray[np.float32]
    squares: NDArray[np.float32]
    mean: NDArray[np.float64]
    slope: float

    def probabilities(self, texts: Sequence[str], language: str) -> NDArray[np.float64]:
        """Probabilities of the categories: (texts, categories), each row adds up to 1."""
        parts = [self._scores(texts[at : at + BATCH], language) for at in range(0, len(texts), BATCH)]
        scores = np.concatenate([np.empty((0, len(CATEGORIES))), *parts])
        return _shares(scores * self.slope)

    def _scores(self, texts: Sequence[str], language: str) -> NDArray[np.float64]:
        sums = np.zeros((len(texts), len(CATEGORIES)), dtype=np.float32)
        norms = np.zeros(len(texts))
        for kind in ngrams(texts, language):
            columns = self.column[kind.buckets]
            norms += np.bincount(kind.rows, weights=self.squares[columns], minlength=len(texts))
            known = columns > 0
            rows, values = kind.rows[known], self.coefficients[columns[known]]
            if len(rows):
                starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
                sums[rows[starts]] += np.add.reduceat(values, starts)
        scores: NDArray[np.float64] = self.mean + sums / np.sqrt(np.maximum(norms, 1e-9))[:, None]
        return scores


def _shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _training(sample: Sequence[Labelled], language: str) -> tuple[list[str], NDArray[np.int64], NDArray[np.bool_]]:
    """Texts to learn from, their categories, and which of them are like the queries of a run."""
    entries = [entry for entry in sample if entry.language == language and entry.part != "held_out"]
    texts = [entry.query for entry in entries]
    labels = [CATEGORIES.index(entry.category) for entry in entries]
    queries = [entry.part == "train" for entry in entries]
    if language == "en":
        for categories in TAXONOMY.values():
            for name, about in categories.items():
                texts.append(f"{name}: {about}")
                labels.append(CATEGORIES.index(name))
                queries.append(False)
    return texts, np.array(labels), np.array(queries)


def train(sample: Sequence[Labelled], language: str) -> FastModel:
    """Learn from the sample's queries in one language, its held-out part excepted."""
    texts, labels, queries = _training(sample, language)
    kinds = ngrams(texts, language)
    used = np.unique(np.concatenate([kind.buckets for kind in kinds]))
    column = np.zeros(BUCKETS, dtype=np.int32)
    column[used] = np.arange(1, len(used) + 1)
    features = _counted(kinds, column, (len(texts), len(used) + 1))
    weights = np.log((1 + len(texts)) / (1 + np.count_nonzero(features, axis=0))) + 1
    occurrences = features @ (weights**2)
    features *= weights.astype(np.float32)
    features /= np.sqrt(occurrences)[:, None].astype(np.float32)

    # Most n-grams stand in one text only: they add to its square, and to no product of two texts.
    common = features[:, np.count_nonzero(features, axis=0) > 1]
    gram = (common @ common.T).astype(np.float64)
    np.fill_diagonal(gram, np.square(features, dtype=np.float64).sum(axis=1))
    target = np.eye(len(CATEGORIES))[labels]
    # As many texts to each category as to the others, whatever the sample holds.
    mean = np.full(len(CATEGORIES), 1 / len(CATEGORIES))
    inverse = np.linalg.inv(gram + RIDGE * np.eye(len(texts)))
    dual = inverse @ (target - mean)
    unseen = target - dual / np.diag(inverse)[:, None]  # leave-one-out: y - α / (G + λ)⁻¹ᵢᵢ
    slope = _calibrated(unseen[queries], labels[queries])
    coefficients = (features.T @ dual.astype(np.float32)) * weights[:, None].astype(np.float32)
    coefficients[0] = 0
    return FastModel(column, coefficients, (weights**2).astype(np.float32), mean, slope)


def _counted(kinds: Sequence[NGrams], column: NDArray[np.int32], shape: tuple[int, int]) -> NDArray[np.float32]:
    counts = np.zeros(shape, dtype=np.float32)
    for kind in kinds:
        np.add.at(counts, (kind.rows, column[kind.buckets]), 1)
    return counts


def _calibrated(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The slope under which the right categories are likeliest."""
    rows = np.arange(len(labels))
    likelihood = [float(np.log(_shares(scores * slope)[rows, labels]).sum()) for slope in _SLOPES]
    return float(_SLOPES[int(np.argmax(likelihood))])


@functools.cache
def fast_model(language: str) -> FastModel:
    """The model for ``en`` or ``zh``, made at its first use in this process."""
    return train(labelled_sample(), language)
