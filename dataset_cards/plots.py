"""Plots of the card as PNG files: solid light background, so they read the same on light and dark pages.

The files are deterministic: no time stamp, no software note, and no global matplotlib state is read or changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepwriting.dataset_cards.statistics import Statistics

#: Resolution of the files (dots per inch); with the figure width below the files are 1,600 pixels wide.
DPI = 200
#: Width of every figure (inches).
WIDTH = 8.0
#: Categories drawn as bars; the rest is joined into one.
MAX_BARS = 25
#: Colours that people with colour blindness can tell apart (after Okabe and Ito), by role.
COLOURS = {"empty": "#8c8c8c", "before": "#d9822b", "after": "#0b6bb0"}
#: Colours of domains in the order of their size; a domain beyond them is grey.
DOMAIN_COLOURS = ("#0b6bb0", "#d9822b", "#2a9d78", "#b5538f", "#7a6bc4", "#c2a516", "#4fa9dc", "#a4552a")
_GREY = "#8c8c8c"
_INK, _MUTED, _GRID, _PAPER = "#22272e", "#5b6470", "#e3e6ea", "#ffffff"
#: Code points from here on are outside of Latin scripts; the font has no glyphs for most of them.
_BEYOND_LATIN = 0x0250
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _INK,
    "text.parse_math": False,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.facecolor": _PAPER,
    "axes.linewidth": 0.8,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": _PAPER,
}


@dataclass(frozen=True)
class Plot:
    """One plot of the card.

    Attributes:
        file: file name inside the assets folder.
        title: caption.
        alt: text for readers who do not see the picture.
    """

    file: str
    title: str
    alt: str


def _figure(height: float, columns: int = 1) -> tuple[Any, Sequence[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.05)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    # A None value removes the entry that matplotlib would write with its own version.
    figure.savefig(path, format="png", metadata={"Software": None})


def _plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers, more of them the narrower its range is."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    ratio = high / low
    subdivisions = (1, 1.5, 2, 3, 4, 5, 7) if ratio < 8 else (1, 2, 5) if ratio < 300 else (1,)
    axis.set_major_locator(LogLocator(base=10, subs=subdivisions))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _draw_shares(axes: Any, series: Sequence[tuple[str, str, Any]], label: str) -> None:
    """Cumulative shares, one line a series; unlike a histogram they need no bin width, with 24 rows or 20,000."""
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
            label=f"{name} (median {median:,.{0 if median >= 100 else 2}f})",
        )
        axes.plot([median], [0.5], marker="o", markersize=4.5, color=COLOURS[role], markeredgecolor=_PAPER)
    axes.axhline(0.5, color=_GRID, linewidth=1, zorder=0)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(label)
    axes.set_ylabel("share of rows at or below")
    axes.grid(True, axis="both")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3, borderpad=0)


def _draw_pairs(axes: Any, before: Any, after: Any, what: str, below: str) -> None:
    """Every row as a point, before against after, with the line of no change."""
    import numpy as np

    # Neither a perplexity nor a token count below 1 can be drawn on a logarithmic axis; only an empty text has one.
    x, y = np.maximum(before, 1), np.maximum(after, 1)
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    margin = 1.15
    limits = (low / margin, high * margin)
    # Fewer rows get larger, darker points; the product keeps the picture legible up to tens of thousands.
    size = float(np.clip(2500 / len(x), 3, 26))
    alpha = float(np.clip(400 / len(x), 0.08, 0.75))
    axes.plot(limits, limits, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.scatter(x, y, s=size, alpha=alpha, color=COLOURS["after"], linewidths=0, zorder=2, rasterized=True)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel(f"{what}, initial thinking")
    axes.set_ylabel(f"{what}, final thinking")
    _plain_numbers(axes.xaxis)
    _plain_numbers(axes.yaxis)
    axes.grid(True)
    axes.set_title(f"One point a row; below the line: {below}", fontsize=8.5, color=_MUTED, pad=5)


def _perplexity(statistics: Statistics, path: Path) -> None:
    values = statistics.kept.values
    series = [
        ("empty thinking", "empty", values["perplexity_no_thinking"]),
        ("initial thinking", "before", values["perplexity_before"]),
        ("final thinking", "after", values["perplexity_after"]),
    ]
    figure, (left, right) = _figure(4.0, columns=2)
    _draw_shares(left, series, "true perplexity of the answer")
    left.set_xscale("log")
    _plain_numbers(left.xaxis)
    _draw_pairs(right, values["perplexity_before"], values["perplexity_after"], "perplexity", "lower")
    _save(figure, path)


def _thinking_length(statistics: Statistics, path: Path) -> None:
    from matplotlib.ticker import StrMethodFormatter

    values = statistics.kept.values
    series = [
        ("initial thinking", "before", values["thinking_tokens_before"]),
        ("final thinking", "after", values["thinking_tokens_after"]),
    ]
    figure, (left, right) = _figure(4.0, columns=2)
    _draw_shares(left, series, "length of the thinking (tokens)")
    left.set_xlim(left=0)
    left.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    left.locator_params(axis="x", nbins=5)
    _draw_pairs(right, values["thinking_tokens_before"], values["thinking_tokens_after"], "tokens", "shorter")
    _save(figure, path)


def _label(text: str, number: int) -> str:
    if text and all(ord(character) < _BEYOND_LATIN for character in text):
        return text
    return f"category {number}"


def _categories(statistics: Statistics, path: Path) -> None:
    from matplotlib.patches import Patch
    from matplotlib.ticker import StrMethodFormatter

    ranked = list(statistics.categories.items())
    bars = [(_label(category, n), domain, rows) for n, ((domain, category), rows) in enumerate(ranked, start=1)]
    if len(bars) > MAX_BARS:
        rest = bars[MAX_BARS - 1 :]
        bars = [*bars[: MAX_BARS - 1], (f"{len(rest)} further categories", "", sum(rows for *_, rows in rest))]
    domains = list(dict.fromkeys(domain for _, domain, _ in bars if domain))
    colours = dict(zip(domains, DOMAIN_COLOURS, strict=False))
    figure, (axes,) = _figure(1.3 + 0.24 * len(bars) + 0.12 * len(domains))
    positions = range(len(bars))
    axes.barh(positions, [rows for *_, rows in bars], 0.72, color=[colours.get(d, _GREY) for _, d, _ in bars])
    for position, (*_, rows) in zip(positions, bars, strict=True):
        axes.annotate(
            f"{rows:,}  ({rows / statistics.kept.rows:.1%})",
            (rows, position),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_MUTED,
        )
    axes.set_yticks(list(positions), [name for name, *_ in bars], color=_INK)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    # Room for the numbers to the right of the longest bar.
    axes.set_xlim(0, max(rows for *_, rows in bars) * 1.25)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("kept rows")
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    handles = [Patch(color=colours.get(d, _GREY), label=_label(d, n)) for n, d in enumerate(domains, start=1)]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, title="Domain", alignment="left")
    _save(figure, path)


def write_plots(statistics: Statistics, folder: Path) -> list[Plot]:
    """Draw all plots of the card from the kept rows.

    Args:
        statistics: statistics with at least one kept row.
        folder: where the PNG files go; created when missing.

    Returns:
        The plots in the order of the card.
    """
    import matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    plots = [
        (
            _perplexity,
            Plot(
                "perplexity.png",
                "True perplexity of the answer with empty, initial and final thinking",
                "Left: cumulative distribution of the answer's perplexity for empty, initial and final thinking. "
                "Right: perplexity with the initial against the final thinking, one point a row.",
            ),
        ),
        (
            _thinking_length,
            Plot(
                "thinking_length.png",
                "Length of the thinking before and after the search",
                "Left: cumulative distribution of the thinking's length in tokens before and after the search. "
                "Right: length before against length after, one point a row.",
            ),
        ),
        (
            _categories,
            Plot("categories.png", "Kept rows by category", "Bar chart of kept rows by category, coloured by domain."),
        ),
    ]
    with matplotlib.rc_context():
        # The user's own matplotlibrc must not change the files.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        for draw, plot in plots:
            draw(statistics, folder / plot.file)
    return [plot for _, plot in plots]
