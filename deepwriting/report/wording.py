"""How a report speaks of its figures; the terminal view and the page share it."""

from __future__ import annotations

from deepwriting.report.model import Report, Spread

#: Measure -> what to call it; others go by their own names.
MEASURE_NAMES = {
    "category_probability": "category probability",
    "provenance.score": "score at the source",
}
#: Stage -> what its rows are called once they are through.
ROWS_BEHIND = {"source": "pairs", "dedupe": "without duplicates", "select": "selected"}
#: Length of a bar that stands for everything (characters).
BAR_CHARS = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"


def count(number: int | None) -> str:
    """A number of rows with separators; empty if it is not known."""
    return "" if number is None else f"{number:,}"


def percent(part: float, whole: float) -> str:
    """A share in two digits or so; never 0% for something, never 100% for less than everything."""
    if not whole:
        return ""
    share = part / whole
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 <= share < 1:
        return f"{min(share, 0.9999):.2%}"
    return f"{share:.1%}" if 0 < share < 0.1 or 0.99 < share < 1 else f"{share:.0%}"


def figure(value: float) -> str:
    """A measured value in about three digits."""
    if value != value:  # NaN
        return ""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    digits = 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:.{digits}f}"


def middle(spread: Spread | None) -> str:
    """Median with the range of the middle 80 %: ``1,204 (310 – 5,020)``."""
    if spread is None:
        return ""
    if spread.least == spread.most:
        return figure(spread.median)
    if spread.least >= 10 and spread.least == int(spread.least) and spread.most == int(spread.most):
        return f"{spread.median:,.0f} ({spread.low:,.0f} – {spread.high:,.0f})"
    return f"{figure(spread.median)} ({figure(spread.low)} – {figure(spread.high)})"


def label(measure: str) -> str:
    """A measure's name for people."""
    return MEASURE_NAMES.get(measure, measure.removeprefix("provenance.").replace("_", " "))


def bar(part: float, whole: float, length: int = BAR_CHARS) -> str:
    """A bar of block characters; anything above nothing is seen."""
    if not whole or part <= 0:
        return ""
    eighths = max(1, round(8 * length * min(part / whole, 1)))
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def behind(stage: str) -> str:
    """What a stage's rows are called once they are through."""
    return ROWS_BEHIND.get(stage, f"after {stage}")


def headline(report: Report) -> str:
    """The report in one sentence."""
    source = report.stage("source")
    if not report.last:
        return f"{report.name}: " + ("not begun yet" if source.state == "waiting" else f"source is {source.state}")
    candidates, left = source.rows_in or 0, report.stage(report.last).rows_out
    said = f"{left:,} of {candidates:,} candidates {_left(report.last)} ({percent(left, candidates)})"
    if report.search is not None:
        said += f", {report.search.rows:,} rows searched"
        if report.search.kept is not None:
            said += f", {report.search.kept:,} published"
    return f"{report.name}: {said}"


def _left(stage: str) -> str:
    return {"select": "selected", "dedupe": "left after deduplication"}.get(stage, "are pairs")
