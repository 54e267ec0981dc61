"""LongWriter: one request and one long answer, as chat messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datatrove.data import Document
from datatrove.io import DataFolder

from deepwriting.sources.base import PairReader
from deepwriting.sources.fields import RecordError, identifier, text_field
from deepwriting.sources.stated_length import requested_words
from deepwriting.sources.turns import Turn, first_exchange, turns_field


class LongWriter(PairReader):
    """Rows with ``messages`` (JSON lines or Parquet): a user turn, then an assistant turn.

    The request stays as it is, its length instruction included; the provenance has the length as ``requested_words``.

    Args:
        path: a file, a folder or a glob.
        name: the source's name.
        license: licence of the texts.
        limit: at most this many candidates per task.
        allow_more_turns: use the first exchange of longer conversations instead of rejecting them.
    """

    def __init__(
        self,
        path: str,
        *,
        name: str,
        license: str,  # noqa: A002
        limit: int | None = None,
        allow_more_turns: bool = False,
    ):
        super().__init__(path, name=name, license=license, limit=limit)
        self.allow_more_turns = allow_more_turns

    def candidates(self, folder: DataFolder, files: list[str], rank: int, world_size: int) -> Iterator[Document]:
        """Yield one document for each row."""
        for file in files[rank::world_size]:
            for location, record in self.records(folder, file):
                yield self.checked(location, record, self._read)

    def _read(self, location: str, record: dict[str, Any]) -> Document:
        turns = turns_field(record, "messages")
        query_turn, answer_turn = first_exchange(turns)
        self._check_order(turns)
        query = text_field(query_turn, "content", empty="empty_query")
        return self.pair(
            query,
            text_field(answer_turn, "content", empty="empty_answer"),
            identifier(record, "id") or location,
            turns=len(turns),
            requested_words=requested_words(query),
        )

    def _check_order(self, turns: list[Turn]) -> None:
        """Check that the conversation opens with user, then assistant, and holds no more than the recipe allows.

        Raises:
            RecordError: ``unknown_role``, ``wrong_turn_order`` or ``too_many_turns``. A system turn counts as an
                unknown role: an answer to hidden instructions does not answer the query alone.
        """
        roles = [turn["role"] for turn in turns]
        unknown = sorted({role for role in roles if role not in ("user", "assistant")})
        if unknown:
            raise RecordError("unknown_role", f"roles besides user and assistant: {', '.join(unknown)}")
        if roles[:2] != ["user", "assistant"]:
            raise RecordError(
                "wrong_turn_order", f"the first roles are {', '.join(roles[:2])}; needed: user, assistant"
            )
        if len(turns) > 2 and not self.allow_more_turns:
            raise RecordError("too_many_turns", f"{len(turns)} turns; allowed: 2")
