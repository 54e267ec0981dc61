"""One continuation from a server: the request's fields, what to do where a server does not know one, and the answer.

Servers take their defaults from the model's ``generation_config.json`` (vLLM, SGLang) or have their own (llama.cpp), so
every field that shapes the distribution is sent, also where it changes nothing. Hosted servers refuse fields that they
do not know and name them; such a field is left out from then on, with a warning.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepwriting.engines.base import FinishReason
from deepwriting.engines.server.client import Asked
from deepwriting.engines.server.trouble import Refusal, Trouble
from deepwriting.seeds import derive_seed

log = logging.getLogger(__name__)

#: Fields beyond the OpenAI protocol with the values that switch them off. vLLM, SGLang and llama.cpp know all three.
NEUTRAL: Mapping[str, float] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
#: Fields that a request can do without.
OPTIONAL = (*NEUTRAL, "seed", "add_special_tokens")
#: Newer hosted models have another name for the limit and refuse the old one.
RENAMED = ("max_tokens", "max_completion_tokens")
#: llama.cpp takes 32 bits and its highest value for "none"; every server takes 31.
SEED_LIMIT = 2**31


@dataclass(frozen=True)
class Sampling:
    """How a continuation is drawn; see ``Engine.sample``."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    frequency_penalty: float
    stop: Sequence[str]
    seed: int

    def fields(self, index: int) -> dict[str, Any]:
        """The request's fields for continuation ``index``: its seed depends on ``seed`` and ``index`` alone."""
        fields: dict[str, Any] = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": derive_seed(self.seed, index) % SEED_LIMIT,
            **NEUTRAL,
        }
        if self.top_k > 0:
            fields["top_k"] = self.top_k
        if self.frequency_penalty:
            fields["frequency_penalty"] = self.frequency_penalty
        if self.stop:
            fields["stop"] = list(self.stop)
        return fields


@dataclass(frozen=True)
class Answer:
    """What a server says about one continuation.

    Attributes:
        text: the continuation.
        finish_reason: why it ended.
        tokens: sampled tokens; ``None`` if the server does not count them.
        prompt_tokens: length of the prompt as the server read it (tokens); ``None`` if it does not say.
        cached_tokens: how many of these it did not compute again (tokens).
    """

    text: str
    finish_reason: FinishReason
    tokens: int | None
    prompt_tokens: int | None
    cached_tokens: int


class Dialect:
    """Which fields a server takes, learned from what it refuses."""

    def __init__(self) -> None:
        self.left_out: set[str] = set()
        self.renamed = False

    async def ask(self, client: Asked, path: str, body: dict[str, Any], *, stopping: bool) -> Answer:
        """Send a request; leave out a field that the server refuses, and remember that if it helps.

        Args:
            client: the server's client.
            path: ``/completions`` or ``/chat/completions``.
            body: the request with all fields.
            stopping: whether it has stop strings.

        Raises:
            Refusal: what the server said first, if leaving fields out does not help.
            EngineError: see ``ServerClient.post``.
        """
        left_out, renamed = set(self.left_out), self.renamed
        first: Refusal | None = None
        while True:
            sent = {name: value for name, value in body.items() if name not in left_out}
            if renamed:
                sent[RENAMED[1]] = sent.pop(RENAMED[0])
            try:
                answer = await client.post(path, sent, lambda found: read_answer(found, stopping=stopping))
            except Refusal as refusal:
                first = first or refusal
                if not renamed and _wants_new_name(refusal):
                    renamed = True
                elif (field := _refused_field(refusal, sent)) is not None:
                    left_out.add(field)
                else:
                    raise first from None
            else:
                if new := left_out - self.left_out:
                    log.warning("%s does not take %s; left out from now on", client.url, ", ".join(sorted(new)))
                self.left_out |= left_out
                self.renamed |= renamed
                return answer


def read_answer(found: Any, *, stopping: bool) -> Answer:
    """Take a continuation out of an answer of either API.

    Args:
        found: the answer's JSON.
        stopping: whether the request had stop strings.

    Raises:
        Trouble: if it is not there, or the server says that it was broken off.
    """
    choices = found.get("choices") if isinstance(found, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise Trouble("broken", "no choices")
    choice = choices[0]
    if "message" in choice:
        message = choice["message"]
        # Null where a reasoning model used its whole limit before it began to answer.
        text = (message.get("content") or "") if isinstance(message, dict) else None
    else:
        text = choice.get("text")
    if not isinstance(text, str):
        raise Trouble("broken", "a choice without text")
    usage = found.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    return Answer(
        text,
        _finish_reason(choice, stopping),
        _count(usage.get("completion_tokens")),
        _count(usage.get("prompt_tokens")),
        (_count(details.get("cached_tokens")) or 0) if isinstance(details, dict) else 0,
    )


def _finish_reason(choice: dict[str, Any], stopping: bool) -> FinishReason:
    reason = choice.get("finish_reason")
    if reason in ("length", "max_tokens", "content_filter"):  # a filter leaves half a text, as a limit does
        return "length"
    if reason not in ("stop", "eos_token", "stop_sequence", "end_turn"):
        raise Trouble("broken", f"a choice that finished with {reason!r}")
    for key in ("stop_reason", "matched_stop"):  # vLLM and SGLang: the string, or nothing or a token for the end
        if key in choice:
            return "stop" if isinstance(choice[key], str) else "eos"
    # The other servers do not say which of the two it was; nothing in the search depends on it.
    return "stop" if stopping and reason != "eos_token" else "eos"


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _wants_new_name(refusal: Refusal) -> bool:
    return RENAMED[1] in refusal.said


def _refused_field(refusal: Refusal, sent: Mapping[str, Any]) -> str | None:
    """The optional field that a refusal is about."""
    candidates = [name for name in OPTIONAL if name in sent]
    if refusal.status not in (400, 422):
        return None
    if refusal.field in candidates:
        return refusal.field
    return next((name for name in candidates if re.search(rf"\b{name}\b", refusal.said)), None)
