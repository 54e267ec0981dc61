from __future__ import annotations

import pytest

from deepwriting.sources.fields import RecordError
from deepwriting.sources.gutenberg_editorial import without_editorial_brackets, without_footnotes
from deepwriting.sources.gutenberg_encoding import Decoded, decode
from deepwriting.sources.gutenberg_text import cut_book, has_licence_text

BODY = "The gate was open.\n\nNobody had opened it."
LICENCE = "This text may be copied under the Project Gutenberg licence, see www.gutenberg.net"

STARTS = [
    "*** START OF THE PROJECT GUTENBERG EBOOK THE GATE ***",
    "*** START OF THIS PROJECT GUTENBERG EBOOK THE GATE ***",
    "***START OF THE PROJECT GUTENBERG EBOOK THE GATE***",
    "***START OF THIS PROJECT GUTENBERG E-TEXT THE GATE***",
    "*** START OF THE PROJECT GUTENBERG EBOOK 123 ***",
    "*** START OF THE PROJECT GUTENBERG EBOOK THE GATE OR WHAT STOOD\nBEHIND IT, A STORY IN PARTS ***",
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
    "*END THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*",
    f"***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\n{LICENCE}\n*END*THE SMALL PRINT! FOR PUBLIC*END*",
    f"*** START OF THE PROJECT GUTENBERG EBOOK THE GATE ***\n\n***START**THE SMALL PRINT!**START***\n{LICENCE}\n"
    "*END THE SMALL PRINT!*END*",
]
ENDS = [
    "*** END OF THE PROJECT GUTENBERG EBOOK THE GATE ***",
    "*** END OF THIS PROJECT GUTENBERG EBOOK THE GATE ***",
    "***END OF THE PROJECT GUTENBERG EBOOK THE GATE***",
    "End of the Project Gutenberg EBook of The Gate, by A. Keeper",
    "End of Project Gutenberg's The Gate, by A. Keeper",
    "End of Project Gutenberg Etext of The Gate",
    "  End of this Project Gutenberg Etext",
    "*** START: FULL LICENSE ***",
    "THE FULL PROJECT GUTENBERG LICENSE",
]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("end", ENDS)
def test_all_markers_leave_only_the_body(start: str, end: str) -> None:
    book = cut_book(f"{LICENCE}\n\nTitle: The Gate\n\n{start}\n\n{BODY}\n\n{end}\n\n{LICENCE}\n")
    assert book.body.strip() == BODY
    assert book.facts["title"] == "The Gate"


@pytest.mark.parametrize("start", [None, STARTS[0]])
@pytest.mark.parametrize("end", [None, ENDS[0]])
def test_a_book_whose_licence_cannot_be_told_from_its_text_is_refused(start: str | None, end: str | None) -> None:
    if start and end:
        return
    text = f"{LICENCE}\n\n{start or ''}\n\n{BODY}\n\n{end or ''}\n\n{LICENCE}\n"
    reason = "licence_text_left" if start or end else "no_gutenberg_markers"
    with pytest.raises(RecordError, match=reason):
        cut_book(text)


def test_one_marker_is_enough_where_no_licence_is_left() -> None:
    assert cut_book(f"{LICENCE}\n{STARTS[0]}\n{BODY}").body == BODY
    assert cut_book(f"{BODY}\n\n{ENDS[0]}\n{LICENCE}").body.strip() == BODY
    assert cut_book(BODY).body == BODY


def test_nothing_between_the_markers_is_a_reject() -> None:
    with pytest.raises(RecordError, match="empty_answer"):
        cut_book(f"{STARTS[0]}\n\n{ENDS[0]}")


def test_header_facts() -> None:
    header = """The Project Gutenberg EBook of The Gate, by A. Keeper

Title: The Gate
       or, What Stood Behind It

Author: A. Keeper
Release Date: May 1, 2004 [EBook #4321]
Language: English
"""
    assert cut_book(f"{header}\n{STARTS[0]}\n{BODY}\n{ENDS[0]}").facts == {
        "title": "The Gate or, What Stood Behind It", "author": "A. Keeper", "release_date": "May 1, 2004",
        "language": "English", "ebook": "4321",
    }  # fmt: skip
    old = "***The Project Gutenberg Etext of The Gate, by A. Keeper***\n"
    assert cut_book(f"{old}{STARTS[6]}\n{BODY}\n{ENDS[5]}").facts == {"title": "The Gate", "author": "A. Keeper"}


@pytest.mark.parametrize(
    "credit",
    [
        "Produced by A. Volunteer and the Online\nDistributed Proofreading Team",
        "E-text prepared by A. Volunteer",
        "This eBook was produced by A. Volunteer.",
        "Transcribed from the 1899 edition by A. Volunteer, email x@example.org",
        "HTML version prepared by A. Volunteer",
        "(This file was produced from images generously made available)",
        "Transcriber's Note: spelling was kept.",
        "Credits: A. Volunteer",
    ],
)
def test_credit_lines_are_removed_at_both_ends(credit: str) -> None:
    assert cut_book(f"{STARTS[0]}\n\n{credit}\n\n{BODY}\n\n{credit}\n\n{ENDS[0]}").body.strip() == BODY


def test_prose_about_producing_is_not_a_credit() -> None:
    text = "The file was thin.\n\nThis book was heavy, and produced a cough in everyone."
    assert cut_book(f"{STARTS[0]}\n{text}\n{ENDS[0]}").body.strip() == text


@pytest.mark.parametrize(
    ("raw", "text", "encoding"),
    [
        (b"\xef\xbb\xbfcaf\xc3\xa9\r\nx", "café\nx", "utf-8"),
        (b"caf\xc3\xa9", "café", "utf-8"),
        (b"caf\xe9", "café", "iso-8859-1"),
        (b"\x93caf\xe9\x94", "“café”", "windows-1252"),
        (b"\x81\xe9", "\x81é", "iso-8859-1"),
    ],
)
def test_encodings(raw: bytes, text: str, encoding: str) -> None:
    assert decode(raw) == Decoded(text, encoding)


@pytest.mark.parametrize("raw", ["text".encode("utf-16"), b"te\0xt"])
def test_what_is_no_plain_text_is_refused(raw: bytes) -> None:
    with pytest.raises(RecordError, match="wrong_encoding"):
        decode(raw)


@pytest.mark.parametrize(
    "text",
    ["the Project Gutenberg-tm mission", "PROJECT\nGUTENBERG", "see gutenberg.org/license", "http://www.gutenberg.net",
     "THE SMALL PRINT! FOR", "Literary Archive Foundation", "_Project_ _Gutenberg_"],
)  # fmt: skip
def test_tell_tale_phrases(text: str) -> None:
    assert has_licence_text(text)


@pytest.mark.parametrize(
    "text", ["Gutenberg printed Bibles.", "Read the small print, he said.", "a project by Guten Berg"]
)
def test_ordinary_words_do_not_tell(text: str) -> None:
    assert not has_licence_text(text)


def test_editorial_brackets_go_and_others_stay() -> None:
    text = (
        "One[1] two.[A]\n\n[Illustration: a [small] gate\n\nwith a cat]\n\nThree [he said] four.[12]\n\n"
        "[Footnote A: A gate.]\n\n[Illustration]\n\n[Transcriber’s Note: kept]\n\nFive [B]."
    )
    left = without_footnotes(without_editorial_brackets(text))
    assert left.split() == ["One", "two.", "Three", "[he", "said]", "four.", "Five", "[B]."]


def test_a_bracket_never_closed_takes_only_its_paragraph() -> None:
    assert without_editorial_brackets("One.\n\n[Illustration: a gate\nlost\n\nTwo.").split() == ["One.", "Two."]
