"""What all plots of the card share: style, colours, axes, and files that are the same bytes for the same numbers.

Every picture brings its own light background, so it reads the same on the Hub's light and dark pages. No time stamp is
written and no global matplotlib state is read or changed. The version of matplotlib stands in the file (``Software``),
because another version may draw the same numbers with other bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

#: Resolution of the files (dots per inch); with the figure width below the files are 1,600 pixels wide.
DPI = 200
#: Width of every figure (inches).
WIDTH = 8.0
#: Colours that people with colour blindness can tell apart (after Okabe and Ito), by role.
COLOURS = {
    "empty": "#8c8c8c",
    "before": "#d9822b",
    "after": "#0b6bb0",
    "kept": "#0b6bb0",
    "all": "#8c8c8c",
    "reflection": "#0b6bb0",
    "connective": "#d9822b",
}
#: Colours of groups in the order of their size; a group beyond them is grey.
GROUP_COLOURS = ("#0b6bb0", "#d9822b", "#2a9d78", "#b5538f", "#7a6bc4", "#c2a516", "#4fa9dc", "#a4552a")
GREY = "#8c8c8c"
INK, MUTED, GRID, PAPER = "#22272e", "#5b6470", "#e3e6ea", "#ffffff"
#: Code points from here on are outside of Latin scripts; the font has no glyphs for most of them, but for punctuation.
_BEYOND_LATIN = 0x0250
_PUNCTUATION = "‐–—‘’“”•…"
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": PAPER,
    "axes.linewidth": 0.8,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": PAPER,
}


@contextmanager
def style() -> Iterator[None]:
    """The card's style inside of the block; the user's own matplotlibrc must not change the files."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(height: float, columns: int = 1) -> tuple[Any, Sequence[Any]]:
    """A figure of the card's width.

    Args:
        height: inches.
        columns: number of axes side by side.

    Returns:
        The figure and its axes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.05)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, axes


def png(figure: Any) -> bytes:
    """The figure as the content of a PNG file."""
    import matplotlib

    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": f"matplotlib {matplotlib.__version__}"})
    return stream.getvalue()


def plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers, more of them the narrower its range is."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    ratio = high / low
    subdivisions = (1, 1.5, 2, 3, 4, 5, 7) if ratio < 8 else (1, 2, 5) if ratio < 300 else (1,)
    axis.set_major_locator(LogLocator(base=10, subs=subdivisions))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def from_zero(axes: Any, at_least: float) -> None:
    """Let the horizontal axis begin at 0, with a margin in which lines at both ends are seen whole.

    Args:
        axes: axes with something drawn.
        at_least: smallest right end.
    """
    right = max(axes.dataLim.x1, at_least)
    axes.set_xlim(-0.03 * right, 1.03 * right)


def drawable(text: str) -> bool:
    """Whether the font that comes with matplotlib has glyphs for a text."""
    return bool(text) and all(ord(character) < _BEYOND_LATIN or character in _PUNCTUATION for character in text)


def shares(
    axes: Any, series: Sequence[tuple[str, str, Any]], label: str, shown: Callable[[float], str], *, first: bool = True
) -> None:
    """Cumulative shares, one line a series; unlike a histogram they need no bin width, with 24 rows or 20,000.

    Args:
        axes: where to draw.
        series: for each line its name, its role in ``COLOURS``, and the values of its rows.
        label: what is measured, for the horizontal axis.
        shown: how a median is written; as the card's tables write it.
        first: whether the vertical axis needs its label.
    """
    import numpy as np
    from matplotlib.ticker import PercentFormatter

    for name, role, values in series:
        ordered = np.sort(np.asarray(values))
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        median = float(np.median(ordered))
        axes.step(
            np.concatenate([ordered[:1], ordered]),
            np.concatenate([[0.0], share]),
            where="post",
            color=COLOURS[role],
            linewidth=1.8,
            label=f"{name} (median {shown(median)})",
        )
        axes.plot([median], [0.5], marker="o", markersize=4.5, color=COLOURS[role], markeredgecolor=PAPER)
    axes.axhline(0.5, color=GRID, linewidth=1, zorder=0)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(label)
    if first:
        axes.set_ylabel("share of rows at or below")
    axes.grid(True, axis="both")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, borderpad=0)


def pairs(axes: Any, before: Any, after: Any, what: str, below: str) -> None:
    """Every row as a point, before against after, with the line of no change.

    Args:
        axes: where to draw.
        before: a value of every row with the initial thinking.
        after: the same with the final thinking.
        what: what is measured.
        below: what it means when a point lies below the line.
    """
    import numpy as np

    # Neither a perplexity nor a token count below 1 can be drawn on a logarithmic axis; only an empty text has one.
    x, y = np.maximum(before, 1), np.maximum(after, 1)
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    margin = 1.15
    limits = (low / margin, high * margin)
    # Fewer rows get larger, darker points; the product keeps the picture legible up to tens of thousands.
    size = float(np.clip(2500 / len(x), 3, 26))
    alpha = float(np.clip(400 / len(x), 0.08, 0.75))
    axes.plot(limits, limits, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.scatter(x, y, s=size, alpha=alpha, color=COLOURS["after"], linewidths=0, zorder=2, rasterized=True)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel(f"{what}, initial thinking")
    axes.set_ylabel(f"{what}, final thinking")
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    axes.grid(True)
    axes.set_title(f"One point a row; below the line: {below}", fontsize=8.5, color=MUTED, pad=5)


def bars(axes: Any, labels: Sequence[str], values: Sequence[float], notes: Sequence[str], colours: Any) -> None:
    """Horizontal bars from the top, each with its number behind it.

    Args:
        axes: where to draw.
        labels: what each bar stands for.
        values: its length; at least one is above 0.
        notes: what stands behind it.
        colours: its colour.
    """
    positions = range(len(labels))
    axes.barh(positions, values, 0.72, color=colours)
    for position, value, note in zip(positions, values, notes, strict=True):
        axes.annotate(
            note,
            (value, position),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=MUTED,
        )
    axes.set_yticks(list(positions), labels, color=INK)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    # Room for the numbers to the right of the longest bar.
    axes.set_xlim(0, max(values) * 1.25)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
