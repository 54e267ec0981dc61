"""Chat servers take messages, engines render one string: how a turn travels inside that string.

A rendered prompt is a mark, the length of the user's turn, and both turns as they are:

    deepwriting-chat 11⏎Hello there<think>

The length says where the user's turn ends, so nothing inside a query can look like a boundary; and whatever is put
behind a rendered prompt continues the assistant's turn, as with every other engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from deepwriting.errors import EngineError

#: Starts with a control character, so that no prompt written by hand is taken for a rendered one.
MARK = "\x02deepwriting-chat "

Prefill = Literal["continue", "ask"]

#: Put behind the user's turn for models that cannot be handed the beginning of their own.
ASK = (
    "Your answer has to begin with exactly the text between the two lines below, and to go on from there. "
    "Say nothing before it.\n-----\n{begun}\n-----"
)


def pack(user: str, assistant: str) -> str:
    """One string for a user's turn and the beginning of the assistant's."""
    return f"{MARK}{len(user)}\n{user}{assistant}"


def unpack(prompt: str) -> tuple[str, str]:
    """The user's turn and the beginning of the assistant's.

    Raises:
        EngineError: if the prompt was not made by ``pack``.
    """
    length, _, turns = prompt.removeprefix(MARK).partition("\n")
    if not (prompt.startswith(MARK) and length.isascii() and length.isdigit() and int(length) <= len(turns)):
        raise EngineError(f"the prompt {prompt[:40]!r} is not rendered; a chat server takes what render() returns")
    return turns[: int(length)], turns[int(length) :]


def messages(user: str, assistant: str, prefill: Prefill) -> dict[str, Any]:
    """The part of a chat request that holds the turns.

    Args:
        user: the user's turn.
        assistant: beginning of the assistant's turn; may be empty.
        prefill: ``continue`` for servers that go on with a begun turn (vLLM, SGLang), ``ask`` for the others.
    """
    if not assistant:
        return {"messages": [{"role": "user", "content": user}]}
    if prefill == "ask":
        return {"messages": [{"role": "user", "content": f"{user}\n\n{ASK.format(begun=assistant)}"}]}
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    return {"messages": turns, "continue_final_message": True, "add_generation_prompt": False}


def without_beginning(text: str, assistant: str) -> str:
    """An answer without the beginning that was asked for; as it is if the model did not begin so."""
    wanted = assistant.strip()
    begun = text.lstrip()
    return begun[len(wanted) :] if wanted and begun.startswith(wanted) else text


def stops_to_send(stop: Sequence[str], assistant: str) -> list[str]:
    """The stop strings that a server may apply although the model repeats the beginning of its turn first."""
    return [string for string in stop if string not in assistant]


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """A text up to the first stop string in it, and whether there was one."""
    places = [place for place in (text.find(string) for string in stop) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)
