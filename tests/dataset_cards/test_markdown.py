from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.dataset_cards.markdown import code, count, escaped, number, share, size, table


@given(st.text())
def test_data_never_breaks_out_of_a_table_cell(text: str) -> None:
    for cell in (escaped(text), code(text)):
        line = table(("a", "b"), [(cell, "x")]).split("\n")
        assert len(line) == 3
        # Bars that are not escaped separate cells: three of them around two cells.
        assert line[2].replace("\\\\", "").replace("\\|", "").count("|") == 3


def test_table_layout() -> None:
    assert table(("name", "rows"), [("a", "1")], numbers=1) == "| name | rows |\n| --- | ---: |\n| a | 1 |"


def test_markup_in_data_is_shown_not_interpreted() -> None:
    assert escaped("<b> *x* [y]\n_z_") == "\\<b\\> \\*x\\* \\[y\\] \\_z\\_"
    assert code("a `b` c") == "`` a `b` c ``"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345, "0.123"), (12.345, "12.35"), (123.45, "123.5"), (12345.6, "12,346"), (-1.5, "-1.500")],
)
def test_numbers_have_sensible_precision(value: float, shown: str) -> None:
    assert number(value) == shown


def test_counts_shares_and_sizes() -> None:
    assert (count(20000), share(1, 8), share(0, 0)) == ("20,000", "12.5%", "–")
    assert (size(20_244), size(27_300_000)) == ("20.2 kB", "27.3 MB")
