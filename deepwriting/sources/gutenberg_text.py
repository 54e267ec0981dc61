"""Cutting a Project Gutenberg file down to the book: markers, header, licence, credits.

Three generations of files are known: ``*** START OF THE/THIS PROJECT GUTENBERG EBOOK … ***`` with a licence at the end;
the same without spaces or under the name "Etext"; and, before 2002, a header of "small print" that ends in
``*END*THE SMALL PRINT!…``. A book whose licence cannot be told from its text is refused, never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deepwriting.sources.fields import RecordError
from deepwriting.sources.gutenberg_year import book_year

#: Phrases that betray Project Gutenberg's own words. No passage that holds one becomes a pair.
_TELL_TALE = re.compile(
    r"project[\W_]*gutenberg|gutenberg[\W_]*(?:\.\s*(?:org|net)|-?tm\b|™|literary)|literary\s+archive\s+foundation"
    r"|\bpglaf\b|small\s+print!|public\s+domain\s+e-?texts?|this\s+e-?text\b",
    re.IGNORECASE,
)
_E_BOOK = r"(?:E-?BOOKS?|E-?TEXTS?)"
_START = re.compile(rf"^\s*\*{{2,}}\s*START\s+OF\s+(?:TH(?:E|IS)\s+)?PROJECT\s+GUTENBERG(?:['’]S)?\s+{_E_BOOK}", re.I)
_SMALL_PRINT_END = re.compile(r"\*\s*END\s*\*?\s*(?:OF\s+)?THE\s+SMALL\s+PRINT", re.I)
_END = re.compile(
    rf"^\s*(?:\*{{2,}}\s*)?END\s+OF\s+(?:(?:THE|THIS)\s+)?PROJECT\s+GUTENBERG"
    rf"|^\s*\*{{2,}}\s*START:?\s*FULL\s+LICEN[SC]E"
    rf"|^\s*(?:START:?\s+)?(?:THE\s+)?FULL\s+PROJECT\s+GUTENBERG(?:-TM)?\s+LICEN[SC]E"
    rf"|^\s*\*+\s*This\s+file\s+should\s+be\s+named"
    rf"|^\s*\*{{3}}\s*START\*+\s*THE\s+SMALL\s+PRINT"
    rf"|^\s*End\s+of\s+(?:the\s+)?(?:Project\s+)?Gutenberg(?:['’]s)?\s+(?:{_E_BOOK}|edition)"
    # How the licence goes on where the marker itself is missing.
    rf"|^\s*Updated\s+editions\s+will\s+replace\s+the\s+previous\s+one"
    rf"|^\s*Creating\s+the\s+works\s+from\s+(?:public\s+domain\s+)?print\s+editions",
    re.I,
)
#: A START line may run over this many lines when the title is long.
_MARKER_LINES = 4
_FIELD = re.compile(
    r"^(Title|Author|Translator|Editor|Illustrator|Contributor|Language|Release Date|Posting Date|Original Publication"
    r"|Character set encoding|Credits|Most recently updated|Other information and formats):[ \t]*(.*)$",
    re.I,
)
#: Books that are not in the public domain say so in their header.
_COPYRIGHTED = re.compile(
    r"\bcopyrighted\s+project\s+gutenberg|this\s+is\s+a\s+\W*copyrighted\W*\s+project\s+gutenberg", re.I
)
#: Without a start marker the header is over behind its last field, which stands within this many lines.
_HEADER_LINES = 60
#: What stands between two books in one file is at least this long (lines); less is a marker given twice.
_BOOK_LINES = 30
#: The year is looked for in this much of the book (characters).
_FRONT_CHARS = 8_000
_NUMBER = re.compile(r"\[\s*E-?(?:book|text)\s*#\s*([0-9]{1,7})\s*\]", re.I)
_TITLE_LINE = re.compile(
    r"^\W*(?:The\s+)?Project\s+Gutenberg(?:['’]s)?\s+(?:(?:E-?book|E-?text)\s+(?:of|,)\s+)?(.+?)(?:,?\s+by\s+(.+?))?\W*$",
    re.I,
)
#: First words of paragraphs in which volunteers are thanked; they stand around the text, not in it.
_CREDIT = re.compile(
    r"^\W*(?:(?:this\s+)?(?:e-?text|e-?book|file|html\s+version|updated\s+editions?)\s+(?:was\s+)?(?:first\s+)?"
    r"(?:prepared|produced|created|transcribed|converted|scanned)"
    r"|(?:produced|prepared|transcribed|scanned|digitized|digitised|proofed|typed|credits?:?)\b[^\n]{0,40}\b(?:by|from)\b"
    r"|transcriber['’]?s?['’]?\s+notes?\b|\(?this\s+file\s+was\s+produced|note:\s+project\s+gutenberg"
    r"|images?\s+(?:generously\s+)?(?:made\s+)?available|credits?:)",
    re.I,
)
#: Credits are looked for in this many paragraphs at either end of the book.
_CREDIT_PARAGRAPHS = 12


@dataclass(frozen=True)
class Book:
    """A book without what Project Gutenberg added.

    Attributes:
        body: the text between the markers, lines as in the file.
        facts: title, author, language, release date and number, as far as the header names them.
        year: year of the book and where it stands, see ``book_year``; ``None`` if the file tells none.
    """

    body: str
    facts: dict[str, str]
    year: tuple[int, str] | None = None


def has_licence_text(text: str) -> bool:
    """Whether a text holds a phrase of Project Gutenberg's own: its name, addresses or licence."""
    return _TELL_TALE.search(text) is not None


def cut_book(text: str) -> Book:
    r"""Take header and licence off a book.

    Args:
        text: the whole file, lines ending in ``\n``.

    Returns:
        The book's body and the facts of its header.

    Raises:
        RecordError: ``no_gutenberg_markers`` if no marker is recognised although the licence is mentioned;
            ``licence_text_left`` if only one end is marked and the rest still mentions it; ``several_books`` if
            another book stands behind the end marker; ``copyrighted_book`` if the header says that the book is not in
            the public domain; ``empty_answer`` if nothing stands between the markers.
    """
    lines = text.split("\n")
    start, end = _find_markers(lines)
    if _COPYRIGHTED.search("\n".join(lines[: (start or 0) + 1])) or _COPYRIGHTED.search("\n".join(lines[end or 0 :])):
        raise RecordError("copyrighted_book", "the header says that the book is not in the public domain")
    if end is not None and _another_book(lines, end):
        raise RecordError("several_books", "another book begins behind the end marker")
    if start is None and (end is not None or has_licence_text(text)):
        start = _after_header(lines)
    if start is None and end is None and has_licence_text(text):
        raise RecordError(
            "no_gutenberg_markers", "mentions Project Gutenberg, but no start or end marker is recognised"
        )
    body = without_credits("\n".join(lines[start or 0 : end]))
    if (start is None) != (end is None) and has_licence_text(body):
        lacking = "start" if start is None else "end"
        raise RecordError("licence_text_left", f"no {lacking} marker, and the text still mentions Project Gutenberg")
    if not body.strip():
        raise RecordError("empty_answer", "nothing stands between the markers")
    header = lines[: start or 0]
    facts = _header_facts(header)
    front = "\n".join(lines[start or 0 : end])[:_FRONT_CHARS]
    return Book(body, facts, book_year("\n".join(header), front, facts.get("release_date")))


def _find_markers(lines: list[str]) -> tuple[int | None, int | None]:
    """First line of the body, and the line after it; ``None`` where no marker is recognised.

    Of several start markers the last before the first end marker counts: small print stands before or after the
    newer marker.
    """
    starts = [index for index, line in enumerate(lines) if _START.search(line) or _SMALL_PRINT_END.search(line)]
    # Old files open with "***START**THE SMALL PRINT!": an end marker is only one after the text has begun.
    begun = starts[0] if starts else -1
    end = next((index for index in range(begun + 1, len(lines)) if _is_end(lines, index, starts)), None)
    before = [index for index in starts if end is None or index < end]
    if not before:
        return None, end
    return _after_marker(lines, before[-1]), end


def _another_book(lines: list[str], end: int) -> bool:
    """Whether a start marker with a book's worth of lines stands behind an end marker."""
    start = next((index for index in range(end, len(lines)) if _START.search(lines[index])), None)
    return start is not None and sum(bool(line.strip()) for line in lines[start:]) > _BOOK_LINES


def _after_header(lines: list[str]) -> int | None:
    """The line after the fields of a header whose start marker is missing; ``None`` if it has no title field."""
    fields = [index for index, line in enumerate(lines[:_HEADER_LINES]) if _FIELD.match(line)]
    if not any(lines[index].lower().startswith("title:") for index in fields):
        return None
    after = fields[-1] + 1
    while after < len(lines) and lines[after].strip():
        after += 1
    return after


def _is_end(lines: list[str], index: int, starts: list[int]) -> bool:
    if not _END.search(lines[index]):
        return False
    small_print = "SMALL PRINT" in lines[index].upper()
    return not (small_print and any(start > index and _SMALL_PRINT_END.search(lines[start]) for start in starts))


def _after_marker(lines: list[str], index: int) -> int:
    """The line after a start marker whose closing asterisks may stand on one of the next lines."""
    if _START.search(lines[index]) and not lines[index].rstrip().endswith("*"):
        for after in range(index + 1, min(index + _MARKER_LINES, len(lines))):
            if not lines[after].strip():
                break
            if lines[after].rstrip().endswith("***"):
                return after + 1
    return index + 1


def _header_facts(lines: list[str]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for index, line in enumerate(lines):
        if number := _NUMBER.search(line):
            facts.setdefault("ebook", number[1])
        if field := _FIELD.match(line):
            key, value = field[1].lower().replace(" ", "_"), field[2]
            for more in lines[index + 1 : index + 3]:  # a long title goes on in indented lines
                if not more.startswith((" ", "\t")) or not more.strip() or _FIELD.match(more.strip()):
                    break
                value = f"{value} {more.strip()}"
            value = _NUMBER.sub("", value).strip()
            if value:
                facts.setdefault("release_date" if key == "posting_date" else key, value)
    if "title" not in facts:
        first = next((line for line in lines if line.strip()), "")
        if (found := _TITLE_LINE.match(first)) and not has_licence_text(found[1]):
            facts["title"] = found[1].strip()
            if found[2] and "author" not in facts:
                facts["author"] = found[2].strip()
    return facts


def without_credits(body: str) -> str:
    """Drop the paragraphs at both ends of a book in which the file's makers are named."""
    paragraphs = re.split(r"\n[ \t]*\n", body)
    last = len(paragraphs) - _CREDIT_PARAGRAPHS
    kept = [
        paragraph
        for index, paragraph in enumerate(paragraphs)
        if not ((index < _CREDIT_PARAGRAPHS or index >= last) and _CREDIT.match(paragraph))
    ]
    return "\n\n".join(kept)
