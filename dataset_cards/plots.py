"""The plots of the card, drawn from its statistics; how they look is in ``figure.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deepwriting.dataset_cards.figure import (
    COLOURS,
    GREY,
    GROUP_COLOURS,
    MUTED,
    bars,
    drawable,
    from_zero,
    new_figure,
    pairs,
    plain_numbers,
    png,
    shares,
    style,
)
from deepwriting.dataset_cards.markdown import amount, number, percent
from deepwriting.dataset_cards.statistics import Statistics

#: Categories, or thinking patterns, drawn as bars; the rest is joined into one, or left to the table.
MAX_BARS, MAX_PATTERNS = 25, 16
#: A label longer than this is cut (characters): it would leave no room for the bars.
MAX_LABEL = 40
#: How the chart writes the Chinese patterns of ``metrics/thinking_patterns.py``: sound and meaning, because the font
#: that comes with matplotlib has no Chinese glyphs. The table beside the chart has the characters.
CHINESE_PATTERNS = {
    "嗯": "ń (hmm)",
    "等等": "děngděng (wait)",
    "等一下": "děng yíxià (wait a moment)",
    "也许": "yěxǔ (maybe)",
    "或许": "huòxǔ (perhaps)",
    "说不定": "shuōbudìng (who knows)",
    "不对": "búduì (not right)",
    "让我想想": "ràng wǒ xiǎngxiang (let me think)",
    "让我看看": "ràng wǒ kànkan (let me see)",
    "重新考虑": "chóngxīn kǎolǜ (think again)",
    "换个角度": "huàn ge jiǎodù (another angle)",
    "会不会": "huì bu huì (could it be)",
    "如果…呢": "rúguǒ … ne (what if)",
    "但是": "dànshì (but)",
    "不过": "búguò (however)",
    "其实": "qíshí (actually)",
    "另外": "lìngwài (besides)",
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


#: All plots in the order of the card.
PERPLEXITY = Plot(
    "perplexity.png",
    "True perplexity of the answer with empty, initial and final thinking",
    "Left: cumulative distribution of the answer's perplexity for empty, initial and final thinking. "
    "Right: perplexity with the initial against the final thinking, one point a row.",
)
LENGTH = Plot(
    "thinking_length.png",
    "Length of the thinking before and after the search",
    "Left: cumulative distribution of the thinking's length in tokens before and after the search. "
    "Right: length before against length after, one point a row.",
)
COPYING = Plot(
    "copying.png",
    "Copying and repetition",
    "Cumulative distributions of the share of the answer that stands verbatim in the thinking, of the longest copied "
    "run in words, and of the share that the three most frequent n-grams take of the thinking.",
)
PATTERNS = Plot(
    "thinking_patterns.png",
    "Thinking patterns by the share of kept rows in which they occur",
    "Bar chart of the share of kept rows in which each thinking pattern occurs, coloured by kind: reflection or "
    "connective.",
)
CATEGORIES = Plot("categories.png", "Kept rows by category", "Bar chart of kept rows by category, coloured by domain.")


def _perplexity(statistics: Statistics) -> bytes:
    values = statistics.kept.values
    series = [
        ("empty thinking", "empty", values["perplexity_no_thinking"]),
        ("initial thinking", "before", values["perplexity_before"]),
        ("final thinking", "after", values["perplexity_after"]),
    ]
    figure, (left, right) = new_figure(4.0, columns=2)
    shares(left, series, "true perplexity of the answer", number)
    left.set_xscale("log")
    plain_numbers(left.xaxis)
    pairs(right, values["perplexity_before"], values["perplexity_after"], "perplexity", "lower")
    return png(figure)


def _thinking_length(statistics: Statistics) -> bytes:
    from matplotlib.ticker import StrMethodFormatter

    values = statistics.kept.values
    series = [
        ("initial thinking", "before", values["thinking_tokens_before"]),
        ("final thinking", "after", values["thinking_tokens_after"]),
    ]
    figure, (left, right) = new_figure(4.0, columns=2)
    shares(left, series, "length of the thinking (tokens)", amount)
    from_zero(left, at_least=1)
    left.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    left.locator_params(axis="x", nbins=5)
    pairs(right, values["thinking_tokens_before"], values["thinking_tokens_after"], "tokens", "shorter")
    return png(figure)


def _copying(statistics: Statistics, thresholds: Mapping[str, Any]) -> bytes:
    from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

    panels = (
        ("copy_ratio", "share of the answer copied", "max_copy_ratio", True),
        ("longest_copy", "longest copied run (words)", "max_copy_run", False),
        ("repetition", "share of the top 3 n-grams", "max_repetition", True),
    )
    groups = [("kept rows", "kept", statistics.kept)]
    if statistics.everything.rows > statistics.kept.rows:
        groups.insert(0, ("all rows", "all", statistics.everything))
    figure, all_axes = new_figure(3.1, columns=len(panels))
    for axes, (measure, label, key, is_share) in zip(all_axes, panels, strict=True):
        series = [(name, role, group.values[measure]) for name, role, group in groups]
        shares(axes, series, label, percent if is_share else amount, first=axes is all_axes[0])
        # A column of zeros alone would leave an axis from 0 to almost 0, which reads like a measurement.
        from_zero(axes, at_least=0.1 if is_share else 5)
        threshold = thresholds.get(key)
        if isinstance(threshold, (int, float)) and not isinstance(threshold, bool):
            axes.axvline(threshold, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=not is_share))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, 0) if is_share else StrMethodFormatter("{x:,.0f}"))
    return png(figure)


def _label(text: str, instead: str) -> str:
    if not drawable(text):
        return instead
    return text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1].rstrip() + "…"


def _patterns(statistics: Statistics) -> bytes:
    from matplotlib.patches import Patch
    from matplotlib.ticker import PercentFormatter

    from deepwriting.metrics.thinking_patterns import PATTERNS as KNOWN

    kinds: dict[str, str] = {pattern.name: pattern.kind for pattern in KNOWN}
    whole = statistics.kept.rows
    ranked = list(statistics.kept.ranked_patterns().items())[:MAX_PATTERNS]
    labels = [_label(CHINESE_PATTERNS.get(name, name), f"pattern {n}") for n, (name, _) in enumerate(ranked, start=1)]
    roles = [kinds.get(name, "") for name, _ in ranked]
    figure, (axes,) = new_figure(1.1 + 0.24 * len(ranked))
    bars(
        axes,
        labels,
        [rows / whole for _, (rows, _) in ranked],
        [f"{rows / whole:.1%}" for _, (rows, _) in ranked],
        [COLOURS.get(role, GREY) for role in roles],
    )
    # The axis leaves room for the numbers behind the bars; no share is above the whole.
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= 1])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, None))
    axes.set_xlabel("share of kept rows in which the pattern occurs")
    handles = [Patch(color=COLOURS[role], label=role) for role in ("reflection", "connective") if role in roles]
    if handles:
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return png(figure)


def _categories(statistics: Statistics) -> bytes:
    from matplotlib.patches import Patch
    from matplotlib.ticker import StrMethodFormatter

    drawn = [
        (_label(category, f"category {n}"), domain, rows)
        for n, ((domain, category), rows) in enumerate(statistics.categories.items(), start=1)
    ]
    if len(drawn) > MAX_BARS:
        rest = drawn[MAX_BARS - 1 :]
        drawn = [*drawn[: MAX_BARS - 1], (f"{len(rest)} further categories", "", sum(rows for *_, rows in rest))]
    domains = list(dict.fromkeys(domain for _, domain, _ in drawn if domain))
    colours = dict(zip(domains, GROUP_COLOURS, strict=False))
    figure, (axes,) = new_figure(1.3 + 0.24 * len(drawn) + 0.12 * len(domains))
    bars(
        axes,
        [name for name, *_ in drawn],
        [rows for *_, rows in drawn],
        [f"{rows:,}  ({rows / statistics.kept.rows:.1%})" for *_, rows in drawn],
        [colours.get(domain, GREY) for _, domain, _ in drawn],
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("kept rows")
    handles = [Patch(color=colours.get(d, GREY), label=_label(d, f"domain {n}")) for n, d in enumerate(domains, 1)]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, title="Domain", alignment="left")
    return png(figure)


def draw_plots(statistics: Statistics, thresholds: Mapping[str, Any] | None = None) -> dict[Plot, bytes]:
    """Draw all plots of the card.

    Args:
        statistics: statistics with at least one kept row.
        thresholds: limits of the filters as a recipe's ``filters`` section names them; those of copying and
            repetition are drawn.

    Returns:
        Plot -> content of its PNG file, in the order of the card. Without a single thinking pattern there is no chart
        of them.
    """
    with style():
        plots = {
            PERPLEXITY: _perplexity(statistics),
            LENGTH: _thinking_length(statistics),
            COPYING: _copying(statistics, thresholds or {}),
            CATEGORIES: _categories(statistics),
        }
        if statistics.kept.patterns:
            plots[PATTERNS] = _patterns(statistics)
    return plots
