"""One preference pair a row: the edit that gained most, against the worst text that was scored in its place.

Both conversations are whole, so any preference trainer and any chat template can read them: they differ in one segment
of the thinking. Every other comparison is in config ``steps``; there would be ten a row, each with the whole text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deepwriting.errors import SchemaError
from deepwriting.schema import assistant_turn


def preference(row: Mapping[str, Any], trace: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The pair that a row's search holds.

    Args:
        row: the row as config ``all`` publishes it.
        trace: every candidate of every step, in order.

    Yields:
        One record if the search accepted an edit, none otherwise.

    Raises:
        SchemaError: if steps and segments do not fit together.
    """
    best: dict[str, Any] | None = None
    segments = [segment["initial"] for segment in row["segments"]]
    gaps = _gaps(row["initial_thinking"], segments, row["row_id"])
    for taken, others in _accepted(trace):
        at = taken["segment_index"]
        if not 0 <= at < len(segments):
            raise SchemaError(f"row {row['row_id']}: step {taken['step']} edits segment {at} of {len(segments)}")
        # What stood there has the score of the trajectory before the step.
        beaten = [(taken["score_current"], segments[at])]
        beaten += [(other["score"], other["candidate"]) for other in others if other["score"] is not None]
        score, text = max(beaten)
        if best is None or score - taken["score"] > best["score_rejected"] - best["score_chosen"]:
            best = {
                "step": taken["step"],
                "chosen": _turn(row, segments, gaps, at, taken["candidate"]),
                "rejected": _turn(row, segments, gaps, at, text),
                "score_chosen": taken["score"],
                "score_rejected": score,
            }
        segments[at] = taken["candidate"]
    if best is not None:
        yield {**row, **best, "prompt": [{"role": "user", "content": row["query"]}]}


def _accepted(trace: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every accepted candidate, with the others of its step."""
    by_step: dict[int, list[dict[str, Any]]] = {}
    for candidate in trace:
        by_step.setdefault(candidate["step"], []).append(candidate)
    for _, candidates in sorted(by_step.items()):
        for taken in candidates:
            if taken["accepted"]:
                yield taken, [other for other in candidates if other is not taken]


def _gaps(thinking: str, segments: list[str], row: str) -> list[str]:
    """What stands between the segments of the initial thinking; nothing of it is lost at either end.

    Raises:
        SchemaError: if the segments are not those of the thinking.
    """
    gaps, end = [], 0
    for number, segment in enumerate(segments):
        start = thinking.find(segment, end)
        if start < 0 or (number == 0 and start > 0):
            raise SchemaError(f"row {row}: segment {number} does not stand where the initial thinking should have it")
        if number:
            gaps.append(thinking[end:start])
        end = start + len(segment)
    if end != len(thinking):
        raise SchemaError(f"row {row}: the segments end at character {end} of {len(thinking)} of the initial thinking")
    return [*gaps, ""]


def _turn(row: Mapping[str, Any], segments: list[str], gaps: list[str], at: int, text: str) -> list[dict[str, str]]:
    pieces = [*segments[:at], text, *segments[at + 1 :]]
    thinking = "".join(piece + gap for piece, gap in zip(pieces, gaps, strict=True))
    return [{"role": "assistant", "content": assistant_turn(thinking, row["answer"])}]
