"""Charts as inline SVG.

They have no ``viewBox``: horizontal positions are per cent and heights are pixels, so that a chart takes whatever width
there is while its text keeps its size, on a phone too. Colours come from the page's style sheet by class: ``c0`` …
``c7`` are the sources in the recipe's order, ``cx`` all further ones, ``lost`` rejected rows. A chart has a text
alternative unless its figures stand in the same row of a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from deepwriting.report.markup import Markup, element
from deepwriting.report.model import Spread

#: Sources with a colour of their own.
COLOURS = 8
#: Anything above nothing is at least this wide (per cent).
_SEEN = 0.25
_BAR_HEIGHT = 14
_HISTOGRAM_HEIGHT = 150
_AXIS_HEIGHT = 22
_RANGE_HEIGHT = 22


def colour_of(source: str, sources: Sequence[str]) -> str:
    """The class that colours a source."""
    index = sources.index(source) if source in sources else COLOURS
    return f"c{index}" if index < COLOURS else "cx"


def stacked(
    parts: Iterable[tuple[str, float, str]],
    whole: float,
    *,
    says: str | None,
    height: int = _BAR_HEIGHT,
    mark: float | None = None,
) -> Markup:
    """A horizontal bar of several parts.

    Args:
        parts: class, size and what a pointer shows, from left to right.
        whole: size of a bar over the whole width.
        says: text alternative; ``None`` where the same figures stand in the same row of a table.
        height: height (pixels).
        mark: size at which a line is drawn across, as for what was asked for.
    """
    drawn, at = [], 0.0
    for colour, size, title in parts:
        if size <= 0 or whole <= 0:
            continue
        width = max(100 * size / whole, _SEEN)
        shape = {"x": f"{at:.3f}%", "y": 0, "width": f"{width:.3f}%", "height": height}
        drawn.append(element("rect", element("title", title), class_=colour, **shape))
        at += width
    if mark is not None and whole > 0:
        x = f"{min(100 * mark / whole, 100):.3f}%"
        drawn.append(element("line", class_="mark", x1=x, x2=x, y1=-3, y2=height + 3))
    return _svg(height, says, *drawn)


def histogram(series: Sequence[tuple[str, str, Spread]], says: str) -> Markup:
    """Shares of rows by length, the bars of several series side by side; the axis is logarithmic.

    Args:
        series: class, name and distribution.
        says: text alternative.
    """
    shares = [
        (colour, name, [(low, high, rows / spread.rows) for low, high, rows in spread.bins])
        for colour, name, spread in series
    ]
    edges = [edge for _, _, bins in shares for low, high, _ in bins for edge in (low, high)]
    if not edges:
        return Markup("")
    low, high = math.log10(min(edges)), math.log10(max(edges))
    top = max(share for _, _, bins in shares for _, _, share in bins)
    step = _step(top)
    ceiling = math.ceil(top / step) * step
    drawn = []
    for line in range(1, round(ceiling / step) + 1):
        y = _HISTOGRAM_HEIGHT * (1 - line * step / ceiling)
        drawn.append(element("line", class_="grid", x1="0", x2="100%", y1=y, y2=y))
        drawn.append(element("text", f"{line * step:.0%}" if step >= 0.01 else f"{line * step:.1%}", x=2, y=y + 12))
    for position, (colour, name, bins) in enumerate(shares):
        for start, end, share in bins:
            left, right = (100 * (math.log10(edge) - low) / (high - low) for edge in (start, end))
            width = (right - left) * 0.84 / len(shares)
            x = left + (right - left) * 0.08 + position * width
            tall = _HISTOGRAM_HEIGHT * share / ceiling
            title = element("title", f"{name}: {share:.1%} with {start:,.0f} to {end:,.0f}")
            shape = {"x": f"{x:.3f}%", "y": _HISTOGRAM_HEIGHT - tall, "width": f"{width:.3f}%", "height": tall}
            drawn.append(element("rect", title, class_=colour, **shape))
    drawn.append(element("line", class_="axis", x1="0", x2="100%", y1=_HISTOGRAM_HEIGHT, y2=_HISTOGRAM_HEIGHT))
    drawn += _ticks(10**low, 10**high, _HISTOGRAM_HEIGHT)
    return _svg(_HISTOGRAM_HEIGHT + _AXIS_HEIGHT, says, *drawn)


def ranges(before: Spread | None, after: Spread | None, low: float, high: float, colour: str) -> Markup:
    """From the 10th to the 90th percentile with the median, before (grey, above) and after (coloured, below).

    Args:
        before: the first distribution.
        after: the second one.
        low: left end of the logarithmic axis.
        high: right end.
        colour: class of the second one.
    """
    drawn = []
    both = before is not None and after is not None
    for spread, name, y in ((before, "was", 6 if both else 11), (after, colour, 16 if both else 11)):
        if spread is None:
            continue
        left, middle, right = (_at(value, low, high) for value in (spread.low, spread.median, spread.high))
        width = f"{max(right - left, 0.5):.3f}%"
        drawn.append(element("rect", class_=f"{name} range", x=f"{left:.3f}%", y=y - 2, width=width, height=4, rx=2))
        drawn.append(element("circle", class_=f"{name} middle", cx=f"{middle:.3f}%", cy=y, r=4.5))
    return _svg(_RANGE_HEIGHT, None, *drawn)


def axis(low: float, high: float) -> Markup:
    """The scale of ``ranges``."""
    return _svg(_AXIS_HEIGHT - 4, None, *_ticks(low, high, 0))


def legend(entries: Mapping[str, str]) -> Markup:
    """What the colours mean: name -> class."""
    return element(
        "p",
        *(element("span", element("i", class_=colour, aria_hidden="true"), name) for name, colour in entries.items()),
        class_="legend",
    )


def _at(value: float, low: float, high: float) -> float:
    """Where a value stands on a logarithmic axis (per cent)."""
    if value <= low:
        return 0.0
    return min(100 * math.log(value / low) / math.log(high / low), 100.0) if high > low else 50.0


def _ticks(low: float, high: float, y: float) -> list[Markup]:
    """Labels at round numbers, farther apart the wider the range is; none so near an end that it is cut off."""
    decades = math.log10(high / low) if high > low else 0
    steps = (1, 2, 5) if decades < 2.2 else (1, 3) if decades < 3.2 else (1,)
    drawn = []
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for step in steps:
            value = step * 10.0**power
            if low <= value <= high and 2 <= (x := _at(value, low, high)) <= 97:
                drawn.append(element("line", class_="axis", x1=f"{x:.3f}%", x2=f"{x:.3f}%", y1=y, y2=y + 4))
                label = f"{value:,.0f}" if value >= 1 else f"{value:g}"
                drawn.append(element("text", label, class_="tick", x=f"{x:.3f}%", y=y + 16))
    return drawn


def _step(top: float) -> float:
    """Distance of grid lines: two to four of them up to ``top``."""
    power = 10.0 ** math.floor(math.log10(top))
    return next(step * power for step in (0.2, 0.5, 1, 2, 5) if top / (step * power) <= 4)


def _svg(height: int, says: str | None, *drawn: Markup) -> Markup:
    spoken = {"role": "img", "aria_label": says} if says else {"aria_hidden": "true"}
    return element("svg", *drawn, width="100%", height=height, **spoken)
