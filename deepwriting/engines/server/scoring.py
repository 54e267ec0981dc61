"""How servers give the log-probabilities of a text: three protocols, the cheapest first.

    sglang            /generate with logprob_start_len   the shared prefix is not computed again
    prompt_logprobs   vLLM's field of /v1/completions    every token of the text is computed; token ids come back
    echo              classic /v1/completions            every token of the text is computed; lengths come back

Each sends the token ids of the whole text and has one token sampled, the least that all servers allow. What comes back
is compared with what was sent: a server that reads other tokens than we do would give scores of another text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from deepwriting.engines.alignment import Aligned
from deepwriting.engines.server.trouble import Trouble
from deepwriting.errors import EngineError

ProtocolName = Literal["sglang", "prompt_logprobs", "echo"]


@dataclass(frozen=True)
class Scored:
    """What a server says about a target.

    Attributes:
        logprobs: log-probability of each token of the target, shape ``(target_tokens,)``, nats.
        cached_tokens: tokens of the text that the server did not compute again.
    """

    logprobs: NDArray[np.float32]
    cached_tokens: int = 0


@dataclass(frozen=True)
class Protocol:
    """One way of asking for log-probabilities.

    Attributes:
        path: where to ask; ``//`` lies outside of ``/v1``.
        body: model and text -> the request.
        read: answer and text -> the log-probabilities of the text's target. Raises ``Trouble`` if they are not there
            and ``EngineError`` if they are those of other tokens.
    """

    path: str
    body: Callable[[str, Aligned], dict[str, Any]]
    read: Callable[[Any, Aligned], Scored]


def _sglang_body(_model: str, text: Aligned) -> dict[str, Any]:
    return {
        "input_ids": text.ids.tolist(),
        "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
        "return_logprob": True,
        # The position it starts at has no log-probability yet, so it starts one before the target.
        "logprob_start_len": text.start - 1,
    }


def _sglang_read(answer: Any, text: Aligned) -> Scored:
    meta = answer.get("meta_info") if isinstance(answer, dict) else None
    found = meta.get("input_token_logprobs") if isinstance(meta, dict) else None
    if not (isinstance(meta, dict) and isinstance(found, list)):
        raise Trouble("broken", "no input_token_logprobs")
    if not all(isinstance(entry, list) and len(entry) >= 2 for entry in found):
        raise Trouble("broken", "input_token_logprobs of another shape")
    expected = text.ids[text.start - 1 :].tolist()
    if [entry[1] for entry in found] != expected:
        raise _other_tokens(f"it scored {len(found)} tokens where {len(expected)} were sent, or other ones")
    cached = meta.get("cached_tokens")
    return Scored(_finite([entry[0] for entry in found[1:]]), cached if isinstance(cached, int) else 0)


def _vllm_body(model: str, text: Aligned) -> dict[str, Any]:
    # 0: of the text's own tokens only, none of the likelier ones.
    return {"model": model, "prompt": text.ids.tolist(), "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}


def _vllm_read(answer: Any, text: Aligned) -> Scored:
    found = _choice(answer).get("prompt_logprobs")
    if not isinstance(found, list):
        raise Trouble("broken", "no prompt_logprobs")
    if len(found) != len(text.ids):
        raise _other_tokens(f"it scored {len(found)} tokens where {len(text.ids)} were sent")
    values = []
    for token, entry in zip(text.target_ids.tolist(), found[text.start :], strict=True):
        if not isinstance(entry, dict):
            raise Trouble("broken", "prompt_logprobs of another shape")
        if str(token) not in entry:
            raise _other_tokens(f"it scored token {next(iter(entry), None)} where {token} was sent")
        value = entry[str(token)]
        values.append(value.get("logprob") if isinstance(value, dict) else value)
    return Scored(_finite(values))


def _echo_body(model: str, text: Aligned) -> dict[str, Any]:
    # logprobs 0 would be enough, but some servers take it for "none".
    return {
        "model": model, "prompt": text.ids.tolist(), "max_tokens": 1, "temperature": 0.0, "echo": True, "logprobs": 1,
    }  # fmt: skip


def _echo_read(answer: Any, text: Aligned) -> Scored:
    logprobs = _choice(answer).get("logprobs")
    found = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    if not isinstance(found, list):
        raise Trouble("broken", "no token_logprobs")
    usage = answer.get("usage")
    read = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    if read is None:
        read = len(found) - 1  # one token was sampled
    # A server that ignores echo gives the sampled token alone.
    if read != len(text.ids) or len(found) not in (read, read + 1):
        raise _other_tokens(f"it scored {len(found)} tokens of {read} where {len(text.ids)} were sent")
    return Scored(_finite(found[text.start : len(text.ids)]))


PROTOCOLS: Mapping[ProtocolName, Protocol] = {
    "sglang": Protocol("//generate", _sglang_body, _sglang_read),
    "prompt_logprobs": Protocol("/completions", _vllm_body, _vllm_read),
    "echo": Protocol("/completions", _echo_body, _echo_read),
}
assert tuple(PROTOCOLS) == get_args(ProtocolName)


def _choice(answer: Any) -> dict[str, Any]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise Trouble("broken", "no choices")
    return choices[0]


def _finite(values: list[Any]) -> NDArray[np.float32]:
    try:
        logprobs = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise Trouble("broken", "log-probabilities that are no numbers") from None
    if not np.isfinite(logprobs).all():
        raise Trouble("broken", "log-probabilities that are not finite")
    return logprobs


def _other_tokens(what: str) -> EngineError:
    return EngineError(
        f"the server tokenises differently: {what}; name the tokenizer of the model that it really serves"
    )
