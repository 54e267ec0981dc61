"""The page's sections about what the rows are like: lengths, measures, samples of rejects."""

from __future__ import annotations

from collections.abc import Iterable

from deepwriting.report.charts import axis, colour_of, histogram, legend, ranges
from deepwriting.report.html_sections import names_of
from deepwriting.report.html_tables import Column, number, table
from deepwriting.report.markup import Markup, element, joined
from deepwriting.report.model import Lengths, Reason, Report, Sample, Spread
from deepwriting.report.text import cut
from deepwriting.report.wording import behind, count, label, middle

#: A reason's most frequent detail is cut to this beside its name (characters).
_MOST_CHARS = 90
#: What the two texts of a pair are called.
_TEXTS = {"query": "Queries", "answer": "Answers"}


def lengths(report: Report) -> Markup:
    """Histograms of all pairs before and after, and the range of each source."""
    if not report.lengths:
        return Markup("")
    after = behind(report.last) if report.last != "source" else ""
    entries = {"pairs that passed the checks": "was"} | ({after: "now"} if after else {})
    charts = [_chart(length, after) for length in report.lengths if not length.source and length.before]
    parts = [
        element("p", "Characters, on a logarithmic scale; the height of a bar is the share of the pairs."),
        legend(entries),
        element("div", *charts, class_="pair"),
    ]
    for text, name in _TEXTS.items():
        found = [length for length in report.lengths if length.text == text]
        if found:
            parts.append(_length_table(report, name, found, after))
    return joined(*parts)


def _chart(length: Lengths, after: str) -> Markup:
    series = [("was", "pairs", length.before), ("now", after, length.after if after else None)]
    drawn = [(colour, name, spread) for colour, name, spread in series if spread is not None]
    spoken = "; ".join(f"{name}: {_in_words(spread)}" for _, name, spread in drawn)
    name = _TEXTS[length.text]
    chart = histogram(drawn, f"Histogram of the length of {name.lower()} in characters. {spoken}.")
    return element("figure", element("h3", name), chart)


def _in_words(spread: Spread) -> str:
    return f"median {spread.median:,.0f}, 10th percentile {spread.low:,.0f}, 90th percentile {spread.high:,.0f}"


def _length_table(report: Report, name: str, found: list[Lengths], after: str) -> Markup:
    several = len(report.sources) > 1
    shown = [length for length in found if not length.source or several]
    spreads = [spread for length in shown for spread in (length.before, length.after) if spread is not None]
    low, high = (max(min(spread.low for spread in spreads), 1.0) / 1.1, max(spread.high for spread in spreads) * 1.1)
    names = names_of(report)
    columns = [Column("source"), number("pairs")]
    columns += [number(after)] if after else []
    columns.append(Column("10th to 90th percentile, median", "bar"))
    rows = [
        [
            length.source or "all",
            middle(length.before),
            *([middle(length.after)] if after else []),
            ranges(
                length.before if after else None,
                length.after if after else length.before,
                low,
                high,
                colour_of(length.source, names) if length.source else "now",
            ),
        ]
        for length in shown
    ]
    rows.append(["", *[""] * (len(columns) - 2), axis(low, high)])
    caption = f"{name}: median (10th – 90th percentile) in characters" + (
        "; grey: before, coloured: after" if after else ""
    )
    return table(caption, columns, rows)


def measures(report: Report) -> Markup:
    """Numbers that pairs carry, before and after."""
    if not report.measures:
        return Markup("")
    after = behind(report.last) if report.last != "source" else ""
    columns = [Column("source"), number("pairs"), number("median (10th – 90th percentile)")]
    columns += [number(after), number("median (10th – 90th percentile)")] if after else []
    parts = []
    for name in dict.fromkeys(measure.name for measure in report.measures):
        found = [measure for measure in report.measures if measure.name == name]
        # One source alone is all of them.
        shown = found[1:] if len(found) == 2 else found
        rows = [
            [
                measure.source or "all",
                count(measure.before.rows if measure.before else 0),
                middle(measure.before),
                *([count(measure.after.rows if measure.after else 0), middle(measure.after)] if after else []),
            ]
            for measure in shown
        ]
        parts.append(table(label(name)[:1].upper() + label(name)[1:], columns, rows))
    return joined(*parts)


def samples(report: Report) -> Markup:
    """For every reason what its rejects say, and some of them."""
    if not report.reasons:
        return Markup("")
    about = element(
        "p",
        "Texts are cut; characters that cannot be seen are written out. The choice is random, and the same in every "
        "report of the run. All rejects stand in the folder ",
        element("code", "rejects"),
        " of their stage.",
    )
    parts = [about]
    for stage in dict.fromkeys(reason.stage for reason in report.reasons):
        parts.append(element("h3", stage))
        parts += [_reason(reason) for reason in report.reasons if reason.stage == stage]
    return joined(*parts)


def _reason(reason: Reason) -> Markup:
    said = [detail for detail in reason.details if detail.rows > 1 or len(reason.details) <= len(reason.samples)]
    parts: list[Markup] = []
    if said:
        items = (element("li", f"{detail.text} ", element("small", f"× {detail.rows:,}")) for detail in said)
        parts.append(element("ul", *items))
    parts += _samples(reason.samples)
    rows = f"{reason.rows:,} {'row' if reason.rows == 1 else 'rows'}"
    most = said[0].text if said else reason.samples[0].detail if reason.samples else ""
    about = element("small", rows, *([" · ", element("bdi", cut(most, _MOST_CHARS))] if most else []))
    return element("details", element("summary", f"{reason.reason} ", about), *parts)


def _samples(found: Iterable[Sample]) -> list[Markup]:
    drawn = []
    for sample in found:
        parts = [element("p", element("bdi", f"{sample.source} · {sample.source_id}"), class_="id")]
        for name, text in (("", sample.detail), ("Query: ", sample.query), ("Text: ", sample.text)):
            if text:
                parts.append(element("p", name, element("bdi", text, dir="auto")))
        drawn.append(element("div", *parts, class_="sample"))
    return drawn
