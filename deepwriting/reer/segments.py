"""A trajectory z as a list of segments z_1 … z_n, and the part of a solution y that is scored (paper, section 2.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

#: A piece shorter than this is joined to its neighbour (characters); the reference implementation's value.
MIN_SEGMENT_CHARS = 100

_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")
_LINE_BREAKS = re.compile(r"\n\s*")


@dataclass(frozen=True)
class Trajectory:
    """A thinking trajectory in segments.

    Attributes:
        segments: the segments in order.
        joiner: what stands between two segments: a blank line, or a newline if z has no blank lines.
        gaps: what stands between each two segments of a text that must stay as it is; empty where ``joiner`` does.
    """

    segments: tuple[str, ...]
    joiner: str
    gaps: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The whole trajectory z."""
        return self.segments[0] + self.after(0) if self.segments else ""

    def _gap(self, index: int) -> str:
        """What stands behind a segment."""
        return self.gaps[index] if self.gaps else self.joiner

    def replaced(self, index: int, segment: str) -> Trajectory:
        """The trajectory with one segment exchanged (paper, section 2.2, step 3)."""
        return replace(self, segments=(*self.segments[:index], segment, *self.segments[index + 1 :]))

    def before(self, index: int) -> str:
        """The text before a segment, with what stands between them."""
        return "".join(segment + self._gap(at) for at, segment in enumerate(self.segments[:index]))

    def after(self, index: int) -> str:
        """The text behind a segment, with what stands between them."""
        return "".join(self._gap(at) + segment for at, segment in enumerate(self.segments[index + 1 :], start=index))


def split_segments(text: str, min_chars: int = MIN_SEGMENT_CHARS) -> Trajectory:
    """Cut a trajectory into segments: at blank lines, or at newlines if that gives only one segment.

    Args:
        text: the trajectory z.
        min_chars: a piece shorter than this is joined to the piece before it, the first one to the next (characters).
    """
    blocks = _merge_short([piece for piece in _BLANK_LINES.split(text.strip()) if piece.strip()], min_chars, "\n\n")
    if len(blocks) > 1:
        return Trajectory(tuple(blocks), "\n\n")
    lines = _merge_short([line for line in text.strip().splitlines() if line.strip()], min_chars, "\n")
    return Trajectory(tuple(lines), "\n")


def keep_text(text: str, min_chars: int = MIN_SEGMENT_CHARS) -> Trajectory:
    """Cut a trajectory like ``split_segments``, but leave every character where it is: the parts make up ``text``.

    Args:
        text: the trajectory z.
        min_chars: as for ``split_segments`` (characters).
    """
    spans = _spans(text, _BLANK_LINES, min_chars)
    joiner = "\n\n"
    if len(spans) == 1:
        spans, joiner = _spans(text, _LINE_BREAKS, min_chars), "\n"
    segments = tuple(text[start:end] for start, end in spans)
    return Trajectory(segments, joiner, tuple(text[one[1] : two[0]] for one, two in pairwise(spans)))


def _spans(text: str, breaks: re.Pattern[str], min_chars: int) -> list[tuple[int, int]]:
    """Beginnings and ends of the segments: short ones are joined by the rule of ``_merge_short``."""
    edges = [(0, 0), *((found.start(), found.end()) for found in breaks.finditer(text)), (len(text), len(text))]
    spans: list[tuple[int, int]] = []
    for (_, start), (end, _) in pairwise(edges):
        end = start + len(text[start:end].rstrip())
        if not text[start:end].strip():
            continue
        if spans and (end - start < min_chars or spans[-1][1] - spans[-1][0] < min_chars):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    if not spans:
        return [(0, len(text))]
    spans[0] = (0, spans[0][1])
    spans[-1] = (spans[-1][0], len(text))
    return spans


def _merge_short(pieces: list[str], min_chars: int, joiner: str) -> list[str]:
    merged: list[str] = []
    for piece in (piece.strip() for piece in pieces):
        if merged and (len(piece) < min_chars or len(merged[-1]) < min_chars):
            merged[-1] = merged[-1] + joiner + piece
        else:
            merged.append(piece)
    return merged


def split_scored(answer: str, *, score_first_segment: bool) -> tuple[str, str]:
    """Cut a solution y into the part that only conditions and the part that is scored.

    The reference implementation leaves the first paragraph unscored: it stands right behind the thinking and is
    the easiest to give away. A solution of a single paragraph is scored whole.

    Args:
        answer: the solution y.
        score_first_segment: score everything.

    Returns:
        The unscored head with the line breaks behind it (may be empty), and the scored rest (never empty).
    """
    if score_first_segment:
        return "", answer
    for pattern in (_BLANK_LINES, re.compile(r"\n\s*")):
        found = pattern.search(answer)
        if found and answer[: found.start()].strip() and answer[found.end() :].strip():
            return answer[: found.end()], answer[found.end() :]
    return "", answer
