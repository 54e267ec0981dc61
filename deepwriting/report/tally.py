"""What is remembered of the rows of one file: counters and sketches, and a few samples; never the rows.

Tallies of files add up to the tally of a stage. Nothing in them depends on how the rows are spread over files: the
samples are those rejects whose ids have the smallest hashes.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import orjson

from deepwriting.report.model import Sample
from deepwriting.report.sketch import Sketch
from deepwriting.report.text import cut
from deepwriting.schema import REJECT, REJECT_DETAIL

#: Sample rejects a reason.
SAMPLES = 3
#: Texts of samples are cut to this (characters).
SAMPLE_CHARS = 300
#: Details are compared by their beginnings (characters).
DETAIL_CHARS = 200
#: Different details of a reason that are told apart; a reason with more has details that differ from row to row.
MAX_DETAILS = 200
#: Different measures that are followed; further ones in the metadata are left out.
MAX_MEASURES = 48
#: Different languages or categories that are told apart; the rest counts as ``OTHERS``.
MAX_VALUES = 200
OTHERS = "(others)"
#: Seed of the choice of samples, so that two reports of one run show the same ones.
_SEED = "samples"
#: Numbers in the provenance that tell of quality: the upvotes of a story.
_PROVENANCE_MEASURES = ("score",)
#: Where cleaning notes the personal details that it has masked: their sum in the metadata, by kind in the provenance.
MASKED = "pii_masked"
#: Numbers in the metadata that measure nothing, or are counted otherwise.
_NOT_MEASURES = {"rollout", MASKED}
#: What JSON's numbers become; a bool is none.
_NUMBERS = {int, float}
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
#: What differs from row to row: a quotation, or a word with a digit.
_PARTICULAR = re.compile(
    r"""(['"“‘]).*?['"”’](?!\w)|(?<![^\s/:,;()'"])[^\s/:,;()'"\d]*+\d[^\s/:,;()'"]*""",
)


@dataclass
class RowTally:
    """Rows of one source that went on, or that ended with a reject after they had been pairs.

    Attributes:
        rows: number of rows.
        lengths: ``query`` and ``answer`` -> lengths (characters).
        languages: language -> rows.
        categories: category -> rows.
        probabilities: category -> its probabilities.
        measures: numeric metadata, by name.
        masked: kind of personal detail -> masked occurrences.
        masked_rows: rows with at least one.
        labels: counts of searched rows: ``stop_reason``, ``flags``, ``drop_reasons``, ``refusals``, ``outcomes``.
    """

    rows: int = 0
    lengths: dict[str, Sketch] = field(default_factory=lambda: {"query": Sketch(), "answer": Sketch()})
    languages: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    probabilities: dict[str, Sketch] = field(default_factory=dict)
    measures: dict[str, Sketch] = field(default_factory=dict)
    masked: Counter[str] = field(default_factory=Counter)
    masked_rows: int = 0
    labels: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, text: str, row: Mapping[str, Any]) -> None:
        """Count one row by its answer and its metadata."""
        self.rows += 1
        self.lengths["answer"].add(len(text))
        if isinstance(query := row.get("query"), str):
            self.lengths["query"].add(len(query))
        if language := row.get("language"):
            _count(self.languages, str(language))
        if category := row.get("category"):
            name = _count(self.categories, str(category))
            if _is_number(probability := row.get("category_probability")):
                self.probabilities.setdefault(name, Sketch()).add(probability)
        for name, value in row.items():
            if type(value) in _NUMBERS and name not in _NOT_MEASURES:
                self._measure(name, value)
        known = _provenance(row.get("provenance"))
        for name in _PROVENANCE_MEASURES:
            if _is_number(value := known.get(name)):
                self._measure(f"provenance.{name}", value)
        # The kinds stand in the provenance, their sum beside it.
        self._personal(known.get(MASKED) or row.get(MASKED))
        if "score_after" in row:
            self._searched(row)

    def merge(self, other: RowTally) -> None:
        """Add the rows of another tally."""
        self.rows += other.rows
        self.masked_rows += other.masked_rows
        for mine, theirs in (
            (self.lengths, other.lengths),
            (self.probabilities, other.probabilities),
            (self.measures, other.measures),
        ):
            for name, sketch in theirs.items():
                mine.setdefault(name, Sketch()).merge(sketch)
        self.languages.update(other.languages)
        self.categories.update(other.categories)
        self.masked.update(other.masked)
        for name, counts in other.labels.items():
            self.labels.setdefault(name, Counter()).update(counts)

    def _measure(self, name: str, value: float) -> None:
        sketch = self.measures.get(name)
        if sketch is None:
            if len(self.measures) >= MAX_MEASURES:
                return
            sketch = self.measures[name] = Sketch()
        sketch.add(value)

    def _personal(self, masked: object) -> None:
        if _is_number(masked):
            masked = {"personal detail": masked}
        if not isinstance(masked, dict):
            return
        found = {str(kind): int(count) for kind, count in masked.items() if _is_number(count) and count > 0}
        for kind, count in found.items():
            _count(self.masked, kind, count)
        self.masked_rows += bool(found)

    def _searched(self, row: Mapping[str, Any]) -> None:
        outcomes = self.labels.setdefault("outcomes", Counter())
        outcomes["lower_score"] += row["score_after"] < row["score_before"]
        outcomes["below_no_thinking"] += row["score_after"] < row["score_no_thinking"]
        outcomes["edited"] += row["accepted_edits"] > 0
        outcomes["accepted_edits"] += row["accepted_edits"]
        outcomes["steps"] += row["steps"]
        outcomes["kept"] += bool(row.get("keep"))
        for name in ("flags", "drop_reasons"):
            self.labels.setdefault(name, Counter()).update(set(row.get(name) or ()))
        self.labels.setdefault("refusals", Counter()).update(row.get("refusals") or {})
        self.labels.setdefault("stop_reason", Counter())[row["stop_reason"]] += 1


@dataclass
class ReasonTally:
    """Rows that ended for one reason.

    Attributes:
        sources: source -> rows.
        details: what the details say, without what differs from row to row -> rows; ``None`` once they are too many.
        samples: the rejects with the smallest hashes, smallest first.
    """

    sources: Counter[str] = field(default_factory=Counter)
    details: Counter[str] | None = field(default_factory=Counter)
    samples: list[tuple[int, Sample]] = field(default_factory=list)

    def add(self, document: Mapping[str, Any], names: frozenset[str]) -> None:
        """Count one reject."""
        row = document["metadata"]
        self.sources[str(row.get("source", ""))] += 1
        detail = str(row.get(REJECT_DETAIL) or "")
        if detail and self.details is not None:
            self.details[general(detail, names)] += 1
            if len(self.details) > MAX_DETAILS:
                self.details = None
        key = _hash(document)
        if len(self.samples) < SAMPLES or key < self.samples[-1][0]:
            self._keep([*self.samples, (key, _sample(document, detail))])

    def merge(self, other: ReasonTally) -> None:
        """Add the rejects of another tally."""
        self.sources.update(other.sources)
        self._keep([*self.samples, *other.samples])
        if self.details is None or other.details is None:
            self.details = None
            return
        self.details.update(other.details)
        if len(self.details) > MAX_DETAILS:
            self.details = None

    def _keep(self, samples: list[tuple[int, Sample]]) -> None:
        self.samples = sorted(samples, key=lambda item: (item[0], item[1].text))[:SAMPLES]


@dataclass
class Tally:
    """Everything that is remembered of a file, or of many.

    Attributes:
        rows: source -> its rows.
        reasons: reason -> its rejects; empty for shards.
    """

    rows: dict[str, RowTally] = field(default_factory=dict)
    reasons: dict[str, ReasonTally] = field(default_factory=dict)

    def add(self, document: Mapping[str, Any], names: frozenset[str] = frozenset()) -> None:
        """Count one document as datatrove wrote it.

        Args:
            document: ``id``, ``text`` and ``metadata``.
            names: words that details keep although they hold digits: the names of sources.

        Raises:
            KeyError, TypeError: if it is no such document.
        """
        row = document["metadata"]
        source = str(row.get("source", ""))
        tally = self.rows.get(source)
        if tally is None:
            tally = self.rows[source] = RowTally()
        tally.add(document["text"], row)
        if reason := row.get(REJECT):
            found = self.reasons.get(reason)
            if found is None:
                found = self.reasons[str(reason)] = ReasonTally()
            found.add(document, names)

    def merge(self, other: Tally) -> None:
        """Add another tally."""
        for source, rows in other.rows.items():
            self.rows.setdefault(source, RowTally()).merge(rows)
        for reason, found in other.reasons.items():
            self.reasons.setdefault(reason, ReasonTally()).merge(found)

    @property
    def total(self) -> int:
        """Number of rows."""
        return sum(rows.rows for rows in self.rows.values())


def general(detail: str, names: frozenset[str] = frozenset()) -> str:
    """A detail without what differs from row to row: numbers become ``#``, ids and quotations ``…``.

    Args:
        detail: for example ``duplicate of wp/t3_1a2b``, which becomes ``duplicate of wp/…``.
        names: words to keep although they hold digits.
    """
    return _PARTICULAR.sub(lambda match: "…" if match[1] else _without_number(match[0], names), detail[:DETAIL_CHARS])


def _without_number(word: str, names: frozenset[str]) -> str:
    bare = word.rstrip(".")
    if bare in names:
        return word
    return _NUMBER.sub("#", word) if _NUMBER.fullmatch(bare.strip("%+-~")) else "…" + word[len(bare) :]


def _provenance(provenance: object) -> dict[str, Any]:
    """The provenance, if it holds something that is looked at here: most rows' need not be parsed."""
    wanted = (*_PROVENANCE_MEASURES, MASKED)
    if not isinstance(provenance, str) or not any(f'"{name}"' in provenance for name in wanted):
        return {}
    try:
        known = orjson.loads(provenance)
    except orjson.JSONDecodeError:
        return {}
    return known if isinstance(known, dict) else {}


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in _NUMBERS


def _count(counter: Counter[str], value: str, times: int = 1) -> str:
    """Count a value, or ``OTHERS`` once there are many; returns what was counted."""
    name = value if value in counter or len(counter) < MAX_VALUES else OTHERS
    counter[name] += times
    return name


def _hash(document: Mapping[str, Any]) -> int:
    row = document["metadata"]
    name = f"{_SEED}:{document.get('id')}:{row.get('source')}:{row.get('source_id')}"
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _sample(document: Mapping[str, Any], detail: str) -> Sample:
    row = document["metadata"]
    query = row.get("query")
    return Sample(
        source=str(row.get("source", "")),
        source_id=cut(str(row.get("source_id", "")), 120),
        detail=cut(detail, SAMPLE_CHARS),
        query=cut(query, SAMPLE_CHARS) if isinstance(query, str) else "",
        text=cut(document["text"], SAMPLE_CHARS),
    )
