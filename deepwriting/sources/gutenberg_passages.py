"""Cutting the chapters of a book into passages of a useful length, at paragraph boundaries only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from deepwriting.sources.gutenberg_chapters import Section, sections, split_heading_line
from deepwriting.sources.gutenberg_paragraphs import SCENE_BREAK, Block, raw_blocks, to_block, wrap_width

_GAP = "\n\n"


@dataclass(frozen=True)
class Passage:
    """A piece of one chapter.

    Attributes:
        text: paragraphs separated by blank lines.
        chapter: the chapter's heading, if it has one.
    """

    text: str
    chapter: str | None


def passages(body: str, *, max_chars: int, min_chars: int) -> Iterator[Passage]:
    """Cut a book into passages.

    A chapter longer than ``max_chars`` is cut into parts of about equal length, so that no short rest is left over.

    Args:
        body: the book without header, licence and editorial brackets.
        max_chars: longest passage (characters); only a single longer paragraph exceeds it.
        min_chars: shortest passage (characters); only a whole chapter, or what stands between paragraphs too long to
            join, falls short of it.

    Yields:
        The passages in reading order: together they hold every paragraph of every chapter.
    """
    for section in sections(book_blocks(body)):
        for part in _parts(section, max_chars, min_chars):
            text = _text_of(part)
            if text:
                yield Passage(text, section.title)


def book_blocks(body: str) -> list[Block]:
    """All paragraphs of a book, headings included; a heading glued to its first paragraph is parted from it."""
    width = wrap_width(body)
    blocks = []
    for group in raw_blocks(body):
        glued = split_heading_line("\n".join(group))
        if glued:
            blocks.append(to_block([glued[0]], width))
            group = glued[1].split("\n")
        blocks.append(to_block(group, width))
    return blocks


def _parts(section: Section, max_chars: int, min_chars: int) -> list[list[Block]]:
    left = sum(len(block.text) + len(_GAP) for block in section.blocks)
    parts: list[list[Block]] = []
    part: list[Block] = []
    target = left / math.ceil(left / max_chars)
    size = 0
    for block in section.blocks:
        length = len(block.text) + len(_GAP)
        # A paragraph goes where the larger half of it belongs.
        if part and (size + length > max_chars or size + length / 2 > target):
            parts.append(part)
            left -= size
            target = left / max(1, math.ceil(left / max_chars))
            part, size = [], 0
        part.append(block)
        size += length
    parts.append(part)
    return _without_short_rest(parts, max_chars, min_chars)


def _without_short_rest(parts: list[list[Block]], max_chars: int, min_chars: int) -> list[list[Block]]:
    """Join short parts to a neighbour, or lengthen them by a neighbour's paragraph, where lengths allow."""
    result: list[list[Block]] = []
    for part in parts:
        if result and min(_size(result[-1]), _size(part)) < min_chars:
            if _size(result[-1]) + _size(part) <= max_chars:
                result[-1] = result[-1] + part
                continue
            while _size(part) < min_chars and _size(result[-1][:-1]) >= min_chars:
                moved = result[-1][-1]
                if _size(part) + len(moved.text) + len(_GAP) > max_chars:
                    break
                part = [moved, *part]
                result[-1] = result[-1][:-1]
        result.append(part)
    return result


def _size(part: list[Block]) -> int:
    return sum(len(block.text) + len(_GAP) for block in part)


def _text_of(part: list[Block]) -> str:
    """The part's text; scene breaks stand only between paragraphs, one at a time."""
    kept: list[str] = []
    for block in part:
        if block.text != SCENE_BREAK or (kept and kept[-1] != SCENE_BREAK):
            kept.append(block.text)
    while kept and kept[-1] == SCENE_BREAK:
        kept.pop()
    return _GAP.join(kept).strip("\n")
