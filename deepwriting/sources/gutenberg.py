"""Project Gutenberg: books as plain text files or as tables, cut into passages that a model writes requests for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import orjson
from datatrove.data import Document
from datatrove.io import DataFolder

from deepwriting.errors import SourceError
from deepwriting.sources.base import PairReader, Record
from deepwriting.sources.fields import RecordError, identifier, language_code, optional_text, require, text_field
from deepwriting.sources.files import COMPRESSIONS, DamagedFileError, open_bytes
from deepwriting.sources.gutenberg_editorial import without_editorial, without_emphasis
from deepwriting.sources.gutenberg_encoding import Decoded, decode
from deepwriting.sources.gutenberg_passages import Limits, passages
from deepwriting.sources.gutenberg_text import cut_book, has_licence_text

#: Shortest passage (characters): about 70 English words, the least that a writing request can ask for.
DEFAULT_MIN_CHARS = 400
#: What passages come near to (characters): about 600 English words, a writing task that a thinking can plan whole.
DEFAULT_TARGET_CHARS = 3_500
#: Longest passage (characters): about 1,000 English words, which the scorer reads once for every candidate.
DEFAULT_MAX_CHARS = 6_000
#: A larger book file is an accident (bytes): the longest books are about 10 MB.
MAX_BOOK_BYTES = 64 * 2**20
#: Facts of a header or of a table's metadata that become provenance, and the names tables use for them.
_FACTS = {
    "title": ("title",),
    "author": ("author", "authors"),
    "translator": ("translator",),
    "language": ("language", "languages"),
    "release_date": ("release_date", "issued"),
    "ebook": ("ebook", "text_id", "id"),
}


class GutenbergBook(PairReader):
    """Passages of books: ``.txt`` files, or tables with ``TEXT, SOURCE, METADATA`` or ``id, text``.

    The candidates are passages, cut at chapters and paragraphs only; a book that cannot be used is one rejected
    candidate. The query is left to a model. Books in other languages than English and Chinese are rejected where the
    header names the language.

    Args:
        path: a file, a folder or a glob.
        name: the source's name.
        license: licence of the texts.
        limit: at most this many candidates per task.
        target_chars: what passages come near to (characters), 3,500 where the other two allow it; short chapters stay
            as they are.
        min_chars: shortest passage (characters); shorter chapters are rejected.
        max_chars: longest passage (characters); longer paragraphs are rejected.
        emphasis: what becomes of ``_word_``, as the files mark italics: ``plain`` words, or ``keep`` the marks.
    """

    suffixes = (".txt", ".jsonl", ".ndjson", ".parquet")
    #: A table's unreadable line may hold a whole book.
    keeps_raw_lines: ClassVar[bool] = False

    def __init__(
        self,
        path: str,
        *,
        name: str,
        license: str,  # noqa: A002
        limit: int | None = None,
        target_chars: int | None = None,
        min_chars: int = DEFAULT_MIN_CHARS,
        max_chars: int = DEFAULT_MAX_CHARS,
        emphasis: Literal["plain", "keep"] = "plain",
    ):
        super().__init__(path, name=name, license=license, limit=limit)
        if not 0 < min_chars <= max_chars:
            raise SourceError(f"min_chars is {min_chars} and max_chars {max_chars}; needed: 0 < min_chars <= max_chars")
        if target_chars is None:
            target_chars = max(min(DEFAULT_TARGET_CHARS, max_chars), min_chars)
        if not min_chars <= target_chars <= max_chars:
            raise SourceError(
                f"target_chars is {target_chars}; "
                f"needed: min_chars {min_chars} <= target_chars <= max_chars {max_chars}"
            )
        self.limits = Limits(target_chars, min_chars, max_chars)
        self.emphasis = emphasis

    def candidates(self, folder: DataFolder, files: list[str], rank: int, world_size: int) -> Iterator[Document]:
        """Yield one document for each passage, and one for each book that cannot be used."""
        for file in files[rank::world_size]:
            base = next((file.removesuffix(ending) for ending in COMPRESSIONS if file.endswith(ending)), file)
            if base.endswith(".txt"):
                yield from self._file(folder, file)
            else:
                for location, record in self.records(folder, file):
                    yield from self._row(location, record)

    def _file(self, folder: DataFolder, file: str) -> Iterator[Document]:
        raw = b""
        try:
            with open_bytes(folder, file) as handle:
                raw = handle.read(MAX_BOOK_BYTES + 1)
            book = _checked_text(raw)
            origin: dict[str, Any] = {"file": file, "encoding": book.encoding}
            if book.foreign_lines:
                self.stat_update("books_of_mixed_encoding")
                self.stat_update("lines_of_other_encoding", value=book.foreign_lines)
                origin["foreign_lines"] = book.foreign_lines
            yield from self._book(file, book.text, {}, origin)
        except DamagedFileError as error:
            yield self.bad(file, "", "truncated_file", str(error))
        except RecordError as problem:
            yield self.bad(file, raw[:1000], problem.reason, problem.detail)
        except OSError as error:
            raise SourceError(f"source file {file!r} cannot be read: {error}") from error

    def _row(self, location: str, record: Record) -> Iterator[Document]:
        if isinstance(record, Document):
            yield record
            return
        try:
            column = "TEXT" if "TEXT" in record else "text"
            require(record, column)
            text = text_field(record, column, empty="empty_answer").replace("\r\n", "\n").replace("\r", "\n")
            facts = _table_facts(record)
            origin = {"file": location.rpartition(":")[0], "table_source": optional_text(record, "SOURCE")}
            yield from self._book(identifier(record, "id") or location, text, facts, origin)
        except RecordError as problem:
            yield self.bad_record(location, record, problem.reason, problem.detail)

    def _book(self, book_id: str, text: str, facts: dict[str, str], origin: dict[str, Any]) -> Iterator[Document]:
        if "\0" in text:
            raise RecordError("wrong_encoding", f"NUL character at {text.index(chr(0))}; books are plain text")
        book = cut_book(text.removeprefix("\ufeff"))
        facts = {key: value for key, value in (facts | book.facts).items() if key in _FACTS}
        language = facts.get("language")
        if language and language_code(language) is None:
            raise RecordError("unsupported_language", f"the book is in {language}; English and Chinese are supported")
        if language_code(language or "") == "zh" and origin.get("encoding", "utf-8") != "utf-8":
            raise RecordError("wrong_encoding", "a Chinese book that is not UTF-8")
        year, year_of = book.year or (None, None)
        body = without_editorial(book.body)
        if self.emphasis == "plain":
            body = without_emphasis(body)
        found = list(passages(body, self.limits))
        for count, passage in enumerate(found, start=1):
            source_id = f"{book_id}#{count:04d}"
            if has_licence_text(passage.text) or has_licence_text(passage.chapter or ""):
                yield self.bad(source_id, passage.text, "licence_text", "mentions Project Gutenberg")
            elif len(passage.text) < self.limits.least:
                detail = f"{len(passage.text)} characters; min_chars is {self.limits.least}"
                yield self.bad(source_id, passage.text, "passage_too_short", detail)
            elif len(passage.text) > self.limits.most:
                detail = f"a paragraph of {len(passage.text)} characters; max_chars is {self.limits.most}"
                yield self.bad(source_id, passage.text, "passage_too_long", detail)
            else:
                place = {"chapter": passage.chapter, "passage": count, "passages": len(found)}
                yield self.pair(None, passage.text, source_id, year=year, year_of=year_of, **place, **facts, **origin)
        if not found:
            raise RecordError("empty_answer", "the book holds no text besides headings and title page")


def _checked_text(raw: bytes) -> Decoded:
    if not raw.strip():
        raise RecordError("empty_answer", "the file is empty")
    if len(raw) > MAX_BOOK_BYTES:
        raise RecordError("giant_record", f"more than {MAX_BOOK_BYTES} bytes")
    return decode(raw)


def _table_facts(record: dict[str, Any]) -> dict[str, str]:
    """Facts that a table knows about a book, from its ``METADATA`` (JSON text or an object) or its own columns."""
    metadata: Any = record.get("METADATA", record.get("metadata"))
    if isinstance(metadata, str):
        try:
            metadata = orjson.loads(metadata)
        except orjson.JSONDecodeError:
            metadata = None  # provenance only: the book itself is sound
    # A table's own "id" need not be an e-book number.
    columns = {key: value for key, value in record.items() if key not in ("id", "TEXT", "text")}
    known = {str(key).lower(): value for key, value in (metadata if isinstance(metadata, dict) else columns).items()}
    facts = {}
    for fact, names in _FACTS.items():
        value = next((known[name] for name in names if known.get(name)), None)
        if isinstance(value, list):
            value = ", ".join(str(entry) for entry in value if isinstance(entry, str | int))
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip() and len(value) < 1000:
            facts[fact] = " ".join(value.split())
    return facts
