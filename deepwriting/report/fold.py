"""From tallies to the parts of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from deepwriting.report.model import Category, Detail, Lengths, Masked, Measure, Reason, Search, Spread
from deepwriting.report.sketch import Sketch
from deepwriting.report.tally import ReasonTally, RowTally, Tally
from deepwriting.report.text import cut
from deepwriting.select.taxonomy import CATEGORIES, DOMAIN_OF

#: Bins of a histogram between a number and ten times that number.
BINS_PER_DECADE = 10
#: Details of a reason that are shown.
MOST_DETAILS = 8
#: Measures of the search, in the order in which they are shown.
SEARCH_MEASURES = (
    "score_no_thinking", "score_before", "score_after", "perplexity_no_thinking", "perplexity_before",
    "perplexity_after", "thinking_tokens_before", "thinking_tokens_after", "answer_tokens", "steps", "accepted_edits",
    "repetition", "end_pattern_count", "copy_ratio", "longest_copy",
)  # fmt: skip


def ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Most first; equal counts by name."""
    return dict(sorted(((k, n) for k, n in counts.items() if n), key=lambda item: (-item[1], item[0])))


def spread(sketch: Sketch | None, *, bins: bool = False) -> Spread | None:
    """A sketch as plain figures of six digits; ``None`` without numbers."""
    if sketch is None or not sketch.count:
        return None
    mean, least, most, quantiles = sketch.summary((0.1, 0.5, 0.9))
    low, median, high = (_rounded(value) for value in quantiles)
    return Spread(
        rows=sketch.count,
        mean=_rounded(mean),
        least=_rounded(least),
        low=low,
        median=median,
        high=high,
        most=_rounded(most),
        bins=[(_rounded(a), _rounded(b), n) for a, b, n in sketch.histogram(BINS_PER_DECADE)] if bins else [],
    )


def _rounded(value: float) -> float:
    """Six significant digits: more would depend on the order in which parts were summed."""
    return float(f"{value:.6g}") if abs(value) < 1e6 else float(round(value))


def reasons(tallies: Mapping[tuple[str, str], Tally], order: Mapping[str, Mapping[str, int]]) -> list[Reason]:
    """Every reason with its rows.

    Args:
        tallies: tallies by stage and folder.
        order: stage -> its reasons in the order in which they are shown.
    """
    return [
        _reason(stage, name, tallies[stage, "rejects"].reasons[name])
        for stage, names in order.items()
        for name in names
        if name in tallies.get((stage, "rejects"), Tally()).reasons
    ]


def _reason(stage: str, name: str, tally: ReasonTally) -> Reason:
    details = ranked(tally.details or {})
    return Reason(
        stage=stage,
        reason=name,
        rows=tally.sources.total(),
        sources=ranked(tally.sources),
        details=[Detail(cut(text, 160), rows) for text, rows in list(details.items())[:MOST_DETAILS]],
        samples=[sample for _, sample in tally.samples],
    )


def lengths(checked: Mapping[str, RowTally], left: Mapping[str, RowTally], names: Sequence[str]) -> list[Lengths]:
    """Lengths before and after, for all sources together and for each in the order of their names."""
    found = []
    for text in ("query", "answer"):
        before = {source: rows.lengths[text] for source, rows in checked.items()}
        after = {source: rows.lengths[text] for source, rows in left.items()}
        for source in ["", *(name for name in names if name in before)] if before else []:
            first = spread(_of(before, source), bins=True)
            found.append(Lengths(text, source, first, spread(_of(after, source), bins=True)))
    return found


def measures(checked: Mapping[str, RowTally], left: Mapping[str, RowTally], names: Sequence[str]) -> list[Measure]:
    """Numbers that pairs carry, for all sources together and for each in the order of their names."""
    found = []
    for name in sorted({name for rows in checked.values() for name in rows.measures}):
        before = {source: rows.measures[name] for source, rows in checked.items() if name in rows.measures}
        after = {source: rows.measures[name] for source, rows in left.items() if name in rows.measures}
        for source in ["", *(source for source in names if source in before)]:
            found.append(Measure(name, source, spread(_of(before, source)), spread(_of(after, source))))
    return found


def _of(sketches: Mapping[str, Sketch], source: str) -> Sketch | None:
    """One source's sketch; that of all together for an empty name."""
    if source:
        return sketches.get(source)
    total = Sketch()
    for name in sorted(sketches):
        total.merge(sketches[name])
    return total


def selected(left: Mapping[str, RowTally], facts: Mapping[str, Any]) -> list[Category]:
    """The categories of the pairs that are left, with what the selection asked for and could have had."""
    sources: dict[str, Counter[str]] = {}
    probabilities: dict[str, Sketch] = {}
    for source in sorted(left):
        for name, count in left[source].categories.items():
            sources.setdefault(name, Counter())[source] += count
        for name, sketch in left[source].probabilities.items():
            probabilities.setdefault(name, Sketch()).merge(sketch)
    told = _told(facts)
    known = [name for name in CATEGORIES if name in sources or name in told]
    found = []
    for name in [*known, *sorted(sources.keys() - set(CATEGORIES))]:
        probability, selection = spread(probabilities.get(name)), told.get(name, {})
        found.append(
            Category(
                name=name,
                domain=DOMAIN_OF.get(name, ""),
                rows=sources.get(name, Counter()).total(),
                sources=ranked(sources.get(name, {})),
                probability=probability.median if probability else None,
                asked=_whole(selection.get("wanted")),
                available=_whole(selection.get("available")),
                why=str(selection.get("why", "")),
            )
        )
    return found


def _told(facts: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What the selection tells of each category (deepwriting/select/report.py); nothing if it kept every pair."""
    told = facts.get("categories")
    if facts.get("pairs") is None or not isinstance(told, Mapping):
        return {}
    return {str(name): one for name, one in told.items() if isinstance(one, Mapping)}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def masked(left: Mapping[str, RowTally], names: Sequence[str]) -> list[Masked]:
    """Masked personal details of the pairs that are left, by source."""
    found = [(source, left[source]) for source in names if source in left and left[source].masked]
    return [Masked(source, ranked(rows.masked), rows.masked_rows) for source, rows in found]


def search(stage: str, tallies: Mapping[str, RowTally]) -> Search | None:
    """The effect of the search over all its rows; ``None`` without rows.

    Args:
        stage: the stage whose rows these are.
        tallies: its rows, by source.
    """
    total = RowTally()
    for source in sorted(tallies):
        total.merge(tallies[source])
    if not total.rows:
        return None
    outcomes = total.labels.get("outcomes", Counter())
    spreads = {name: spread(total.measures.get(name)) for name in SEARCH_MEASURES}
    return Search(
        rows=total.rows,
        stage=stage,
        measures={name: found for name, found in spreads.items() if found},
        lower_score=outcomes["lower_score"],
        below_no_thinking=outcomes["below_no_thinking"],
        edited=outcomes["edited"],
        accepted_edits=outcomes["accepted_edits"],
        steps=outcomes["steps"],
        stop_reasons=ranked(total.labels.get("stop_reason", {})),
        refusals=ranked(total.labels.get("refusals", {})),
        flags=ranked(total.labels.get("flags", {})),
        kept=outcomes["kept"] if stage == "build" else None,
        published=_published(tallies) if stage == "build" else {},
        drop_reasons=ranked(total.labels.get("drop_reasons", {})),
    )


def _published(tallies: Mapping[str, RowTally]) -> dict[str, int]:
    return ranked({source: tally.labels.get("outcomes", Counter())["kept"] for source, tally in tallies.items()})
