"""WildChat: the opening of real conversations, without anything that tells who held them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from datatrove.data import Document
from datatrove.io import DataFolder

from deepwriting.sources.base import PairReader
from deepwriting.sources.fields import (
    RecordError,
    flag_field,
    identifier,
    integer_field,
    language_code,
    optional_text,
    text_field,
)
from deepwriting.sources.turns import Turn, first_exchange, turns_field
from deepwriting.sources.writing_requests import UNSURE, writing_request

#: Columns of a row and of its turns that may leave this reader, also in rejects. A list of what is allowed: the layout
#: has grown columns about persons before (hashed_ip, header, state and country, on rows and again on turns).
_PUBLIC_ROW = ("conversation_hash", "model", "turn", "language", "toxic", "redacted")
_PUBLIC_TURN = ("role", "content", "language", "toxic", "redacted")
_PLAIN = str | int | float | bool | None


class WildChat(PairReader):
    """First user turn and first assistant turn of WildChat's conversations (JSON lines or Parquet).

    Args:
        path: a file, a folder or a glob.
        name: the source's name.
        license: licence of the texts.
        limit: at most this many candidates per task.
        allow_toxic: whether conversations that moderation marked as toxic are used.
        allow_redacted: whether conversations from which personal data was cut out are used.
        writing_requests: ``rules`` (the default, since most chats ask for no writing) rejects what the rules know to be
            something else and marks what they are unsure about, for ``cleaning/requests.py`` to decide; ``all`` takes
            every conversation.
    """

    #: A broken line cannot be freed of addresses.
    keeps_raw_lines: ClassVar[bool] = False

    def __init__(
        self,
        path: str,
        *,
        name: str,
        license: str,  # noqa: A002
        limit: int | None = None,
        allow_toxic: bool = False,
        allow_redacted: bool = False,
        writing_requests: Literal["rules", "all"] = "rules",
    ):
        super().__init__(path, name=name, license=license, limit=limit)
        self.allow_toxic = allow_toxic
        self.allow_redacted = allow_redacted
        self.writing_requests = writing_requests

    def candidates(self, folder: DataFolder, files: list[str], rank: int, world_size: int) -> Iterator[Document]:
        """Yield one document for each conversation."""
        for file in files[rank::world_size]:
            for location, record in self.records(folder, file):
                yield self.checked(location, record, self._read)

    def public(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row with the columns in the lists above and no others, at every depth."""
        row = {key: record[key] for key in _PUBLIC_ROW if isinstance(record.get(key), _PLAIN) and key in record}
        turns = record.get("conversation")
        if isinstance(turns, list):
            row["conversation"] = [
                {key: turn[key] for key in _PUBLIC_TURN if key in turn and isinstance(turn[key], _PLAIN)}
                for turn in turns
                if isinstance(turn, dict)
            ]
        return row

    def _read(self, location: str, record: dict[str, Any]) -> Document:
        query_turn, answer_turn = first_exchange(turns_field(record, "conversation"))
        language = optional_text(record, "language") or optional_text(query_turn, "language")
        if language is None:
            raise RecordError("missing_columns", "missing language on the row and on the user turn")
        if language_code(language) is None:
            raise RecordError("unsupported_language", f"{language}; English and Chinese are supported")
        for column, allowed in (("toxic", self.allow_toxic), ("redacted", self.allow_redacted)):
            if not allowed and _marked(column, record, query_turn, answer_turn):
                raise RecordError(column, f"marked as {column}; the recipe does not allow it")
        query = text_field(query_turn, "content", empty="empty_query")
        answer = text_field(answer_turn, "content", empty="empty_answer")
        verdict = writing_request(query) if self.writing_requests == "rules" else "yes"
        if verdict == "no":
            raise RecordError("not_a_writing_request", "the rules know the first turn as something else")
        pair = self.pair(
            query,
            answer,
            identifier(record, "conversation_hash") or location,
            conversation_hash=identifier(record, "conversation_hash"),
            model=optional_text(record, "model"),
            language=language,
            turns=integer_field(record, "turn") if record.get("turn") is not None else None,
        )
        if verdict == "unsure":
            pair.metadata[UNSURE] = True
        return pair


def _marked(column: str, *places: Turn) -> bool:
    """Whether the row or one of the two turns is marked; a mark that is nowhere is not taken for a no.

    Raises:
        RecordError: ``missing_columns`` if no place has the mark, ``wrong_type`` if one is not true or false.
    """
    marks = [mark for mark in (flag_field(place, column) for place in places) if mark is not None]
    if not marks:
        raise RecordError("missing_columns", f"missing {column} on the row and on its turns")
    return any(marks)
