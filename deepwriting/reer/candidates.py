"""From a sampled completion to a text that the search may use, or a reason to refuse it.

Refusals cost nothing but a counter; without them the cheapest way to a low score is to copy the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deepwriting.engines.base import Completion
from deepwriting.metrics.copying import copied
from deepwriting.metrics.repetition import top_ngram_share
from deepwriting.metrics.units import CJK
from deepwriting.recipe import SearchSection

#: Tags of the prompts; one of them inside a candidate means that the model lost the form.
TAGS = ("<think>", "</think>", "<analyze>", "</analyze>", "<refine>", "</refine>", "<replace>", "</replace>",
        "<answer>", "</answer>")  # fmt: skip
#: Words of the old segment that a candidate starts with when the model is helped into the form (words, characters).
OPENING_WORDS = 3
OPENING_CHARACTERS = 6

_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)」』]*(?=\s|$|[^\x00-\x7f])|[.!?…。！？][\"'”’)」』]*$")


@dataclass(frozen=True)
class Proposal:
    """A text proposed by the generator.

    Attributes:
        text: the parsed text; empty if nothing could be parsed.
        refusal: why it may not be used; ``None`` if it may.
    """

    text: str
    refusal: str | None = None


def opening_words(segment: str) -> str:
    """The first few words of a segment, which its replacement keeps (paper, Listing 2, note b)."""
    line = segment.lstrip().split("\n", 1)[0]
    if re.search(f"[{CJK}]", line[:OPENING_CHARACTERS]):
        return line[:OPENING_CHARACTERS]
    return " ".join(line.split()[:OPENING_WORDS])


def parse_thinking(opener: str, completion: Completion, unclosed: str) -> Proposal:
    """The first thinking z(0) from a completion that was started with ``opener``.

    Args:
        opener: how the thinking was started.
        completion: what the model wrote.
        unclosed: ``refuse`` or ``trim`` a text that its length limit cut off.
    """
    text = (opener + completion.text).partition("</think>")[0]
    return _whole(text, completion, unclosed)


def parse_refinement(started: str, completion: Completion, unclosed: str) -> Proposal:
    """The refined segment from a completion.

    Args:
        started: the model's turn as the prompt began it: inside <analyze>, or inside <refine> with opening words.
        completion: what the model wrote; its stop string is </refine>.
        unclosed: ``refuse`` or ``trim`` a text that its length limit cut off.
    """
    if not completion.text.strip():
        return Proposal("", "empty")
    turn = started + completion.text
    _, tag, text = turn.rpartition("<refine>")
    if not tag:
        return Proposal("", "no_refine_tag")
    return _whole(text, completion, unclosed)


def _whole(text: str, completion: Completion, unclosed: str) -> Proposal:
    text = text.strip()
    if completion.finish_reason == "length":
        if unclosed == "refuse":
            return Proposal(text, "unclosed")
        text = trim_to_sentence(text)
    if not text:
        return Proposal("", "empty")
    if any(tag in text for tag in TAGS):
        return Proposal(text, "broken_tags")
    return Proposal(text)


def trim_to_sentence(text: str) -> str:
    """A text up to its last finished sentence; empty if no sentence is finished."""
    ends = list(_SENTENCE_END.finditer(text))
    return text[: ends[-1].end()].rstrip() if ends else ""


def check_thinking(text: str, answer: str, settings: SearchSection) -> str | None:
    """Why a first thinking may not be searched, or ``None``."""
    if top_ngram_share(text) > settings.max_repetition:
        return "degenerate"
    return _copies(text, answer, settings)


def check_given(text: str, answer: str, settings: SearchSection) -> str | None:
    """Why a thinking that came with the pair may not be searched, or ``None``.

    Without steps it is only scored again: what it repeats or copies is then for the filters to measure. A tag is
    refused in any case, since it would end the thinking of the published row too early.
    """
    if not text.strip():
        return "empty"
    if any(tag in text for tag in TAGS):
        return "broken_tags"
    return check_thinking(text, answer, settings) if settings.max_steps else None


def check_refinement(
    text: str, whole: str, segment: str, others: Sequence[str], answer: str, settings: SearchSection
) -> str | None:
    """Why a candidate may not replace a segment, or ``None``.

    Args:
        text: the candidate.
        whole: the trajectory with the candidate in place.
        segment: the segment that it would replace.
        others: the other segments.
        answer: the solution y.
        settings: the limits.
    """
    if text == segment.strip():
        return "unchanged"
    if any(text == other.strip() for other in others):
        return "repeats_segment"
    if len(text) < settings.min_segment_chars:
        return "too_short"
    if top_ngram_share(text) > settings.max_repetition:
        return "degenerate"
    return _copies(whole, answer, settings)


def _copies(text: str, answer: str, settings: SearchSection) -> str | None:
    found = copied(answer, text, settings.copy_min_run)
    if found.ratio > settings.max_copy_ratio or found.longest_run > settings.max_copy_run:
        return "copies_answer"
    return None
