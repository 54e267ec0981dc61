"""Finding a book's chapters: headings told from prose, and title pages and lists of contents from chapters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from deepwriting.sources.gutenberg_paragraphs import Block

#: A heading and a chapter's title are at most this long (characters).
MAX_HEADING_CHARS = 120
_MAX_HEADING_LINES = 3
_MAX_TITLE_CHARS = 80
#: A paragraph of this many characters is prose, not part of a title page (Gutenberg wraps at about 70 a line).
PROSE_CHARS = 200
#: Prose of this many characters before the first chapter is a text of its own (a letter to the reader, an unmarked
#: first chapter) and kept; less is a dedication or a note on the edition.
FRONT_MATTER_CHARS = 1_500
#: Bare numerals number chapters if this much text stands between them on average; stanzas are shorter (characters).
_SEQUENCE_CHARS = 500

_ROMAN = r"[IVXLC]+"
_WORDS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen"
    "|nineteen|twenty(?:-\\w+)?|thirty(?:-\\w+)?|forty(?:-\\w+)?|first|second|third|fourth|fifth|sixth|seventh|eighth"
    "|ninth|tenth|last"
)
_DIVISIONS = "book|part|volume|vol\\.?"
_CHAPTERS = "chapter|chap\\.?|canto|act|scene|section|letter|stave|adventure|fable|tale|story"
_NUMBERED = re.compile(
    rf"^(?:the\s+)?(?P<kind>{_DIVISIONS}|{_CHAPTERS})\s+(?:the\s+)?"
    rf"(?P<number>(?-i:{_ROMAN}|[ivxlc]+)|[0-9]{{1,3}}|{_WORDS})(?P<rest>$|[.:,;)\]\-–—].*|\s+(?-i:[A-Z\"'“‘_(]).*)",
    re.IGNORECASE | re.DOTALL,
)
_ORDINAL_FIRST = re.compile(
    rf"^(?:the\s+)?(?:{_WORDS})\s+(?:{_DIVISIONS}|{_CHAPTERS})\.?$", re.IGNORECASE
)  # "BOOK THE FIRST" the other way round: "FIRST PART"
_NAMED = re.compile(
    r"^(?:the\s+|an?\s+)?(?:(?:author|translator|editor|publisher)[’']?s?[’']?\s+)?"
    r"(?:preface|introduction|introductory(?:\s+note)?|prologue|epilogue|foreword|afterword|conclusion|postscript)"
    r"(?:\s+to\s+the\s+\w+\s+edition)?\.?$",
    re.IGNORECASE,
)
_CONTENTS = re.compile(
    r"^(?:table\s+of\s+)?contents?(?:\s+of\s+[^\n]{1,40})?[.:]?$|^(?:(?:list\s+of\s+)?(?:the\s+)?(?:full-page\s+)?"
    r"illustrations|list\s+of\s+(?:plates|maps|figures|tables|diagrams))[.:]?$|^目[录錄次]$",
    re.I,
)
_CHINESE = re.compile(
    r"^\s*(?:第[一二三四五六七八九十百千零〇两0-90-9]{1,7}[回章节節卷部集篇]|楔子|序言?$|尾声$|尾聲$)"
)
_BARE = re.compile(rf"^(?P<number>{_ROMAN}|[0-9]{{1,3}})\.?(?P<rest>$|(?<=\.)\s+[A-Z“\"'‘].*)", re.DOTALL)
_LETTER = re.compile(r"^[A-Z]\.?$")
_FINISH = re.compile(
    r"^\W*(?:the\s+end|finis|end\s+of\s+(?:the\s+)?(?:\w+\s+)?(?:book|part|volume|vol\.?|novel|story|act|canto)"
    r"(?:\s+\w+)?)\W*$|^[（(]?全[书書文]?[终終完][)）]?$",
    re.I,
)
_INDEX = re.compile(r"^(?:general\s+|alphabetical\s+)?index(?:\s+(?:of|to)\s+[^\n]{1,40})?[.:]?$", re.I)
#: Share of numbers among the words of an index; prose has one in a hundred.
_INDEX_NUMBERS = 0.12
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


@dataclass
class Section:
    """A chapter: what stands between two headings.

    Attributes:
        title: the heading and the title under it; ``None`` for text before the first heading.
        blocks: the paragraphs.
    """

    title: str | None
    blocks: list[Block] = field(default_factory=list)

    @property
    def chars(self) -> int:
        """Length of the text (characters)."""
        return sum(len(block.text) for block in self.blocks)


def sections(blocks: list[Block]) -> list[Section]:
    """Split a book into chapters, without title page and list of contents.

    Args:
        blocks: all paragraphs between the markers.

    Returns:
        The chapters that hold text, in order; a book without recognised headings is one chapter without title.
    """
    blocks = [block for block in _without_index(blocks) if not _FINISH.match(block.text)]
    numbered = _sequence_headings(blocks)
    found = [Section(None)]
    division: str | None = None
    listing = False
    for index, block in enumerate(blocks):
        if _CONTENTS.match(block.text.strip()):
            listing = True
            continue
        if _is_listing(block) or (listing and _is_entry(block) and not (index in numbered or is_heading(block.text))):
            continue
        if index in numbered or is_heading(block.text):
            title = " ".join(block.text.split())
            if re.match(rf"(?:the\s+)?(?:{_DIVISIONS})\b", title, re.I) and not _holds_chapter(title):
                division = title
            elif division:
                title = f"{division} / {title}"
            found.append(Section(title))
            listing = False
            continue
        listing = False
        found[-1].blocks.append(block)
    for section in found:
        _take_title(section)
    return _without_front_matter(found)


def _without_index(blocks: list[Block]) -> list[Block]:
    """Drop an index: from its heading to the next chapter's, if what stands between is full of page numbers."""
    heads = [at for at, block in enumerate(blocks) if _INDEX.match(block.text.strip())]
    kept: list[Block] = []
    done = 0
    for at in heads:
        if at < done:
            continue
        end = at + 1
        while end < len(blocks) and not is_heading(blocks[end].text) and not _INDEX.match(blocks[end].text.strip()):
            end += 1
        text = " ".join(entry.text for entry in blocks[at + 1 : end])
        words = len(text.split())
        if words and len(re.findall(r"\b[0-9]{1,4}\b", text)) / words >= _INDEX_NUMBERS:
            kept += blocks[done:at]
            done = end
    return kept + blocks[done:]


def is_heading(text: str) -> bool:
    """Whether a paragraph is a heading by its words: ``CHAPTER I. The Key``, ``Book 2``, ``PREFACE``, ``第三回``."""
    text = text.strip()
    if not text or len(text) > MAX_HEADING_CHARS or text.count("\n") >= _MAX_HEADING_LINES:
        return False
    if _CHINESE.match(text):
        return text.count("\n") == 0 and len(text) <= MAX_HEADING_CHARS // 2 and not text.rstrip().endswith(("。", "”"))
    if numbered := _NUMBERED.match(text):
        # "Part one of the plan …" is prose: a heading shouts or stands in title case.
        return numbered["kind"][0].isupper() and (
            not numbered["rest"].strip() or not text.rstrip().endswith((",", ";"))
        )
    return bool((_NAMED.match(text) or _ORDINAL_FIRST.match(text)) and text[0].isupper())


def split_heading_line(text: str) -> tuple[str, str] | None:
    """Part a heading from the paragraph glued to it; ``None`` if the text is not such a pair."""
    first, _, rest = text.partition("\n")
    if not rest or not is_heading(first.strip()) or any(is_heading(line.strip()) for line in rest.split("\n")):
        return None
    return (first, rest) if len(text) > MAX_HEADING_CHARS or rest.count("\n") >= _MAX_HEADING_LINES - 1 else None


def _sequence_headings(blocks: list[Block]) -> set[int]:
    """Places of bare numerals and letters that count up (I, II …; 1, 2 …; A, B, C …): only then are they headings.

    Numerals may begin again in a new part. Without a II after the I, a lone "I" is a word.
    """
    result: set[int] = set()
    for kind in ("roman", "arabic", "letter"):
        run: list[int] = []
        last = 0
        for index, block in enumerate(blocks):
            value = _sequence_value(block.text, kind)
            if value == 1:
                result.update(_chapters_of(run, kind, blocks))
                run, last = [index], 1
            elif value and last and (value == last + 1 or (kind == "letter" and value > last)):
                run.append(index)
                last = value
        result.update(_chapters_of(run, kind, blocks))
    return result


def _chapters_of(run: list[int], kind: str, blocks: list[Block]) -> list[int]:
    """The run, if it is long enough to count up and what stands between is longer than a stanza."""
    if len(run) < (3 if kind == "letter" else 2):
        return []
    between = sum(len(block.text) for block in blocks[run[0] : run[-1]]) / (len(run) - 1)
    return run if between >= _SEQUENCE_CHARS else []


def _sequence_value(text: str, kind: str) -> int:
    """The place of a bare heading in its sequence, from 1; 0 if the text is none of this kind."""
    text = text.strip()
    if kind == "letter":
        return ord(text[0]) - ord("A") + 1 if _LETTER.match(text) else 0
    if len(text) > _MAX_TITLE_CHARS or not (found := _BARE.match(text)):
        return 0
    number = found["number"]
    if kind == "arabic":
        # "1. A rule" is an item of a list; "I. A SCANDAL" is a heading.
        return int(number) if number.isdigit() and not found["rest"] else 0
    return 0 if number.isdigit() else _roman(number)


def _roman(number: str) -> int:
    values = [_ROMAN_VALUES[digit] for digit in number]
    return sum(-value if value < max(values[index:]) else value for index, value in enumerate(values))


def _holds_chapter(title: str) -> bool:
    return re.search(r"\bchap(?:ter|\.)", title, re.I) is not None


def _is_listing(block: Block) -> bool:
    """Whether a block lists several chapters: a table of contents in one piece."""
    lines = [line.strip() for line in block.text.split("\n")]
    return len(lines) > 1 and sum(is_heading(line) for line in lines) >= max(2, len(lines) // 2)


def _is_entry(block: Block) -> bool:
    """Whether a block can stand in a list of contents: short lines that end without a full stop, or in page numbers."""
    lines = block.text.split("\n")
    if any(len(line) > MAX_HEADING_CHARS for line in lines):
        return False
    paged = sum(bool(re.search(r"[ .\t]([0-9]{1,4}|[ivxlc]+)$", line)) for line in lines)
    open_ended = sum(not line.rstrip().endswith((".", "!", "?", "”", '"', "’", "。")) for line in lines)
    return paged * 2 >= len(lines) or open_ended == len(lines)


def _take_title(section: Section) -> None:
    """Move a chapter's title, a short line under the heading, from the text into the heading."""
    if section.title is None or len(section.blocks) < 2:
        return
    text = section.blocks[0].text
    if len(text) > _MAX_TITLE_CHARS or text.count("\n") > 1 or not any(char.isalpha() for char in text):
        return
    ended = text.rstrip().endswith((".", "!", "?", ",", ";", ":", "”", '"', "’", "'", "。", "…", "-", "—"))
    words = [word for word in re.findall(r"[^\W\d_]+", text) if len(word) > 3]
    titled = bool(words) and all(word[0].isupper() for word in words)
    if text.isupper() or (titled and not ended):
        section.title = f"{section.title} {' '.join(text.split())}"
        del section.blocks[0]


def _without_front_matter(found: list[Section]) -> list[Section]:
    """Drop title page, dedication and contents, and chapters that are only a heading."""
    front, chapters = found[0], found[1:]
    # Entries of a list of contents look like headings with next to nothing under them.
    while len(chapters) > 1 and chapters[0].chars < PROSE_CHARS:
        del chapters[0]
    prose = next((index for index, block in enumerate(front.blocks) if len(block.text) >= PROSE_CHARS), None)
    if chapters:
        front.blocks = front.blocks[prose:] if prose is not None else []
        if front.chars < FRONT_MATTER_CHARS and front.chars < sum(chapter.chars for chapter in chapters):
            front.blocks = []
    elif prose is not None:
        front.blocks = front.blocks[prose:]
    return [section for section in [front, *chapters] if section.blocks]
