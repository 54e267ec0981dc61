"""Tables that read well in a terminal and on a page."""

from __future__ import annotations


class Table:
    """A Markdown table; all columns but the first are right-aligned.

    Args:
        columns: the heads.
    """

    def __init__(self, *columns: str):
        self.rows: list[tuple[str, ...]] = [columns]

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(cells)

    def markdown(self) -> str:
        """The table with its columns padded."""
        widths = [max(len(row[column]) for row in self.rows) for column in range(len(self.rows[0]))]
        lines = [
            "| " + " | ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            + " |"
            for row in self.rows
        ]  # fmt: skip
        rule = "| " + " | ".join("-" * (w - 1) + ":" if i else "-" * w for i, w in enumerate(widths)) + " |"
        return "\n".join([lines[0], rule, *lines[1:]])
