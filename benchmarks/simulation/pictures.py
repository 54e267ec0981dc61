"""The plots of docs/scaling.md, in the style of the dataset card's; the same numbers give the same SVG files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepwriting.dataset_cards.figure import GREY, GROUP_COLOURS, INK, MUTED, PAPER, new_figure, plain_numbers, style

BLUE, ORANGE, GREEN, PINK = GROUP_COLOURS[:4]


def draw(file: Path, height: float, *panels: Callable[[Any], None]) -> None:
    """Draw panels side by side into an SVG file."""
    import matplotlib

    with style():
        matplotlib.rcParams["svg.hashsalt"] = "deepwriting"
        figure, axes = new_figure(height, columns=len(panels))
        for panel, ax in zip(panels, axes, strict=True):
            panel(ax)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def scaling(axes: Any, found: Sequence[Mapping[str, Any]], layouts: Mapping[str, str]) -> None:
    """Hours of the search by GPUs, one line a layout, with the line of perfect growth."""
    by_layout = {layout: [row for row in found if row["layout"] == layout] for layout in layouts}
    first = min((row for row in found), key=lambda row: row["gpus"])
    gpus = sorted({row["gpus"] for row in found})
    axes.plot(gpus, [first["hours"] * first["gpus"] / g for g in gpus], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    for (layout, label), colour in zip(layouts.items(), (ORANGE, BLUE, GREEN), strict=False):
        rows = by_layout[layout]
        axes.plot([r["gpus"] for r in rows], [r["hours"] for r in rows], color=colour, marker="o", markersize=4.5,
                  markeredgecolor=PAPER, linewidth=1.8, label=label)  # fmt: skip
    planned = [row for row in found if row.get("planned_hours")]
    axes.plot([r["gpus"] for r in planned], [r["planned_hours"] for r in planned], color=PINK, marker="D",
              markersize=4, linewidth=0, label="deepwriting plan, pilot of 8")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="GPUs", ylabel="hours for 20,000 pairs")
    plain_numbers(axes.yaxis)
    axes.set_xticks(gpus, [str(g) for g in gpus])
    axes.minorticks_off()
    axes.grid(True)
    axes.set_title("Time of the search (dashed: as one GPU)")
    axes.legend(loc="upper right")


def load(axes: Any, series: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Rows an hour and GPU by searches in flight, one line a kind of server."""
    for (label, points), colour in zip(series.items(), (BLUE, PINK, ORANGE, GREEN), strict=False):
        axes.plot([p["in_flight"] for p in points], [p["rate"] for p in points], color=colour, marker="o",
                  markersize=4.5, markeredgecolor=PAPER, linewidth=1.8, label=label)  # fmt: skip
    counts = sorted({p["in_flight"] for points in series.values() for p in points})
    axes.set(xscale="log", xlabel="searches in flight for each generator", ylabel="rows an hour and generator GPU")
    axes.set_xticks(counts, [f"{count:.0f}" for count in counts])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(True)
    axes.set_title("What one generator carries")
    axes.legend(loc="lower right")


def finish(axes: Any, series: Mapping[str, Sequence[float]]) -> None:
    """Rows that are not through yet by time, for several ways: the tails."""
    for (label, ends), colour in zip(series.items(), (BLUE, ORANGE, GREEN, PINK), strict=False):
        # Every row of the last ones, ever fewer of those before: the axis is logarithmic.
        left = sorted({max(round(len(ends) * 0.97**power), 1) for power in range(400)}, reverse=True)
        axes.step([ends[-count] / 3600 for count in left], left, where="post", color=colour, linewidth=1.6, label=label)
    axes.set(yscale="log", xlabel="hours", ylabel="rows not through yet")
    plain_numbers(axes.yaxis)
    axes.grid(True)
    axes.set_title("The end of a run on 64 GPUs")
    axes.legend(loc="lower left")


def sensitivity(axes: Any, found: Sequence[tuple[str, float, float]]) -> None:
    """How much longer or shorter the search gets over the range of each figure, the largest on top.

    Args:
        axes: where to draw.
        found: name, and hours relative to the usual ones at both ends of the range.
    """
    ordered = sorted(found, key=lambda one: abs(one[2] - one[1]))
    for place, (_, low, high) in enumerate(ordered):
        axes.plot([low, high], [place, place], color=BLUE, linewidth=6, solid_capstyle="butt", alpha=0.85)
        for value in (low, high):
            axes.annotate(f"{value:.2f}", (value, place), xytext=(5 if value == max(low, high) else -5, 0),
                          textcoords="offset points", va="center", fontsize=7.5, color=MUTED,
                          ha="left" if value == max(low, high) else "right")  # fmt: skip
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(ordered)), [name for name, _, _ in ordered], color=INK)
    ends = [value for _, low, high in ordered for value in (low, high)]
    axes.set_xlim(min(ends) - 0.3, max(ends) + 0.3)
    axes.set_xlabel("time of the search, times the usual")
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
