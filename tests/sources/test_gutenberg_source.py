from __future__ import annotations

import json
import os
import re
import statistics
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document

from deepwriting.errors import SourceError
from deepwriting.sources import GutenbergBook
from deepwriting.sources.gutenberg_editorial import without_emphasis
from deepwriting.sources.gutenberg_passages import Limits
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
        "passages": 1, "encoding": "utf-8", "file": "gate.txt",
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
        (PARAGRAPH + "\n\nVisit www.gutenberg.org", "no_gutenberg_markers"),
        (HEADER.format("English") + PARAGRAPH + "\n\nVisit www.gutenberg.org", "licence_text_left"),
        (book() + "\n\n" + book("\n".join(["A line."] * 40)), "several_books"),
        ("** This is a COPYRIGHTED Project Gutenberg eBook **\n" + book(), "copyrighted_book"),
        (" \n \n", "empty_answer"),
        ("\x01\x02\x03\x04" * 200, "wrong_encoding"),
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


def test_mixed_encodings_are_read_line_by_line_and_counted(tmp_path: Path) -> None:
    lines = [line.encode() for line in book(f"{PARAGRAPH}\n\n{PARAGRAPH}").split("\n")]
    places = [at for at, line in enumerate(lines) if b"keeper lit" in line]
    for at in places:
        lines[at] = lines[at].replace(b"keeper", "gardé".encode("utf-8" if at % 4 else "cp1252"))
    (tmp_path / "gate.txt").write_bytes(b"\n".join(lines))
    reader = GutenbergBook(str(tmp_path), name="pg", license="PD")
    docs = list(reader.run())
    text = " ".join(doc.text for doc in docs)
    assert (text.count("gardé"), text.count("Ã"), text.count("keeper")) == (len(places), 0, 0)
    facts = json.loads(docs[0].metadata["provenance"])
    assert facts["encoding"] == "utf-8+iso-8859-1"
    assert facts["foreign_lines"] == sum(at % 4 == 0 for at in places) > 0
    assert reader.stats.stats["books_of_mixed_encoding"].total == 1


def test_a_giant_file_is_one_reject_and_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "giant.txt").open("wb") as file:
        file.truncate(200 * 2**20)  # a hole: 200 MB that take no room on the disk
    (doc,) = read(tmp_path)
    assert doc.metadata["reject"] == "giant_record"
    assert len(doc.text) <= 1000


def test_a_binary_file_named_like_a_book_is_one_reject(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(zlib.compress(bytes(range(256)) * 900 + os.urandom(9000)).replace(b"\0", b"\1"))
    (tmp_path / "b.txt").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    assert [doc.metadata["reject"] for doc in read(tmp_path)] == ["wrong_encoding", "wrong_encoding"]


def test_a_parquet_file_without_the_text_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "title": ["a", "b"]}), tmp_path / "t.parquet")
    assert [doc.metadata["reject"] for doc in read(tmp_path)] == ["missing_columns"] * 2


def test_a_missing_start_marker_is_no_loss_where_the_header_has_fields(tmp_path: Path) -> None:
    (tmp_path / "gate.txt").write_text(HEADER.format("English") + PARAGRAPH + END)
    (doc,) = read(tmp_path)
    assert doc.text == PARAGRAPH.replace("\n", " ")
    assert json.loads(doc.metadata["provenance"])["title"] == "The Gate"


def test_emphasis_becomes_plain_unless_it_is_to_be_kept(tmp_path: Path) -> None:
    (tmp_path / "gate.txt").write_text(book(PARAGRAPH.replace("the lamp", "_the lamp_", 1)))
    assert "lit the lamp and" in read(tmp_path)[0].text
    assert "lit _the lamp_ and" in read(tmp_path, emphasis="keep")[0].text


def test_the_year_is_that_of_the_title_page_else_of_the_release(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(book(f"THE GATE\n\nLONDON: A PRESS, 1899\n\nCHAPTER I\n\n{PARAGRAPH}"))
    (tmp_path / "b.txt").write_text("Release Date: May 1, 2004\n" + book())
    facts = [json.loads(doc.metadata["provenance"]) for doc in read(tmp_path)]
    assert [(fact["year"], fact["year_of"]) for fact in facts] == [(1899, "title_page"), (2004, "release")]


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
        "title": "The Lamp", "author": "B. Keeper", "language": "en", "ebook": "37", "passage": 1, "passages": 1,
        "file": "t.jsonl",
        "table_source": "gutenberg",
    }  # fmt: skip
    assert json.loads(docs[1].metadata["provenance"])["title"] == "The Gate"


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(SourceError, match="min_chars is 500 and max_chars 400"):
        GutenbergBook("x", name="pg", license="PD", min_chars=500, max_chars=400)
    for target in (300, 7000):
        with pytest.raises(SourceError, match=f"target_chars is {target}; needed: min_chars 400 <= .* max_chars 6000"):
            GutenbergBook("x", name="pg", license="PD", target_chars=target)
    assert GutenbergBook("x", name="pg", license="PD", max_chars=900).limits == Limits(900, 400, 900)
    assert GutenbergBook("x", name="pg", license="PD", min_chars=5000).limits == Limits(5000, 5000, 6000)


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))


@real_books
@pytest.mark.parametrize(
    ("name", "opening", "ending", "chapters"),
    [
        ("11-0.txt", "Alice was beginning to get very tired", "and the happy summer days.", 12),
        ("972.txt", "The Devil's Dictionary was begun in a weekly paper", "we learn (L'Histoire", 27),
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
    assert chapters <= len(good) <= 160
    long = [len(doc.text) for doc in good if len(doc.text) > 2000]
    assert 3000 <= statistics.median(long) <= 4000
    for doc in good:
        assert 400 <= len(doc.text) <= 6000
        assert not FOREIGN.search(doc.text)
    body = words(without_emphasis(cut_book((BOOKS / name).read_text(encoding="utf-8-sig")).body))
    assert sum((body & words(" ".join(doc.text for doc in good))).values()) / body.total() > 0.99
    text = " ".join(doc.text for doc in good)
    assert sum((words(text) - body).values()) == 0


@real_books
def test_real_verse_keeps_its_lines() -> None:
    texts = "\n".join(doc.text for doc in read(BOOKS))
    assert "Poor Isabella's Dead, whose abdication\nSet all tongues wagging" in texts
    assert "‘You are old, Father William,’ the young man said,\n" in texts
    assert "‘Fury said to a\n" in texts
