from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.errors import SourceError
from deepwriting.sources import GutenbergBook
from deepwriting.sources.gutenberg_text import cut_book

SHARED = Path(os.environ.get("DEEPWRITING_SHARED", Path(__file__).resolve().parents[3] / "shared"))
BOOKS = SHARED / "data" / "gutenberg"
#: What no passage may hold: the licence's words, markers, credits and editorial brackets.
FOREIGN = re.compile(r"gutenberg|licen[sc]e agreement|\*\*\*|^produced by|ebook|\[illustration", re.I | re.M)
real_books = pytest.mark.skipif(not BOOKS.is_dir(), reason=f"the real books are not at {BOOKS}")

PARAGRAPH = "\n".join(["The keeper lit the lamp and sat down to wait for the morning boat."] * 8)
HEADER = "The Project Gutenberg EBook of The Gate, by A. Keeper\n\nTitle: The Gate\nAuthor: A. Keeper\nLanguage: {}\n\n"
START = "*** START OF THIS PROJECT GUTENBERG EBOOK THE GATE ***\n\n"
END = "\n\n*** END OF THIS PROJECT GUTENBERG EBOOK THE GATE ***\n\nwww.gutenberg.org\n"


def book(body: str = PARAGRAPH, language: str = "English") -> str:
    return HEADER.format(language) + START + body + END


def read(path: Path, **options: Any) -> list[Document]:
    return list(GutenbergBook(str(path), name="pg", license="PD", **options).run())


def test_a_passage_carries_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "gate.txt").write_bytes(book(f"CHAPTER I\n\n{PARAGRAPH}").replace("\n", "\r\n").encode("utf-8-sig"))
    (doc,) = read(tmp_path)
    assert doc.id == "pg/gate.txt#0001"
    assert doc.metadata["query"] is None
    assert doc.text == PARAGRAPH.replace("\n", " ")
    assert json.loads(doc.metadata["provenance"]) == {
        "title": "The Gate", "author": "A. Keeper", "language": "English", "chapter": "CHAPTER I", "passage": 1,
        "encoding": "utf-8", "file": "gate.txt",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (book(language="Finnish"), "unsupported_language"),
        (book(language="English, Latin"), "unsupported_language"),
        (book("Short."), "passage_too_short"),
        (book(PARAGRAPH * 20), "passage_too_long"),
        (book(f"{PARAGRAPH} See gutenberg.net for more."), "licence_text"),
        (book("CHAPTER I\n\nCHAPTER II"), "empty_answer"),
        (book("  "), "empty_answer"),
        (HEADER + PARAGRAPH, "no_gutenberg_markers"),
        (HEADER + START + PARAGRAPH + "\n\nVisit www.gutenberg.org", "licence_text_left"),
        ("", "empty_answer"),
        ("x\0y", "wrong_encoding"),
    ],
)  # fmt: skip
def test_reasons(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "gate.txt").write_text(text)
    (doc,) = read(tmp_path)
    assert doc.metadata["reject"] == reason


def test_latin_1_is_read_and_noted_and_refused_for_chinese(tmp_path: Path) -> None:
    text = book(PARAGRAPH.replace("keeper", "gardé"))
    (tmp_path / "a.txt").write_bytes(text.encode("latin-1"))
    (tmp_path / "b.txt").write_bytes(text.replace("English", "Chinese").encode("latin-1"))
    latin, chinese = read(tmp_path)
    assert json.loads(latin.metadata["provenance"])["encoding"] == "iso-8859-1"
    assert "gardé" in latin.text
    assert chinese.metadata["reject"] == "wrong_encoding"


def test_other_books_are_read_after_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(b"\x1f\x8b\x08cut")
    (tmp_path / "b.txt").write_text(book())
    assert [doc.metadata.get("reject") for doc in read(tmp_path)] == ["truncated_file", None]


def test_tables_of_books(tmp_path: Path) -> None:
    facts = {"title": "The Lamp", "authors": "B. Keeper", "language": ["en"], "text_id": 37}
    rows: list[Any] = [
        {"TEXT": PARAGRAPH, "SOURCE": "gutenberg", "METADATA": json.dumps(facts)},
        {"id": 84, "text": book()},
        {"TEXT": PARAGRAPH, "SOURCE": "gutenberg", "METADATA": {"language": "fi"}},
        {"TEXT": PARAGRAPH, "METADATA": "{broken"},
        {"id": 1},
        {"id": 1, "text": None},
        {"id": 1, "text": ["x"]},
        {"id": 1, "text": "x\0y"},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{")
    docs = read(tmp_path)
    assert [doc.metadata.get("reject") for doc in docs] == [
        None, None, "unsupported_language", None, "missing_columns", "empty_answer", "wrong_type", "wrong_encoding",
        "malformed_json",
    ]  # fmt: skip
    assert [doc.id for doc in docs[:2]] == ["pg/t.jsonl:1#0001", "pg/84#0001"]
    assert json.loads(docs[0].metadata["provenance"]) == {
        "title": "The Lamp", "author": "B. Keeper", "language": "en", "ebook": "37", "passage": 1, "file": "t.jsonl",
        "table_source": "gutenberg",
    }  # fmt: skip
    assert json.loads(docs[1].metadata["provenance"])["title"] == "The Gate"


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(SourceError, match="min_chars is 500 and max_chars 400"):
        GutenbergBook("x", name="pg", license="PD", min_chars=500, max_chars=400)


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))


@real_books
@pytest.mark.parametrize(
    ("name", "opening", "ending", "chapters"),
    [
        ("11-0.txt", "Alice was beginning to get very tired", "and the happy summer days.", 12),
        ("972.txt", "_The Devil's Dictionary_ was begun in a weekly paper", "we learn (_L'Histoire", 27),
    ],
)
def test_real_books_are_whole_and_free_of_licence_text(name: str, opening: str, ending: str, chapters: int) -> None:
    docs = read(BOOKS / name)
    good = [doc for doc in docs if "reject" not in doc.metadata]
    assert len(good) == len(docs)
    assert good[0].text.startswith(opening)
    assert ending in good[-1].text[-300:]
    facts = [json.loads(doc.metadata["provenance"]) for doc in good]
    assert len({fact["chapter"] for fact in facts}) == chapters
    assert chapters <= len(good) <= 100
    for doc in good:
        assert 400 <= len(doc.text) <= 6000
        assert not FOREIGN.search(doc.text)
    body = words(cut_book((BOOKS / name).read_text(encoding="utf-8-sig")).body)
    assert sum((body & words(" ".join(doc.text for doc in good))).values()) / body.total() > 0.99
    text = " ".join(doc.text for doc in good)
    assert sum((words(text) - body).values()) == 0


@real_books
def test_real_verse_keeps_its_lines() -> None:
    texts = "\n".join(doc.text for doc in read(BOOKS))
    assert "Poor Isabella's Dead, whose abdication\nSet all tongues wagging" in texts
    assert "‘You are old, Father William,’ the young man said,\n" in texts
    assert "‘Fury said to a\n" in texts
