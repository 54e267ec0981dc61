"""Real tables: captions, headings with a scope, numbers to the right; too wide ones scroll by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepwriting.report.markup import Markup, element, joined


@dataclass(frozen=True)
class Column:
    """A column: its heading and its class, ``n`` for numbers, ``bar`` for bars, ``text`` for what may be folded."""

    heading: str
    class_: str | None = None


@dataclass(frozen=True)
class Row:
    """A row; ``class_`` is ``sum`` for totals. A row of one cell is a heading for those behind it."""

    cells: Sequence[str]
    class_: str | None = None


def number(heading: str) -> Column:
    """A column of numbers."""
    return Column(heading, "n")


def table(caption: str, columns: Sequence[Column], rows: Iterable[Row | Sequence[str]], *, wide: bool = True) -> Markup:
    """A table whose first column names its rows.

    Args:
        caption: what it shows, with units.
        columns: the columns.
        rows: the rows.
        wide: whether it takes the page's whole width.
    """
    head = element("thead", element("tr", *(_heading(column) for column in columns)))
    body = element("tbody", *(_row(row if isinstance(row, Row) else Row(row), columns) for row in rows))
    found = element("table", element("caption", element("span", caption)), head, body, class_="wide" if wide else None)
    return element("div", found, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _heading(column: Column) -> Markup:
    return element("th", column.heading, scope="col", class_="n" if column.class_ == "n" else None)


def _row(row: Row, columns: Sequence[Column]) -> Markup:
    if len(row.cells) == 1:
        return element("tr", element("th", row.cells[0], scope="rowgroup", colspan=len(columns)))
    first = element("th", row.cells[0], scope="row", class_=columns[0].class_)
    rest = (
        # A chart has no width of its own: its box keeps the room.
        element("td", element("div", cell) if column.class_ == "bar" else cell, class_=column.class_)
        for cell, column in zip(row.cells[1:], columns[1:], strict=True)
    )
    return element("tr", joined(first, *rest), class_=row.class_)
