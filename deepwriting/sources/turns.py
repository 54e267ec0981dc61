"""The turns of a conversation, as chat data sets store them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepwriting.sources.fields import RecordError

Turn = Mapping[str, Any]


def turns_field(record: Mapping[str, Any], column: str) -> list[Turn]:
    """A column's turns, each with ``role`` and ``content``.

    Raises:
        RecordError: ``missing_columns`` if the column, or a turn's role or content, is missing; ``wrong_type`` if it is
            not a list of objects with a text as role; ``no_turns`` if it is null or empty.
    """
    if column not in record:
        raise RecordError("missing_columns", f"missing {column}")
    value = record[column]
    if value is None or value == []:
        raise RecordError("no_turns", f"{column} is empty")
    if not isinstance(value, list):
        raise RecordError("wrong_type", f"{column} is {type(value).__name__}, not a list of turns")
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, dict):
            raise RecordError("wrong_type", f"turn {number} of {column} is {type(turn).__name__}, not an object")
        # Names of the columns found are left out: a turn's may say who held the conversation.
        if missing := [key for key in ("role", "content") if key not in turn]:
            raise RecordError("missing_columns", f"missing {', '.join(missing)} in turn {number} of {column}")
        if not isinstance(turn["role"], str):
            raise RecordError("wrong_type", f"role of turn {number} is {type(turn['role']).__name__}, not text")
    return value


def first_exchange(turns: list[Turn]) -> tuple[Turn, Turn]:
    """The first user turn and the first assistant turn after it.

    Raises:
        RecordError: ``no_user_turn`` or ``no_assistant_turn``; ``wrong_turn_order`` if all assistant turns stand before
            the first user turn.
    """
    roles = [turn["role"] for turn in turns]
    if "user" not in roles:
        raise RecordError("no_user_turn", f"roles are {', '.join(roles[:10])}")
    if "assistant" not in roles:
        raise RecordError("no_assistant_turn", f"roles are {', '.join(roles[:10])}")
    asked = roles.index("user")
    if "assistant" not in roles[asked:]:
        raise RecordError("wrong_turn_order", f"roles are {', '.join(roles[:10])}")
    return turns[asked], turns[roles.index("assistant", asked)]
