from __future__ import annotations

import textwrap
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwriting.sources.gutenberg_chapters import is_heading, sections
from deepwriting.sources.gutenberg_editorial import without_editorial, without_emphasis
from deepwriting.sources.gutenberg_paragraphs import SCENE_BREAK, raw_blocks, to_block
from deepwriting.sources.gutenberg_passages import Limits, book_blocks, passages
from deepwriting.sources.gutenberg_text import without_credits


def prose(number: int, words: int = 90) -> str:
    """A hard-wrapped paragraph whose words name it."""
    return textwrap.fill(" ".join([f"P{number}", *(["gate", "lamp", "river"] * (words // 3)), "end."]), 70)


def titles(body: str) -> list[str | None]:
    return [section.title for section in sections(book_blocks(body))]


@pytest.mark.parametrize(
    "text",
    [
        "CHAPTER I.",
        "CHAPTER XX—The Door",
        "Chapter 1",
        "CHAPTER IV. The Key",
        "CHAPTER THE FIRST",
        "BOOK II",
        "Part Three",
        "CANTO XII.",
        "Letter 4",
        "CHAPTER I\nIn Which It Rains",
        "PREFACE",
        "The Author's Preface",
        "PROLOGUE.",
        "STAVE ONE",
        "ACT I",
        "第三回 風雪",
        "第一章",
    ],
)
def test_headings(text: str) -> None:
    assert is_heading(text)


@pytest.mark.parametrize(
    "text",
    [
        "Part of it was lost.",
        "Book I liked best was hers.",
        "chapter one was long",
        "I",
        "Act now, she said.",
        "Preface to",
        "The scene is dark.",
        "Letter by letter he spelled it.",
        "CHAPTER I " + "x" * 120,
        "",
        "第一回我见到他，是在桥上。",
    ],
)
def test_prose_is_no_heading(text: str) -> None:
    assert not is_heading(text)


def test_title_page_and_contents_go_and_chapters_stay() -> None:
    body = (
        f"THE GATE\n\nby A. Keeper\n\n\nCONTENTS\n\n  CHAPTER I. The Key .... 3\n  CHAPTER II. The Door .... 9\n\n\n"
        f"TO MY MOTHER\n\nCHAPTER I\n\nTHE KEY\n\n{prose(1)}\n\n“Yes.”\n\n"
        f"CHAPTER II\n\nThe Door\n\n{prose(2)}\n\nTHE END\n"
    )
    found = sections(book_blocks(body))
    assert [section.title for section in found] == ["CHAPTER I THE KEY", "CHAPTER II The Door"]
    assert [block.text.split()[0] for block in found[0].blocks] == ["P1", "“Yes.”"]
    assert len(found[1].blocks) == 1


def test_contents_with_an_entry_a_paragraph_are_no_chapters() -> None:
    entries = "\n\n".join(f"CHAPTER {number}. A Door" for number in ("I", "II", "III"))
    body = f"CONTENTS\n\n{entries}\n\nTHE GATE\n\nCHAPTER I. A Door\n\n{prose(1)}\n\nCHAPTER II. A Door\n\n{prose(2)}"
    assert titles(body) == ["CHAPTER I. A Door", "CHAPTER II. A Door"]


def test_books_and_parts_stand_before_their_chapters() -> None:
    body = f"BOOK ONE\n\nCHAPTER I\n\n{prose(1)}\n\nCHAPTER II\n\n{prose(2)}\n\nBOOK TWO\n\nCHAPTER I\n\n{prose(3)}"
    assert titles(body) == ["BOOK ONE / CHAPTER I", "BOOK ONE / CHAPTER II", "BOOK TWO / CHAPTER I"]


@pytest.mark.parametrize(
    "marks", [["I.", "II.", "III."], ["1", "2", "3"], ["I. A GATE", "II. A LAMP", "III. A KEY"], ["A", "B", "D"]]
)
def test_bare_marks_that_count_up_are_headings(marks: list[str]) -> None:
    body = "\n\n".join(f"{mark}\n\n{prose(number, 120)}" for number, mark in enumerate(marks))
    assert titles(body) == marks


def test_lone_marks_and_stanza_numbers_are_not() -> None:
    assert titles(f"I\n\n{prose(1)}\n\nV\n\n{prose(2)}\n\nC\n\n{prose(3)}") == [None]
    stanzas = "\n\n".join(f"{mark}\n\nRain on the gate,\nrain on the river." for mark in ("I", "II", "III", "IV"))
    assert titles(f"{prose(1)}\n\n{stanzas}\n\n{prose(2)}") == [None]


def test_long_text_before_the_first_chapter_is_kept() -> None:
    letter = "\n\n".join(prose(number, 120) for number in range(4))
    assert titles(f"THE GATE\n\n{letter}\n\nCHAPTER I\n\n{prose(9, 900)}") == [None, "CHAPTER I"]
    assert titles(f"THE GATE\n\n{prose(1)}\n\nCHAPTER I\n\n{prose(9, 900)}") == ["CHAPTER I"]
    assert titles(f"THE GATE\n\n{prose(1)}\n\n{prose(2)}\n\nEPILOGUE\n\n{prose(3, 60)}") == [None, "EPILOGUE"]


def test_a_book_without_headings_loses_its_title_page_only() -> None:
    (section,) = sections(book_blocks(f"THE GATE\n\nBy A. Keeper\n\n{prose(1)}\n\nShort.\n\n{prose(2)}"))
    assert [block.text.split()[0] for block in section.blocks] == ["P1", "Short.", "P2"]


def test_a_heading_glued_to_its_text_is_parted() -> None:
    (section,) = sections(book_blocks(f"CHAPTER I. The Key\n{prose(1)}"))
    assert section.title == "CHAPTER I. The Key"
    assert section.blocks[0].text.startswith("P1 gate")


def test_chinese_chapters_and_paragraphs() -> None:
    line = "河边的灯亮了一夜，没有人来。" * 20
    body = (
        f"目录\n\n第一回 灯\n\n第二回 门\n\n第一回 灯\n　　{line}\n　　{line}\n\n"
        f"第二回 门\n\n{line[:30]}\n{line[30:]}\n\n全书终\n"
    )
    found = sections(book_blocks(body))
    assert [section.title for section in found] == ["第一回 灯", "第二回 门"]
    assert [block.text for block in found[0].blocks] == [line, line]
    assert found[1].blocks[0].text == line


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (
            ["The gate stood open all through the long night of the rain and the", "keeper slept."],
            "The gate stood open all through the long night of the rain and the keeper slept.",
        ),
        (
            ["   The gate stood open all through the long night of the rain and", "the keeper slept."],
            "The gate stood open all through the long night of the rain and the keeper slept.",
        ),
        (
            ["  Rain on the gate,", "    rain on the river,", "  rain."],
            "Rain on the gate,\n  rain on the river,\nrain.",
        ),
        (
            ["Rain on the gate,", "rain on the river,", "and rain on me."],
            "Rain on the gate,\nrain on the river,\nand rain on me.",
        ),
        (
            ["The long and winding road that led past the gate to the rabbit-", "hole was dry."],
            "The long and winding road that led past the gate to the rabbit-hole was dry.",
        ),
        (
            [
                "The long and winding road that led past the gate and to the river",
                "--a dry one--was closed.  It rained.",
            ],
            "The long and winding road that led past the gate and to the river--a dry one--was closed. It rained.",
        ),
        (["     *    *    *", "  *   *   *"], SCENE_BREAK),
        (["-----"], SCENE_BREAK),
    ],
)
def test_paragraphs(lines: list[str], text: str) -> None:
    assert to_block(lines, 70).text == text


def test_blocks_end_at_blank_lines_and_ideographic_indents() -> None:
    assert list(raw_blocks("a\nb\n \n\nc\n　　d\n　　e\nf\n")) == [["a", "b"], ["c"], ["　　d"], ["　　e", "f"]]


def test_scene_breaks_stand_only_between_paragraphs() -> None:
    body = f"* * *\n\n{prose(1)}\n\n* * *\n\n*  *  *\n\n{prose(2)}\n\n* * *\n"
    (passage,) = passages(body, Limits(5000, 10, 5000))
    assert passage.text.split("\n\n")[1:2] == [SCENE_BREAK]
    assert passage.text.count("*") == 3
    assert passage.text.startswith("P1")


def test_a_short_rest_is_joined_to_its_neighbour() -> None:
    body = "\n\n".join([prose(1, 180), prose(2, 180), prose(3, 180), "The end of it."])
    parts = list(passages(body, Limits(2200, 400, 2200)))
    assert [len(part.text) >= 400 for part in parts] == [True] * len(parts)


@settings(max_examples=60)
@given(st.lists(st.integers(3, 300), min_size=1, max_size=40), st.integers(300, 3000), st.integers(1, 300))
def test_passages_hold_every_paragraph_once_in_order_and_within_bounds(words: list[int], most: int, least: int) -> None:
    body = "CHAPTER I\n\n" + "\n\n".join(prose(number, count) for number, count in enumerate(words))
    found = list(passages(body, Limits((most + least) // 2, least, most)))
    together = "\n\n".join(passage.text for passage in found)
    assert together.split() == body.split()[2:]
    for passage in found:
        assert len(passage.text) <= most or "\n\n" not in passage.text
        assert passage.chapter == "CHAPTER I"


@pytest.mark.parametrize(
    "filler",
    [
        " ",
        "\n",
        "line\n",
        "* ",
        "[Illustration ",
        "CHAPTER I\n\n",
        "I\n\n",
        "-\n",
        "INDEX\n\n",
        "_x ",
        "[1] x\n\n",
        "| transcriber\n",
        "TRANSCRIBER'S NOTES\n\n",
    ],
)
def test_long_runs_take_no_longer_than_their_length(filler: str) -> None:
    start = time.perf_counter()
    body = without_emphasis(without_editorial(without_credits("x" + filler * 20_000 + "x")))
    assert sum(1 for _ in passages(body, Limits(2000, 10, 5000))) >= 0
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("words", [20, 60, 150])
@pytest.mark.parametrize("target", [1500, 3000])
def test_passages_come_out_near_the_target_and_leave_no_rest(words: int, target: int) -> None:
    body = "\n\n".join(prose(number, words) for number in range(240))
    lengths = [len(passage.text) for passage in passages(body, Limits(target, 400, 6000))]
    assert len(lengths) > 5
    paragraph = len(prose(1, words))
    assert all(abs(length - target) <= target / 10 + paragraph for length in lengths)


def test_a_passage_ends_at_a_scene_break_where_it_can() -> None:
    scenes = ["\n\n".join(prose(10 * scene + number, 60) for number in range(7)) for scene in range(3)]
    found = list(passages("\n\n* * *\n\n".join(scenes), Limits(2000, 400, 6000)))
    assert [passage.text.count("\n\n") + 1 for passage in found] == [7, 7, 7]


def test_an_index_goes_and_a_chapter_of_that_name_stays() -> None:
    entries = "\n\n".join(f"{name}, {number}, {number + 9}-{number + 12}" for number, name in enumerate("ABC" * 8, 10))
    found = sections(book_blocks(f"CHAPTER I\n\n{prose(1)}\n\nINDEX\n\nA\n\n{entries}\n\nCHAPTER II\n\n{prose(2)}"))
    assert [section.title for section in found] == ["CHAPTER I", "CHAPTER II"]
    assert "10" not in " ".join(block.text for section in found for block in section.blocks)
    kept = sections(book_blocks(f"CHAPTER I\n\n{prose(1)}\n\nINDEX\n\n{prose(2)}"))
    assert [len(section.blocks) for section in kept] == [3]


def test_lists_of_illustrations_are_no_text() -> None:
    plates = "\n".join(f"The gate at noon number {number} .... {number}" for number in range(9))
    body = f"LIST OF PLATES\n\n{plates}\n\nCHAPTER I\n\n{prose(1)}\n\nCHAPTER II\n\n{prose(2)}"
    assert "noon" not in " ".join(passage.text for passage in passages(body, Limits(1000, 10, 5000)))
