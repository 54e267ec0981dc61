"""What editors and volunteers have put between a book's lines: illustrations, notes, page numbers, emphasis."""

from __future__ import annotations

import re

_BRACKET = re.compile(
    r"\[\s*(?:Illustrations?|Footnotes?|Sidenote|Transcriber['’]?s?['’]?\s+notes?|Frontispiece|Decoration|Headpiece"
    r"|Tailpiece|Editor['’]?s?\s+notes?|Redactor['’]?s?\s+notes?|Music|Blank\s+page)\b",
    re.I,
)
_FOOTNOTE_LABEL = re.compile(r"\[\s*Footnotes?\s+([0-9A-Z]{1,3}|\*+)\b", re.I)
#: A bracket that does not close within this many characters was never closed: only its paragraph is removed.
_BRACKET_LIMIT = 5_000
_PAGE = r"(?:[\[{]\s*(?:pg\.?|page|p\.)[ _]*(?:[0-9]{1,4}|[ivxlc]{1,7})\s*[\]}]|\{(?:[0-9]{1,4}|[ivxlc]{1,7})\})"
_PAGE_MARK = re.compile(_PAGE, re.I)
_PAGE_LINE = re.compile(rf"^[ \t]*{_PAGE}[ \t]*\n", re.I | re.M)
#: A page number between two halves of a paragraph, as the half sentence before it and the small letter behind tell.
_PAGE_GAP = re.compile(rf"(?<=[a-z,;])\n(?:[ \t]*\n)+[ \t]*{_PAGE}[ \t]*\n(?:[ \t]*\n)+(?=[a-z])", re.I)
_LABEL = r"(?:[0-9]{1,3}|[A-Z]|\*{1,3}|†|‡)"
#: A note that stands where the page or the chapter ended.
_NOTE = re.compile(
    rf"^[ \t]*(?:\[(?P<square>{_LABEL})\]|\{{(?P<curly>[0-9]{{1,3}})\}}|\((?P<round>[0-9]{{1,3}})\))\s*\S"
)
_STAR_NOTE = re.compile(r"^[ \t]*(?P<star>\*{1,3}|†|‡)[ ]?(?=[A-Z\"'“‘(])")
_STAR_MARK = re.compile(r"(?<=[\w.,;:!?'\"”’)])(?P<star>\*{1,3}|†|‡)(?=[\s.,;:!?)\]—-]|$)")
_NOTES_HEADING = re.compile(r"^\W*(?:foot-?notes?|notes)\W*$", re.I)
_BOX_LINE = re.compile(r"^[ \t]*(?:\||\+[-=~+]{3})")
_TRANSCRIBER = re.compile(r"\btranscriber", re.I)
_TRANSCRIBER_HEADING = re.compile(r"^\W*transcriber['’]?s?['’]?\s+(?:end\s*)?(?:notes?|corrections?)\W*$", re.I)
#: A transcriber's note under a heading of its own stands in the first or last part of a book, and is no longer.
_NOTE_SHARE, _NOTE_CHARS = 0.1, 8_000
_PARAGRAPH_GAP = re.compile(r"(\n(?:[ \t]*\n)+)")
#: Emphasis as volunteers type it; it ends in the paragraph in which it began.
_EMPHASIS = re.compile(
    r"(?<![^\W_])(?P<mark>[_=])(?=[^\s_=])(?P<inner>(?:(?!(?P=mark)|\n[ \t]*\n).){1,2000})(?<=[^\s_=])(?P=mark)"
    r"(?![^\W_])",
    re.DOTALL,
)


def without_editorial(body: str) -> str:
    """A book's text alone: illustrations, footnotes with their marks, transcriber's notes and page numbers removed."""
    body = without_footnotes(without_editorial_brackets(without_transcriber_notes(body)))
    # After the footnotes: a number in curly brackets may be the mark of one.
    return _PAGE_MARK.sub("", _PAGE_LINE.sub("", _PAGE_GAP.sub("\n", body)))


def without_emphasis(text: str) -> str:
    """``_word_`` and ``=word=`` as plain words; a lone mark stays."""
    return _EMPHASIS.sub(lambda found: found["inner"], text)


def without_editorial_brackets(body: str) -> str:
    """Remove ``[Illustration …]``, ``[Footnote …]``, ``[Transcriber's note …]`` and the marks of such footnotes."""
    labels = {found[1] for found in _FOOTNOTE_LABEL.finditer(body)}
    pieces = []
    position = 0
    while found := _BRACKET.search(body, position):
        pieces.append(body[position : found.start()])
        position = _bracket_end(body, found.start())
    pieces.append(body[position:])
    text = "".join(pieces)
    marks = [re.escape(label) for label in sorted(labels)]
    return re.sub(rf"\[(?:{'|'.join(marks)})\]", "", text) if marks else text


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


def without_footnotes(body: str) -> str:
    """Remove notes that begin with their mark, ``[1] …``, ``(1) …`` or ``* …``, and the marks in the text.

    A paragraph is a note only if its mark stands behind a word somewhere before it. Numbers in square and curly
    brackets behind a word are marks in any case: nobody writes so otherwise.
    """
    pieces = _PARAGRAPH_GAP.split(body)
    seen: set[str] = set()
    stars: dict[str, int] = {}
    rounds: set[str] = set()
    kept: list[str] = []
    listing = False
    for at in range(0, len(pieces), 2):
        paragraph = pieces[at]
        note, star = _NOTE.match(paragraph), _STAR_NOTE.match(paragraph)
        if _NOTES_HEADING.match(paragraph) and at + 2 < len(pieces) and _NOTE.match(pieces[at + 2]):
            listing = True
            continue
        if note and _is_note(note, seen):
            if note["round"]:
                rounds.add(note["round"])
            continue
        if star and stars.get(star["star"], 0) > 0:
            stars[star["star"]] -= 1
            seen.add("star" + star["star"])
            continue
        if listing and paragraph.startswith("  "):  # a note of several paragraphs
            continue
        listing = False
        seen.update(found[0] for found in re.finditer(rf"(?<=\S)(?:\[{_LABEL}\]|\{{[0-9]+\}}|\([0-9]+\))", paragraph))
        for found in _STAR_MARK.finditer(paragraph):
            stars[found["star"]] = stars.get(found["star"], 0) + 1
        kept += [paragraph, pieces[at + 1] if at + 1 < len(pieces) else ""]
    text = "".join(kept)
    text = re.sub(r"(?<=\S)(?:\[(?:[0-9]{1,3}|\*+|†|‡)\]|\{[0-9]{1,3}\})|(?<=\s)\[[0-9]{1,3}\]", "", text)
    letters = sorted({mark for mark in seen if re.fullmatch(r"\[[A-Z]\]", mark)} & _noted_letters(body))
    for mark in letters:
        text = text.replace(mark, "")
    for number in sorted(rounds):
        text = re.sub(rf"(?<=\S)\({number}\)", "", text)
    if any(mark.startswith("star") for mark in seen):
        text = _STAR_MARK.sub(lambda found: "" if "star" + found["star"] in seen else found[0], text)
    return text


def _is_note(note: re.Match[str], seen: set[str]) -> bool:
    mark = (
        f"[{note['square']}]" if note["square"] else f"{{{note['curly']}}}" if note["curly"] else f"({note['round']})"
    )
    return mark in seen


def _noted_letters(body: str) -> set[str]:
    return {found[1] for found in re.finditer(r"^[ \t]*(\[[A-Z]\])\s*\S", body, re.M)}


def without_transcriber_notes(body: str) -> str:
    """Remove boxes of a transcriber's note, and notes under a heading of their own at either end of the book."""
    body = _without_boxes(body)
    pieces = _PARAGRAPH_GAP.split(body)
    ends = []
    position = 0
    for piece in pieces:
        position += len(piece)
        ends.append(position)
    dropped: set[int] = set()
    for at in range(0, len(pieces), 2):
        if at in dropped or not _TRANSCRIBER_HEADING.match(pieces[at]):
            continue
        begin = ends[at] - len(pieces[at])
        near = begin < max(_NOTE_SHARE * len(body), _NOTE_CHARS) or begin > (1 - _NOTE_SHARE) * len(body) - _NOTE_CHARS
        if near and ends[last := _note_end(pieces, at)] - begin <= _NOTE_CHARS:
            dropped.update(range(at, last + 2))
    return "".join(piece for at, piece in enumerate(pieces) if at not in dropped)


def _note_end(pieces: list[str], at: int) -> int:
    """The last paragraph of a note, as far as it may reach: what follows stands behind two blank lines or more."""
    last, length = at, 0
    while last + 2 < len(pieces) and (last == at or pieces[last + 1].count("\n") < 3) and length <= _NOTE_CHARS:
        last += 2
        length += len(pieces[last])
    return last


def _without_boxes(body: str) -> str:
    kept: list[str] = []
    box: list[str] = []
    for line in [*body.split("\n"), ""]:
        if _BOX_LINE.match(line):
            box.append(line)
            continue
        if box and not any(_TRANSCRIBER.search(edge) for edge in box):
            kept += box
        box = []
        kept.append(line)
    return "\n".join(kept[:-1])
