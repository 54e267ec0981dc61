from __future__ import annotations

import pytest

from deepwriting.sources.gutenberg_editorial import without_editorial, without_emphasis
from deepwriting.sources.gutenberg_year import book_year


def plain(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in without_editorial(text).split("\n\n") if paragraph.strip()]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("The gate[1] fell.\n\n[1] A gate of oak.\n\nIt rained.", ["The gate fell.", "It rained."]),
        ("The gate{1} fell.\n\n{1} A gate of oak.\n\nIt rained.", ["The gate fell.", "It rained."]),
        ("The gate(1) fell.\n\n(1) A gate of oak.\n\nIt rained.", ["The gate fell.", "It rained."]),
        ("The gate fell.*\n\n* A gate of oak.\n\nIt rained.", ["The gate fell.", "It rained."]),
        ("The gate† fell.\n\n†A gate of oak.\n\nIt rained.", ["The gate fell.", "It rained."]),
        ("The gate[A] fell.\n\n[A] A gate of oak.", ["The gate fell."]),
        ("One[1] two.[2]\n\nFOOTNOTES:\n\n[1] Oak.\n\n  More on oak.\n\n[2] Ash.\n\nThree.", ["One two.", "Three."]),
        ("Rain [1] fell.\n\n[Footnote 1: Much\nof it.]\n\nIt stopped.", ["Rain fell.", "It stopped."]),
        # What only looks like a note stays.
        ("Rules:\n\n(1) Knock.\n\n(2) Wait.", ["Rules:", "(1) Knock.", "(2) Wait."]),
        ("* A star led the list.\n\nIt rained.", ["* A star led the list.", "It rained."]),
        ("He said [sic] no.\n\n[He goes.]", ["He said [sic] no.", "[He goes.]"]),
        ("One.\n\n* * *\n\nTwo.", ["One.", "* * *", "Two."]),
    ],
)
def test_footnotes_and_their_marks_go(text: str, left: list[str]) -> None:
    assert plain(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("The gate {12} fell.", ["The gate fell."]),
        ("The ga[Pg 12]te fell.", ["The gate fell."]),
        ("The gate\n[Page xii]\nfell.", ["The gate fell."]),
        ("The gate, they say,\n\n[p. 12]\n\nfell at night.", ["The gate, they say, fell at night."]),
        ("The gate fell.\n\n{12}\n\nIt rained.", ["The gate fell.", "It rained."]),
        ("See page 12, {here}.", ["See page 12, {here}."]),
    ],
)
def test_page_numbers_go(text: str, left: list[str]) -> None:
    assert plain(text) == left


def test_illustrations_over_several_lines_go() -> None:
    picture = "[Illustration: A gate\n\n_by the river_,\nwith [a] cat]"
    text = f"One.\n\n{picture}\n\nTwo.\n\n[Blank Page]\n\n[Headpiece]\n\nThree."
    assert plain(text) == ["One.", "Two.", "Three."]


def test_a_transcribers_note_in_a_box_goes_and_another_box_stays() -> None:
    box = "+-----------------+\n| {}: one  |\n|                 |\n| two             |\n+-----------------+"
    text = f"One.\n\n{box.format('Transcriber’s Note')}\n\nTwo.\n\n{box.format('NOTICE')}\n\nThree."
    left = plain(text)
    assert (left[0], left[1], left[-1]) == ("One.", "Two.", "Three.")
    assert "NOTICE" in without_editorial(text)
    assert "Transcriber" not in without_editorial(text)


def test_a_transcribers_note_under_its_heading_goes_to_the_next_gap() -> None:
    story = "\n\n".join(f"The gate was closed in year {number}." for number in range(900))
    note = "TRANSCRIBER'S NOTES\n\nSpelling was kept.\n\n  p. 3: gaet became gate."
    assert without_editorial(f"{note}\n\n\n\n{story}\n\n\n\n{note}").strip() == story
    middle = f"{story}\n\n\n{note}\n\n\n{story}"
    assert without_editorial(middle) == middle  # a chapter of that name, not a volunteer's note


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("It was _very_ late.", "It was very late."),
        ("_The\nGate_, he said.", "The\nGate, he said."),
        ("=Gate.= A door.", "Gate. A door."),
        ("“_Yes_—_no_!”", "“Yes—no!”"),
        ("a snake_case_name", "a snake_case_name"),
        ("_ a lone mark", "_ a lone mark"),
        ("_never closed\n\nin this paragraph_", "_never closed\n\nin this paragraph_"),
        ("_____", "_____"),
        ("a = b = c", "a = b = c"),
    ],
)
def test_emphasis(text: str, left: str) -> None:
    assert without_emphasis(text) == left


@pytest.mark.parametrize(
    ("header", "front", "release", "year"),
    [
        ("Original publication: London: A Press, 1865\n", "NEW YORK, 1901", None, (1865, "original_publication")),
        ("", "THE GATE\n\nFirst published in May, 1911\n\nReprinted 1923", None, (1911, "first_published")),
        ("", "THE GATE\n\nCopyright, 1905, by A. Press", None, (1905, "copyright")),
        ("", "Transcribed from the 1899 Press edition by A. B.", "2001", (1899, "edition")),
        ("", "THE GATE\n\nLONDON: A PRESS, 1899", "2001", (1899, "title_page")),
        ("", "THE GATE\n\n1899", None, (1899, "title_page")),
        ("", "THE GATE\n\nMDCCCLXV", None, (1865, "title_page")),
        ("", "THE GATE\n\nIn 1899 the gate fell and nobody came.", "May 1, 2004", (2004, "release")),
        ("", "A\nlong\nparagraph\nof\nprose\nends the title page\n\n1899", None, None),
        ("", "THE GATE", None, None),
    ],
)
def test_the_year(header: str, front: str, release: str | None, year: tuple[int, str] | None) -> None:
    assert book_year(header, front, release) == year
