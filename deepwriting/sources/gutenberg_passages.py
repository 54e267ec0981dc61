"""Cutting the chapters of a book into passages of a useful length, at paragraph boundaries only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deepwriting.sources.gutenberg_chapters import sections, split_heading_line
from deepwriting.sources.gutenberg_paragraphs import SCENE_BREAK, Block, raw_blocks, to_block, wrap_width

_GAP = "\n\n"
#: What a part costs that is too short: more than any distance from the target.
_TOO_SHORT = 10**12
#: A part that ends at a scene break may be this fraction of the target farther from it than one that does not.
_BREAK_SHARE = 4


@dataclass(frozen=True)
class Passage:
    """A piece of one chapter.

    Attributes:
        text: paragraphs separated by blank lines.
        chapter: the chapter's heading, if it has one.
    """

    text: str
    chapter: str | None


@dataclass(frozen=True)
class Limits:
    """How long passages are (characters).

    Attributes:
        target: what they should come near to.
        least: only a whole chapter, or what stands between paragraphs too long to join, falls short of it.
        most: only a single longer paragraph exceeds it.
    """

    target: int
    least: int
    most: int


def passages(body: str, limits: Limits) -> Iterator[Passage]:
    """Cut a book into passages.

    Args:
        body: the book without header, licence and editorial additions.
        limits: how long they are.

    Yields:
        The passages in reading order: together they hold every paragraph of every chapter.
    """
    for section in sections(book_blocks(body)):
        for part in _parts(section.blocks, limits):
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


def _parts(blocks: list[Block], limits: Limits) -> list[list[Block]]:
    """The division of a chapter whose parts are nearest to the target, of all that the limits allow.

    ``best[i]`` is the least cost of dividing the first ``i`` paragraphs; a part costs the square of its distance from
    the target, far more if it is too short, and a little less where it ends at a scene break.
    """
    lengths = np.array([len(block.text) + len(_GAP) for block in blocks], dtype=np.int64)
    ends = np.concatenate(([0], np.cumsum(lengths)))
    best = np.zeros(len(blocks) + 1, dtype=np.int64)
    cut = np.zeros(len(blocks) + 1, dtype=np.int64)
    bonus = (limits.target // _BREAK_SHARE) ** 2
    firsts = np.searchsorted(ends, ends - limits.most - len(_GAP), side="left").tolist()
    latest = (ends - limits.least - len(_GAP)).tolist()
    for end in range(1, len(blocks) + 1):
        # A part of several paragraphs is no longer than allowed; a single one may be.
        least = min(firsts[end], end - 1)
        begins = ends[least:end]
        costs = (begins + (limits.target + len(_GAP) - ends[end])) ** 2 + best[least:end]
        costs[begins > latest[end]] += _TOO_SHORT
        choice = int(costs.argmin())
        at_break = SCENE_BREAK in (blocks[end - 1].text, blocks[end].text if end < len(blocks) else "")
        best[end] = costs[choice] - (bonus if at_break else 0)
        cut[end] = least + choice
    parts = []
    end = len(blocks)
    while end:
        parts.append(blocks[cut[end] : end])
        end = int(cut[end])
    return parts[::-1]


def _text_of(part: list[Block]) -> str:
    """The part's text; scene breaks stand only between paragraphs, one at a time."""
    kept: list[str] = []
    for block in part:
        if block.text != SCENE_BREAK or (kept and kept[-1] != SCENE_BREAK):
            kept.append(block.text)
    while kept and kept[-1] == SCENE_BREAK:
        kept.pop()
    return _GAP.join(kept).strip("\n")
