from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.dataset_cards.plots import DPI, WIDTH, write_plots
from deepwriting.dataset_cards.statistics import summarise

Row = Callable[..., dict[str, Any]]


def test_plots_are_opaque_pictures_of_the_same_width(tmp_path: Path, row: Row) -> None:
    from matplotlib.image import imread

    plots = write_plots(summarise(row(n) for n in range(24)), tmp_path / "assets")
    assert [plot.file for plot in plots] == ["perplexity.png", "thinking_length.png", "categories.png"]
    for plot in plots:
        picture = imread(tmp_path / "assets" / plot.file)
        assert picture.shape[1] == WIDTH * DPI
        assert picture.shape[2] == 3 or bool((picture[..., 3] == 1).all())
        # A light background with something drawn on it.
        assert picture[0, 0, :3].min() > 0.95
        assert (picture[..., :3].min(axis=2) < 0.6).mean() > 0.005
        assert plot.title
        assert plot.alt


def test_same_rows_give_the_same_bytes_whatever_the_user_configured(tmp_path: Path, row: Row) -> None:
    import matplotlib

    statistics = summarise(row(n) for n in range(10))
    write_plots(statistics, tmp_path / "a")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "savefig.dpi": 50}):
        write_plots(statistics, tmp_path / "b")
        assert matplotlib.rcParams["font.size"] == 30
    for path in (tmp_path / "a").iterdir():
        content = path.read_bytes()
        assert content == (tmp_path / "b" / path.name).read_bytes()
        assert b"Software" not in content
        assert b"tIME" not in content


def test_picture_grows_with_the_number_of_categories_up_to_a_limit(tmp_path: Path, row: Row) -> None:
    from matplotlib.image import imread

    heights = {}
    for categories in (2, 25, 26, 60):
        folder = tmp_path / str(categories)
        write_plots(summarise(row(n, category=f"c{n}", domain="d") for n in range(categories)), folder)
        heights[categories] = imread(folder / "categories.png").shape[0]
    assert heights[2] < heights[25] == heights[26] == heights[60]


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
    ],
)
@pytest.mark.parametrize("rows", [1, 3])
def test_odd_rows_are_drawn_without_a_warning(tmp_path: Path, row: Row, changes: dict[str, Any], rows: int) -> None:
    """Pytest turns warnings into errors: a missing glyph or an impossible axis would fail here."""
    plots = write_plots(summarise(row(n, **changes) for n in range(rows)), tmp_path)
    assert len(list(tmp_path.iterdir())) == len(plots)
