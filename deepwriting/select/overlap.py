"""What a text has in common with the queries of benchmarks, fast: long runs of words, and near-duplicates.

Texts are compared by the units of ``deepwriting.metrics.units`` without numbers, so that case, punctuation and "1,000
words" against "one thousand words" make no difference.

- **Runs.** A text is looked up by its 6-grams; a hit is extended, word by word, as far as both texts agree. A run
  condemns when it is long enough, or when it is a whole benchmark query that is not trivially short.
- **Near-duplicates.** Jaccard similarity of the sets of word pairs, exact, for the queries that share one.
- **Boilerplate.** What several queries of the benchmarks share ("you should write a detailed response to the following
  question") tells nothing about any of them. It does not count in runs and not in similarities.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepwriting.metrics.units import CJK, units
from deepwriting.select.benchmarks import BenchmarkQuery

#: Length of the n-grams that runs are looked up by (units).
GRAM = 6
#: Length of the n-grams whose sets are compared (units): pairs survive a changed word better than longer ones.
SHINGLE = 2
#: What stands in at least this many rows, and in more than this share of them, is boilerplate.
BOILERPLATE_ROWS = 3
BOILERPLATE_SHARE = 0.005
#: Chinese and Japanese characters that say as much as one word (a Chinese word has 1.5 characters on average).
CHARACTERS_A_WORD = 1.5
#: A shorter run may stand in an answer by chance (words).
MIN_RUN_IN_ANSWER = 10
#: Answers are looked up by every such 6-gram only: a run of ten units holds one wherever it begins.
_ANSWER_STRIDE = MIN_RUN_IN_ANSWER - GRAM + 1
#: Smaller sets of word pairs are alike by chance.
_MIN_SHINGLES = 5
#: Lengths are sums of float32.
_ROUNDING = 1e-3

_DIGITS = re.compile(r"\d[\d.,:]*")
_NUMBER_WORDS = frozenset(
    (
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty", "fifty",
        "sixty", "seventy", "eighty", "ninety", "hundred", "thousand", *"〇零一二两三四五六七八九十百千万",
    )
)  # fmt: skip
_CJK_UNIT = re.compile(f"[{CJK}]")
#: Typographic marks that plain English texts hold, so that most of them are ASCII without these.
_MARKS = (
    ("\u2019", ""),
    ("\u2018", ""),
    ("\u02bc", ""),
    ("\u201c", " "),
    ("\u201d", " "),
    ("\u2014", " "),
    ("\u2013", " "),
)
_LETTERS_ONLY = bytes(byte if 97 <= byte <= 122 else 32 for byte in range(256))


def comparable(text: str) -> list[str]:
    """The units of a text without apostrophes and numbers.

    ASCII texts, which is what most are once quotation marks are gone, take a way that is six times as fast.
    """
    for mark, other in _MARKS:
        text = text.replace(mark, other)
    if text.isascii():
        found = text.lower().encode("ascii").translate(_LETTERS_ONLY, b"'").decode("ascii").split()
    else:
        found = units(_DIGITS.sub(" ", unicodedata.normalize("NFKC", text.replace("'", ""))))
    return [unit for unit in found if unit not in _NUMBER_WORDS]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What was found.

    Attributes:
        query: the benchmark query.
        kind: ``equal``, ``run`` or ``similar``.
        place: ``query`` or ``answer``: where in the pair.
        words: length of the run (words; a Chinese character counts as 1/1.5).
        similarity: Jaccard similarity of near-duplicates, otherwise 0.
        text: the beginning of the run.
    """

    query: BenchmarkQuery
    kind: str
    place: str
    words: float = 0.0
    similarity: float = 0.0
    text: str = ""

    def sentence(self) -> str:
        """The finding in one sentence."""
        whose = f"{self.query.benchmark}, row {self.query.row}"
        if self.kind == "equal":
            return f"the query is that of {whose}"
        if self.kind == "similar":
            return f"the query resembles {whose}: similarity {self.similarity:.2f}"
        return f"the {self.place} shares a run of {self.words:.0f} words with {whose}: {self.text!r}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A benchmark query as the index keeps it; ``weights[i]`` is how many distinctive words stand before unit i."""

    query: BenchmarkQuery
    units: tuple[str, ...]
    weights: Any

    @property
    def words(self) -> float:
        return float(self.weights[-1])


class OverlapIndex:
    """Finds what pairs share with benchmark queries.

    Args:
        queries: the benchmark queries.
        min_run: a shared run condemns from this length (words).
        min_whole: a benchmark query that is shorter condemns when it stands in a request as a whole, from this length.
        min_similarity: least Jaccard similarity of near-duplicates.
    """

    def __init__(self, queries: Iterable[BenchmarkQuery], *, min_run: int, min_whole: int, min_similarity: float):
        self.min_run = min_run
        self.min_whole = min_whole
        self.min_similarity = min_similarity
        distinct: dict[tuple[str, ...], BenchmarkQuery] = {}
        for query in queries:
            if found := comparable(query.text):
                distinct.setdefault(tuple(found), query)
        # A row's several columns are one row: its topic stands in its request, which makes it no boilerplate.
        rows: dict[tuple[str, str], int] = {}
        row_of = [rows.setdefault((query.benchmark, query.row), len(rows)) for query in distinct.values()]
        self._common_from = max(BOILERPLATE_ROWS, int(BOILERPLATE_SHARE * len(rows)) + 1)
        texts = list(distinct)
        grams, gram_entries, gram_starts = _hashed(texts, GRAM)
        common = self._common(grams, gram_entries, row_of)
        boilerplate = _starts(common, gram_entries, gram_starts, len(texts))
        self._entries = [
            _Entry(query, text, _weights(text, starts))
            for (text, query), starts in zip(distinct.items(), boilerplate, strict=True)
        ]
        self._grams, self._gram_entries, self._gram_starts = _sorted(grams, ~common, gram_entries, gram_starts)
        shingles, entries, _ = _hashed(texts, SHINGLE)
        common = self._common(shingles, entries, row_of)
        once = np.unique(np.stack([shingles[~common], entries[~common]]), axis=1)
        self._sizes = np.bincount(once[1], minlength=len(texts))
        self._shingles, self._postings = np.unique(once[0], return_index=True)
        self._postings = np.append(self._postings, once.shape[1])
        self._shingle_entries = once[1]
        # Most texts share nothing: Python's sets say so faster than arrays do.
        self._known_grams = set(self._grams.tolist())
        self._known_shingles = set(self._shingles.tolist())
        self._common_shingles = set(shingles[common].tolist())
        self._equal = {text: index for index, text in enumerate(texts)}

    def _common(self, hashes: Any, entries: Any, row_of: Sequence[int]) -> Any:
        """Which n-grams stand in so many rows that they are boilerplate."""
        rows = np.asarray(row_of, dtype=np.int64)[entries]
        once = np.unique(np.stack([hashes, rows]), axis=1)[0]
        values, counts = np.unique(once, return_counts=True)
        return np.isin(hashes, values[counts >= self._common_from])

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, query: str, answer: str | None = None) -> Overlap | None:
        """What a pair shares with a benchmark, the plainest finding first.

        Args:
            query: the pair's query.
            answer: its answer; ``None`` to leave it out.
        """
        if not self._entries:
            return None
        asked = comparable(query)
        if (equal := self._equal.get(tuple(asked))) is not None:
            return Overlap(self._entries[equal].query, "equal", "query")
        if found := self._run(asked, self.min_run, self.min_whole, 1, "query"):
            return found
        if found := self._similar(asked):
            return found
        if answer is None:
            return None
        least = MIN_RUN_IN_ANSWER
        return self._run(
            comparable(answer), max(self.min_run, least), max(self.min_whole, least), _ANSWER_STRIDE, "answer"
        )

    def _run(self, text: list[str], min_run: int, min_whole: int, stride: int, place: str) -> Overlap | None:
        grams = list(map(hash, zip(*(text[start::stride] for start in range(GRAM)), strict=False)))
        if not grams:
            return None
        best: Overlap | None = None
        seen: dict[tuple[int, int], int] = {}
        if self._known_grams.isdisjoint(grams):
            return None
        for number, gram in enumerate(grams):
            if gram not in self._known_grams:
                continue
            at, position = int(np.searchsorted(self._grams, gram)), number * stride
            while at < len(self._grams) and self._grams[at] == gram:
                index, start = int(self._gram_entries[at]), int(self._gram_starts[at])
                at += 1
                # Grams of one run lie on one diagonal: it is extended once.
                if seen.get((index, position - start), -1) > position:
                    continue
                entry = self._entries[index]
                begin, end = _extended(text, position, entry.units, start)
                seen[index, position - start] = position + end - start
                words = float(entry.weights[end] - entry.weights[begin])
                enough = min_run if entry.words >= min_run else max(entry.words, min_whole)
                if words >= enough - _ROUNDING and (best is None or words > best.words):
                    shown = " ".join(entry.units[begin : begin + 12])
                    best = Overlap(entry.query, "run", place, words=words, text=shown)
        return best

    def _similar(self, text: list[str]) -> Overlap | None:
        pairs = set(map(hash, itertools.pairwise(text)))
        if len(pairs) < _MIN_SHINGLES:
            return None
        size = len(pairs) - len(pairs & self._common_shingles)
        known = pairs & self._known_shingles
        # No query can share more than all that were found.
        if size < _MIN_SHINGLES or len(known) < self.min_similarity * size:
            return None
        places = np.searchsorted(self._shingles, np.fromiter(known, dtype=np.int64, count=len(known)))
        begins, ends = self._postings[places], self._postings[places + 1]
        shared = np.concatenate([self._shingle_entries[begin:end] for begin, end in zip(begins, ends, strict=True)])
        entries, counts = np.unique(shared, return_counts=True)
        sizes = self._sizes[entries]
        likeness = np.where(sizes >= _MIN_SHINGLES, counts / (sizes + size - counts), 0.0)
        if likeness.max() < self.min_similarity:
            return None
        best = int(likeness.argmax())
        query = self._entries[int(entries[best])].query
        return Overlap(query, "similar", "query", similarity=float(likeness[best]))


def _hashed(texts: Sequence[tuple[str, ...]], n: int) -> tuple[Any, Any, Any]:
    """Hashes of all n-grams, and where each stands: index of the text, index of its first unit."""
    hashes, entries, starts = list[Any](), list[Any](), list[Any]()
    for index, text in enumerate(texts):
        count = max(0, len(text) - n + 1)
        grams = zip(*(text[start:] for start in range(n)), strict=False)
        hashes.append(np.fromiter(map(hash, grams), dtype=np.int64, count=count))
        entries.append(np.full(count, index, dtype=np.int64))
        starts.append(np.arange(count, dtype=np.int64))
    if not texts:
        return (np.zeros(0, dtype=np.int64),) * 3
    return np.concatenate(hashes), np.concatenate(entries), np.concatenate(starts)


def _starts(common: Any, entries: Any, starts: Any, count: int) -> list[Any]:
    """For each text the first units of its n-grams that are boilerplate."""
    bounds = np.searchsorted(entries[common], np.arange(count + 1))
    found = starts[common]
    return [found[bounds[index] : bounds[index + 1]] for index in range(count)]


def _weights(text: tuple[str, ...], boilerplate: Any) -> Any:
    """How many distinctive words stand before each unit, and before the end."""
    weights = np.array([1 / CHARACTERS_A_WORD if _CJK_UNIT.match(unit) else 1.0 for unit in text], dtype=np.float32)
    for start in boilerplate:
        weights[start : start + GRAM] = 0.0
    return np.concatenate([np.zeros(1, dtype=np.float32), np.cumsum(weights, dtype=np.float32)])


def _sorted(hashes: Any, kept: Any, *others: Any) -> tuple[Any, ...]:
    """The kept n-grams in the order of their hashes, and what belongs to them."""
    order = np.argsort(hashes[kept], kind="stable")
    return (hashes[kept][order], *(other[kept][order].astype(np.int32) for other in others))


def _extended(text: list[str], position: int, other: tuple[str, ...], start: int) -> tuple[int, int]:
    """Begin and end, in ``other``, of the run around two equal places."""
    begin, end, shift = start, start, position - start
    while end < len(other) and end + shift < len(text) and other[end] == text[end + shift]:
        end += 1
    while begin > 0 and begin + shift > 0 and other[begin - 1] == text[begin + shift - 1]:
        begin -= 1
    return begin, end
