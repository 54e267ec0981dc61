"""What an engine asks a server once, before the first request of a search."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from deepwriting.engines.alignment import Aligned, Tokeniser
from deepwriting.engines.server.client import Asked
from deepwriting.engines.server.sampling import Dialect
from deepwriting.engines.server.scoring import PROTOCOLS, ProtocolName, Scored
from deepwriting.engines.server.trouble import Refusal, Trouble
from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

#: Scored to see whether a protocol works: any text of a few tokens.
PROBE_HEAD, PROBE_TARGET = "The sea is", " wide and grey."
#: Where servers write a model's context length in /v1/models: vLLM and SGLang, OpenRouter, Groq, Mistral.
CONTEXT_KEYS = ("max_model_len", "context_length", "context_window", "max_context_length")


@dataclass(frozen=True)
class Learned:
    """What is known of a server.

    Attributes:
        context: length of the model's context, if the server states it (tokens).
        sends_ids: whether prompts go as token ids.
        protocol: how it gives log-probabilities; ``None`` if it does not.
        no_scores: why it does not, or why the cheaper ways do not work.
    """

    context: int | None
    sends_ids: bool = False
    protocol: ProtocolName | None = None
    no_scores: str = ""


async def learn(
    client: Asked, dialect: Dialect, model: str, tokeniser: Tokeniser | None, *, api: str, scoring: str
) -> Learned:
    """Find out what a server can do.

    Args:
        client: the server's client.
        dialect: remembers which fields it refuses.
        model: the model as the server calls it.
        tokeniser: the model's tokenizer, if there is one.
        api: ``completions`` or ``chat``.
        scoring: a protocol, ``auto`` or ``none``.

    Raises:
        EngineError: if the server stays away, refuses the key or the model, or cannot score as it should.
    """
    context = await served_context(client, model)
    if api == "chat":
        return Learned(context, no_scores="a chat server gives no log-probabilities of a prompt")
    if tokeniser is None:
        known, reason = False, "there is no tokenizer at hand"
    else:
        known, reason = await takes_token_ids(client, dialect, model, tokeniser), "it takes no token ids"
    if scoring == "none":
        return Learned(context, known, no_scores="scoring is 'none'")
    if tokeniser is None or not known:
        if scoring != "auto":
            raise EngineError(f"scoring {scoring!r} is not possible: {reason}")
        return Learned(context, known, no_scores=reason)
    if scoring == "auto":
        protocol, reasons = await choose_protocol(client, model, tokeniser)
        return Learned(context, known, protocol, "; ".join(f"{name}: {why}" for name, why in reasons.items()))
    return Learned(context, known, next(name for name in PROTOCOLS if name == scoring))


async def served_context(client: Asked, model: str) -> int | None:
    """The context length of a model as its server states it (tokens); ``None`` if it does not.

    Raises:
        EngineError: if the server stays away, or refuses the key.
    """
    try:
        answer = await client.get("/models")
    except Refusal as refusal:
        if refusal.status in (401, 403):
            raise
        return None
    listed = answer.get("data") if isinstance(answer, dict) else None
    entries = [entry for entry in listed or [] if isinstance(entry, dict)]
    entry = next((entry for entry in entries if entry.get("id") == model), entries[0] if len(entries) == 1 else {})
    return next((entry[key] for key in CONTEXT_KEYS if isinstance(entry.get(key), int) and entry[key] > 0), None)


async def takes_token_ids(client: Asked, dialect: Dialect, model: str, tokeniser: Tokeniser) -> bool:
    """Whether a completions server takes token ids as a prompt; TGI takes only text.

    Raises:
        EngineError: if it takes neither, in its own words.
    """
    ids = tokeniser.prompt(PROBE_HEAD).tolist()
    body: dict[str, Any] = {"model": model, "max_tokens": 1, "temperature": 0.0}
    try:
        await dialect.ask(client, "/completions", {**body, "prompt": ids}, stopping=False)
    except Refusal as refusal:
        if refusal.status not in (400, 422):
            raise
    else:
        return True
    answer = await dialect.ask(
        client, "/completions", {**body, "prompt": PROBE_HEAD, "add_special_tokens": False}, stopping=False
    )
    log.warning("%s takes no token ids as a prompt; it gets text", client.url)
    if answer.prompt_tokens not in (None, len(ids)):
        log.warning(
            "%s reads %s tokens where the tokenizer of %s counts %d", client.url, answer.prompt_tokens, model, len(ids)
        )
    return False


async def choose_protocol(
    client: Asked, model: str, tokeniser: Tokeniser
) -> tuple[ProtocolName | None, dict[str, str]]:
    """The cheapest way to get log-probabilities that works, and why the others did not, by name.

    Raises:
        EngineError: if the server stays away.
    """
    text = tokeniser.align(PROBE_HEAD, PROBE_TARGET)
    reasons: dict[str, str] = {}
    for name in PROTOCOLS:
        reason = await _why_not(client, model, name, text)
        if reason is None:
            return name, reasons
        reasons[name] = reason
    return None, reasons


async def _why_not(client: Asked, model: str, name: ProtocolName, text: Aligned) -> str | None:
    protocol = PROTOCOLS[name]

    def read(answer: Any) -> str | None:  # another answer would not be better: it is no reason to ask again
        try:
            scored: Scored = protocol.read(answer, text)
        except Trouble as trouble:
            return trouble.reason
        except EngineError as error:
            return str(error)
        return None if len(scored.logprobs) == len(text.target_ids) else "too few log-probabilities"

    try:
        return await client.post(protocol.path, protocol.body(model, text), read)
    except Refusal as refusal:
        return str(refusal)
