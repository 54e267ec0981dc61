"""An existing DeepWriting-20K release: pairs that bring their thinking along, to be annotated and scored again.

======================  ====================================================================================
layout                  columns
======================  ====================================================================================
training                ``prompt`` = [{role, content}], ``solution`` = ``<think>…</think>`` and the answer, and
                        ``data_source``, ``ability``, ``reward_model``, ``extra_info``: the original release
columns                 ``query, thinking, answer`` and all others of our configs ``default`` and ``all``
messages                ``messages``: our config ``sft``; the assistant's turn is like a solution
======================  ====================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from datatrove.data import Document
from datatrove.io import DataFolder

from deepwriting.schema import GIVEN_GENERATOR, GIVEN_REVISION, GIVEN_THINKING
from deepwriting.sources.base import PairReader
from deepwriting.sources.fields import RecordError, identifier, optional_text, require, text_field
from deepwriting.sources.turns import turns_field

_THINK_TAG = re.compile(r"<(/?)think>", re.IGNORECASE)
_ANSWER_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
#: Text columns of a release that become provenance, under these names: source and licence of this run are other ones.
_FACTS = {
    "data_source": "data_source",
    "ability": "ability",
    "row_id": "row_id",
    "source": "release_source",
    "source_id": "release_source_id",
    "category": "release_category",
    "scorer": "release_scorer",
    "pipeline_version": "release_version",
}
#: Numbers of a release that become provenance: what the new scores are to be compared with.
_SCORES = {
    "score_no_thinking": "release_score_no_thinking",
    "score_before": "release_score_before",
    "score_after": "release_score_after",
}


class DeepWritingRelease(PairReader):
    """Rows of an existing release, in its training layout or in our own (JSON lines or Parquet).

    The thinking becomes metadata, see ``deepwriting/schema.py``; the search begins with it (``search.given_thinking``).
    Reasons besides the usual ones: ``no_think_tag``, ``unopened_think``, ``unclosed_think``, ``several_think_tags``,
    ``misplaced_think_tags``, ``text_before_think``, ``empty_thinking``, ``broken_answer_tags``.

    Args:
        path: a file, a folder or a glob.
        name: the source's name.
        license: licence of the texts; a row that names its own keeps that.
        limit: at most this many candidates per task.
    """

    def candidates(self, folder: DataFolder, files: list[str], rank: int, world_size: int) -> Iterator[Document]:
        """Yield one document for each row."""
        for file in files[rank::world_size]:
            for location, record in self.records(folder, file):
                yield self.checked(location, record, self._read)

    def _read(self, location: str, record: dict[str, Any]) -> Document:
        if "prompt" in record or "solution" in record:
            require(record, "prompt", "solution")
            query = _query_of(record, "prompt")
            thinking, answer = self._parted(text_field(record, "solution", empty="empty_answer"))
            layout = "training"
        elif "messages" in record:
            turns = turns_field(record, "messages")
            query = _query_of(record, "messages")
            if turns[-1]["role"] != "assistant":
                raise RecordError("no_assistant_turn", f"the last role is {turns[-1]['role']}")
            thinking, answer = self._parted(text_field(turns[-1], "content", empty="empty_answer"))
            layout = "messages"
        else:
            require(record, "query", "thinking", "answer")
            query = text_field(record, "query", empty="empty_query")
            thinking = text_field(record, "thinking", empty="empty_thinking")
            answer = text_field(record, "answer", empty="empty_answer")
            layout = "columns"
        extra = record.get("extra_info")
        index = identifier(extra, "index") if isinstance(extra, dict) else None
        own_id = identifier(record, "row_id") or identifier(record, "id")
        facts = {**_origin(record), **_facts(record), "layout": layout, "index": index}
        doc = self.pair(query, answer, own_id or location, **facts)
        known = {
            GIVEN_THINKING: thinking,
            GIVEN_GENERATOR: optional_text(record, "generator"),
            GIVEN_REVISION: optional_text(record, "generator_revision"),
        }
        doc.metadata |= {key: value for key, value in known.items() if value is not None}
        doc.metadata["license"] = optional_text(record, "license") or self.license
        return doc

    def _parted(self, solution: str) -> tuple[str, str]:
        thinking, answer, unwrapped = split_solution(solution)
        if unwrapped:
            self.stat_update("answers_unwrapped")
        return thinking, answer


def split_solution(solution: str) -> tuple[str, str, bool]:
    """Part a solution of the training layout.

    Args:
        solution: ``<think>`` thinking ``</think>`` answer; the answer may stand in ``<answer>`` tags.

    Returns:
        Thinking and answer without the white space around them, which belongs to the layout, and whether the answer
        was taken out of tags.

    Raises:
        RecordError: if the tags leave open what is thinking and what is answer, or one of them is empty.
    """
    tags = list(_THINK_TAG.finditer(solution))
    opened = [tag for tag in tags if not tag[1]]
    closed = [tag for tag in tags if tag[1]]
    if not tags:
        raise RecordError("no_think_tag", "the solution has no <think> tag")
    if not opened:
        raise RecordError("unopened_think", f"</think> at character {closed[0].start()} without <think>")
    if not closed:
        raise RecordError("unclosed_think", f"<think> at character {opened[0].start()} is never closed")
    if len(opened) > 1 or len(closed) > 1:
        raise RecordError("several_think_tags", f"{len(opened)} <think> and {len(closed)} </think>")
    start, end = opened[0], closed[0]
    if end.start() < start.end():
        raise RecordError("misplaced_think_tags", "</think> stands before <think>")
    if solution[: start.start()].strip():
        raise RecordError("text_before_think", f"{start.start()} characters stand before <think>")
    thinking, answer = solution[start.end() : end.start()].strip(), solution[end.end() :].strip()
    if not thinking:
        raise RecordError("empty_thinking", "nothing stands between <think> and </think>")
    answer_tags = list(_ANSWER_TAG.finditer(answer))
    if answer_tags:
        first, last = answer_tags[0], answer_tags[-1]
        whole = len(answer_tags) == 2 and not first[1] and bool(last[1])
        if not whole or first.start() > 0 or last.end() < len(answer):
            raise RecordError("broken_answer_tags", f"{len(answer_tags)} <answer> tags that do not enclose the answer")
        answer = answer[first.end() : last.start()].strip()
    if not answer:
        raise RecordError("empty_answer", "nothing stands behind the thinking")
    return thinking, answer, bool(answer_tags)


def _query_of(record: Mapping[str, Any], column: str) -> str:
    """The only user turn of a prompt; some writers keep it as plain text.

    Raises:
        RecordError: ``unknown_role`` for a system turn (an answer to hidden instructions does not answer the query
            alone), ``no_user_turn``, ``too_many_turns``, ``empty_query``, or a wrong type.
    """
    if isinstance(record[column], str):
        return text_field(record, column, empty="empty_query")
    turns = turns_field(record, column)
    if unknown := sorted({turn["role"] for turn in turns} - {"user", "assistant"}):
        raise RecordError("unknown_role", f"roles besides user and assistant: {', '.join(unknown)}")
    asked = [turn for turn in turns if turn["role"] == "user"]
    if not asked:
        raise RecordError("no_user_turn", f"{column} has {len(turns)} turns, none of a user")
    if len(asked) > 1 or len(turns) > 2:
        raise RecordError("too_many_turns", f"{column} has {len(turns)} turns, {len(asked)} of them a user's")
    return text_field(asked[0], "content", empty="empty_query")


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {name: optional_text(record, column) for column, name in _FACTS.items()}
    for column, name in _SCORES.items():
        value = record.get(column)
        facts[name] = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return facts


def _origin(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the release itself says about the pair's origin, for example its score on Reddit."""
    text = optional_text(record, "provenance")
    if text is None:
        return {}
    try:
        origin = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return origin if isinstance(origin, dict) else {}
