from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest

from deepwriting.dataset_cards.figure import DPI, WIDTH, drawable
from deepwriting.dataset_cards.plots import CHINESE_PATTERNS, draw_plots
from deepwriting.dataset_cards.statistics import summarise
from deepwriting.metrics.thinking_patterns import CHINESE

Row = Callable[..., dict[str, Any]]


def picture(content: bytes) -> Any:
    from matplotlib.image import imread

    return imread(BytesIO(content), format="png")


def drawn(rows: Any) -> dict[str, bytes]:
    return {plot.file: content for plot, content in draw_plots(summarise(rows)).items()}


def test_plots_are_opaque_pictures_of_the_same_width(row: Row) -> None:
    plots = draw_plots(summarise(row(n) for n in range(24)))
    files = ["perplexity.png", "thinking_length.png", "copying.png", "categories.png", "thinking_patterns.png"]
    assert [plot.file for plot in plots] == files
    for plot, content in plots.items():
        pixels = picture(content)
        assert pixels.shape[1] == WIDTH * DPI
        # Nothing shines through, so the picture is the same on a dark page.
        assert pixels.shape[2] == 3 or bool((pixels[..., 3] == 1).all())
        assert pixels[0, 0, :3].min() > 0.95
        assert (pixels[..., :3].min(axis=2) < 0.6).mean() > 0.005
        assert plot.title
        assert plot.alt


def test_same_rows_give_the_same_bytes_whatever_the_user_configured(row: Row) -> None:
    import matplotlib

    statistics = summarise(row(n) for n in range(10))
    first = draw_plots(statistics)
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "savefig.dpi": 50}):
        second = draw_plots(statistics)
        assert matplotlib.rcParams["font.size"] == 30
    assert first == second
    assert not any(b"tIME" in content for content in first.values())


def test_picture_grows_with_the_number_of_categories_up_to_a_limit(row: Row) -> None:
    heights = {
        categories: picture(
            drawn(row(n, category=f"c{n}", domain="d") for n in range(categories))["categories.png"]
        ).shape[0]
        for categories in (2, 25, 26)
    }
    assert heights[2] < heights[25] == heights[26]


def test_every_chinese_pattern_has_a_label_that_the_font_can_draw() -> None:
    assert CHINESE_PATTERNS.keys() == {pattern.name for pattern in CHINESE}
    assert all(drawable(label) for label in CHINESE_PATTERNS.values())


def test_without_patterns_there_is_no_chart_of_them(row: Row) -> None:
    assert "thinking_patterns.png" not in drawn([row(1, thinking_patterns=[], thinking_pattern_count=0)])


def test_thresholds_are_drawn(row: Row) -> None:
    statistics = summarise(row(n, copy_ratio=n / 10) for n in range(5))
    without, low, high = (
        {plot.file: content for plot, content in draw_plots(statistics, limits).items()}
        for limits in ({}, {"max_copy_ratio": 0.1}, {"max_copy_ratio": 0.3})
    )
    assert len({without["copying.png"], low["copying.png"], high["copying.png"]}) == 3
    assert without["perplexity.png"] == low["perplexity.png"]


@pytest.mark.parametrize(
    "changes",
    [
        {"category": "创意写作", "domain": "文学"},
        {"category": "price in $x^2$ and $y$", "domain": "a_b"},
        {"category": "", "domain": ""},
        {"perplexity_no_thinking": 1.0, "perplexity_before": 1.0, "perplexity_after": 1.0},
        {"perplexity_after": 3e30, "perplexity_before": 1.0},
        {"thinking_tokens_before": 0, "thinking_tokens_after": 0},
        {"thinking_tokens_before": 1_000_000, "thinking_tokens_after": 3},
        {"copy_ratio": 0.0, "longest_copy": 0, "repetition": 0.0},
        {"copy_ratio": 1.0, "longest_copy": 90_000, "repetition": 1.0},
        {"thinking_patterns": [{"pattern": "一个新的", "count": 1}], "thinking_pattern_count": 1},
    ],
)
@pytest.mark.parametrize("rows", [1, 3])
def test_odd_rows_are_drawn_without_a_warning(row: Row, changes: dict[str, Any], rows: int) -> None:
    """Pytest turns warnings into errors: a missing glyph or an impossible axis would fail here."""
    assert all(drawn(row(n, **changes) for n in range(rows)).values())
