"""Cutting a Project Gutenberg file down to the book: markers, header, licence, credits, editorial brackets.

Three generations of files are known: ``*** START OF THE/THIS PROJECT GUTENBERG EBOOK … ***`` with a licence at the end;
the same without spaces or under the name "Etext"; and, before 2002, a header of "small print" that ends in
``*END*THE SMALL PRINT!…``. A book whose licence cannot be told from its text is refused, never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deepwriting.sources.fields import RecordError

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
    rf"|^\s*End\s+of\s+(?:the\s+)?(?:Project\s+)?Gutenberg(?:['’]s)?\s+(?:{_E_BOOK}|edition)",
    re.I,
)
#: A START line may run over this many lines when the title is long.
_MARKER_LINES = 4
_FIELD = re.compile(r"^(Title|Author|Translator|Editor|Language|Release Date|Posting Date):[ \t]*(.*)$", re.I)
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
_BRACKET = re.compile(
    r"\[\s*(?:Illustrations?|Footnotes?|Sidenote|Transcriber['’]?s?['’]?\s+notes?|Frontispiece|Decoration"
    r"|Editor['’]?s?\s+notes?|Redactor['’]?s?\s+notes?|Music)\b",
    re.I,
)
_FOOTNOTE_LABEL = re.compile(r"\[\s*Footnotes?\s+([0-9A-Z]{1,3}|\*+)\b", re.I)
#: A bracket that does not close within this many characters was never closed: only its paragraph is removed.
_BRACKET_LIMIT = 5_000


@dataclass(frozen=True)
class Book:
    """A book without what Project Gutenberg added.

    Attributes:
        body: the text between the markers, lines as in the file.
        facts: title, author, language, release date and number, as far as the header names them.
    """

    body: str
    facts: dict[str, str]


def decode(raw: bytes) -> tuple[str, str]:
    r"""The text of a file: strictly UTF-8 with or without byte-order mark, else a Western code page.

    Args:
        raw: the whole file.

    Returns:
        The text with ``\n`` line ends, and the encoding's name. Files announced as ISO-8859-1 that use the code points
        it leaves empty are Windows-1252.

    Raises:
        RecordError: ``wrong_encoding`` for UTF-16 and for binary data.
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RecordError("wrong_encoding", "UTF-16; books are UTF-8 or ISO-8859-1")
    if b"\0" in raw:
        raise RecordError("wrong_encoding", f"NUL byte at {raw.index(0)}; books are plain text")
    for encoding in ("utf-8-sig", "windows-1252", "iso-8859-1"):
        if encoding == "windows-1252" and not any(0x80 <= byte < 0xA0 for byte in raw):
            continue
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue  # the last one takes every byte
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding.removesuffix("-sig")


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
            ``licence_text_left`` if only one end is marked and the rest still mentions it; ``empty_answer`` if
            nothing stands between the markers.
    """
    lines = text.split("\n")
    start, end = _find_markers(lines)
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
    return Book(body, _header_facts(lines[: start or 0]))


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


def without_editorial_brackets(body: str) -> str:
    """Remove ``[Illustration …]``, ``[Footnote …]``, ``[Transcriber's note …]`` and the marks of footnotes."""
    labels = {found[1] for found in _FOOTNOTE_LABEL.finditer(body)}
    pieces = []
    position = 0
    while found := _BRACKET.search(body, position):
        pieces.append(body[position : found.start()])
        position = _bracket_end(body, found.start())
    pieces.append(body[position:])
    text = "".join(pieces)
    marks = "|".join([r"[0-9]{1,3}", *(re.escape(label) for label in sorted(labels) if not label.isdigit())])
    return re.sub(rf"\[(?:{marks})\]", "", text)


def _bracket_end(body: str, start: int) -> int:
    depth = 0
    for index in range(start, min(start + _BRACKET_LIMIT, len(body))):
        if body[index] == "[":
            depth += 1
        elif body[index] == "]":
            depth -= 1
            if depth == 0:
                return index + 1
    paragraph = re.compile(r"\n[ \t]*\n").search(body, start)
    return paragraph.start() if paragraph else len(body)
