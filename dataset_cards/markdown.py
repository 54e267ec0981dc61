"""Markdown tables and numbers for the card: everything that comes from data is escaped here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: Characters that Markdown or its HTML would interpret inside of a table cell.
_SPECIAL = re.compile(r"([\\`*_\[\]<>|$])")


def escaped(text: str) -> str:
    """Text from data for use inside a Markdown line: one line, nothing interpreted."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text from data as inline code inside a table cell."""
    plain = " ".join(text.split()).replace("|", "\\|")
    # Inline code that holds back-quotes needs a longer fence than any run of them inside.
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {plain} {fence}" if longest else f"`{plain}`" if plain else ""


def link(text: str, url: str) -> str:
    """A link whose text is already Markdown."""
    target = re.sub(r"[<>|\s]", "", url)
    return f"[{text}](<{target}>)" if target else text


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """A Markdown table.

    Args:
        header: column titles.
        rows: cells that are already Markdown.
        numbers: how many of the last columns are aligned to the right.

    Returns:
        The lines of the table, without a newline at the end.
    """
    marks = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, marks, *rows))


def count(value: int) -> str:
    """A whole number with thousands separators."""
    return f"{value:,}"


def size(value: int) -> str:
    """A number of bytes as kB or MB (powers of 1,000, as the Hub shows them)."""
    return f"{value / 1e6:,.1f} MB" if value >= 1e6 else f"{value / 1e3:,.1f} kB"


def number(value: float) -> str:
    """A measured number: three decimals below 10, two below 100, one below 1,000, none above."""
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0
    return f"{value:,.{digits}f}"


def amount(value: float) -> str:
    """A number of things, or a mean or percentile of such numbers: one decimal where it is not whole."""
    return f"{value:,.1f}".removesuffix(".0")


def percent(value: float) -> str:
    """A share between 0 and 1 in per cent with one decimal."""
    return f"{value:.1%}"


def share(part: int, whole: int) -> str:
    """A share in per cent with one decimal; a dash when there is no whole."""
    return f"{part / whole:.1%}" if whole else "–"
