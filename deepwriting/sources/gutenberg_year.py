"""The year of a book, as its header and title page tell it."""

from __future__ import annotations

import re

_YEAR = r"(1[4-9][0-9]{2}|20[0-2][0-9])"
#: Lines of the title page that are looked at, and the length of a line that is prose already (characters).
_TITLE_PAGE_LINES = 60
_PARAGRAPH_LINES = 4
#: Where a year stands, the most trustworthy first.
_STATED = (
    ("original_publication", re.compile(rf"^Original publication:[^\n]*\b{_YEAR}\b", re.I | re.M)),
    (
        "first_published",
        re.compile(
            rf"\bfirst\s+(?:published|printed|issued|edition)\b[^\n0-9]{{0,40}}(?:[0-9]{{1,2}}\D{{1,20}})?{_YEAR}\b",
            re.I,
        ),
    ),
    ("copyright", re.compile(rf"\bcopyright(?:ed)?\b[^\n0-9]{{0,20}}{_YEAR}\b", re.I)),
    ("edition", re.compile(rf"\bfrom\s+the\s+{_YEAR}\b[^\n]{{0,60}}\bedition\b", re.I)),
)
#: A publisher's line: "LONDON: A PRESS, 1899", or the year alone.
_IMPRINT = re.compile(rf"^\W*(?:[A-Z][^\d\n]{{0,60}}[\s,(])?{_YEAR}\W*$")
_ROMAN_IMPRINT = re.compile(r"^\W*(?:[A-Z][A-Za-z .,&:]{0,40}[\s,])?(M(?:D|C|L|X|V|I){2,14})\W*$")
_ROMAN = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}


def book_year(header: str, front: str, release_date: str | None) -> tuple[int, str] | None:
    """A book's year and where it stands.

    Args:
        header: what Project Gutenberg wrote before the book.
        front: the beginning of the book itself.
        release_date: when Project Gutenberg released it, if the header tells.

    Returns:
        The year, and ``original_publication``, ``first_published``, ``copyright``, ``edition``, ``title_page`` or,
        where the file tells nothing better, ``release``; ``None`` if there is no year at all.
    """
    title_page = _title_page(front)
    for place, pattern in _STATED:
        if found := pattern.search(f"{header}\n{title_page}"):
            return int(found[1]), place
    for line in title_page.split("\n"):
        if found := _IMPRINT.match(line):
            return int(found[1]), "title_page"
        if (found := _ROMAN_IMPRINT.match(line)) and 1400 <= (year := _roman(found[1])) < 2030:
            return year, "title_page"
    if release_date and (found := re.search(rf"\b{_YEAR}\b", release_date)):
        return int(found[1]), "release"
    return None


def _title_page(front: str) -> str:
    """The lines before the first paragraph of prose."""
    lines: list[str] = []
    run = 0
    for line in front.split("\n"):
        run = run + 1 if line.strip() and not line.startswith((" ", "\t")) else 0
        lines.append(line)
        if run > _PARAGRAPH_LINES or len(lines) >= 3 * _TITLE_PAGE_LINES:
            break
    return "\n".join([line for line in lines if line.strip()][:_TITLE_PAGE_LINES])


def _roman(number: str) -> int:
    values = [_ROMAN[digit] for digit in number]
    return sum(-value if value < max(values[at:]) else value for at, value in enumerate(values))
