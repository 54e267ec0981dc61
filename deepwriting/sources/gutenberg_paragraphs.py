"""Paragraphs of a hard-wrapped book: prose is joined to one line, verse and indented blocks keep theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

#: A line break counts as deliberate if the next word would have fitted with this many characters to spare.
_SLACK_CHARS = 8
#: Share of deliberate line breaks from which an unindented paragraph is verse (an address, a list).
_VERSE_SHARE = 0.6
#: Books are wrapped at about 70 characters; used when a book has too few lines to measure.
_USUAL_WIDTH = 70
_MEASURED_LINES = 20
#: Line lengths beyond this are not wrapped at all: each line is a paragraph already (characters).
_UNWRAPPED_WIDTH = 120
_ORNAMENT = re.compile(r"^[\s*·•⁂~_=—–\-.#+]+$")
#: How a scene break is written, whatever ornaments the file has.
SCENE_BREAK = "* * *"
#: Typists put two spaces after a full stop.
_SENTENCE_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")
_CHINESE = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")


@dataclass(frozen=True)
class Block:
    """A paragraph as it will stand in a passage.

    Attributes:
        text: one line for prose, several for verse and indented text.
        keeps_lines: whether the file's line breaks were kept.
    """

    text: str
    keeps_lines: bool


def wrap_width(text: str) -> int:
    """The width at which a book was wrapped (characters): nine of ten full-left lines are no longer."""
    lengths = sorted(len(line) for line in text.split("\n") if line and not line[0].isspace())
    if len(lengths) < _MEASURED_LINES:
        return _USUAL_WIDTH
    width = lengths[len(lengths) * 9 // 10]
    return width if width <= _UNWRAPPED_WIDTH else _UNWRAPPED_WIDTH


def raw_blocks(text: str) -> Iterator[list[str]]:
    """The groups of lines between blank lines; a line indented by ideographic spaces begins a group of its own."""
    group: list[str] = []
    for line in text.expandtabs(4).split("\n"):
        if group and (not line.strip() or line.startswith("\u3000\u3000")):
            yield group
            group = []
        if line.strip():
            group.append(line.rstrip())
    if group:
        yield group


def to_block(lines: list[str], width: int) -> Block:
    """Make a paragraph of consecutive lines.

    Args:
        lines: lines of the file, without blank ones.
        width: where the book was wrapped (characters), see ``wrap_width``.

    Returns:
        One line for prose; for verse and indented blocks the lines, less the indentation that all share.
    """
    if all(_ORNAMENT.match(line) for line in lines) and any(len(set(line.strip())) <= 2 for line in lines):
        return Block(SCENE_BREAK, keeps_lines=True)
    if _keeps_lines(lines, width):
        indent = min(len(line) - len(line.lstrip()) for line in lines)
        return Block("\n".join(line[indent:] for line in lines), keeps_lines=True)
    return Block(_joined([line.strip() for line in lines]), keeps_lines=False)


def _keeps_lines(lines: list[str], width: int) -> bool:
    if lines[0].startswith("\u3000"):
        return False
    if len(lines) == 1:
        return False
    # The first line of old files' prose is indented, the others are not.
    if any(line[0].isspace() for line in lines[1:]):
        return True
    breaks = len(lines) - 1
    deliberate = 0
    for line, after in pairwise(lines):
        if len(line) + 1 + len(after.split()[0]) + _SLACK_CHARS <= width:
            deliberate += 1
    return deliberate / breaks >= _VERSE_SHARE


def _joined(lines: list[str]) -> str:
    pieces = [lines[0]]
    for before, line in pairwise(lines):
        dashed = before.endswith(("-", "—")) or line.startswith(("--", "—"))
        chinese = _CHINESE.match(before[-1]) and _CHINESE.match(line[0])
        pieces += [line] if dashed or chinese else [" ", line]
    return _SENTENCE_GAP.sub(" ", "".join(pieces))
