"""What can go wrong with a request to a server, and what it means.

    Trouble     worth another attempt: the server is away, busy, or answered something that cannot be used
    Refusal     not worth one: the server says that the request is wrong

Which status means what: https://www.rfc-editor.org/rfc/rfc9110#section-15, and for 424 the way of TGI to say that its
model failed.
"""

from __future__ import annotations

import email.utils
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from deepwriting.errors import ContextOverflowError, EngineError, RequestError

#: The server is there and asks for time.
BUSY_STATUSES = frozenset({408, 409, 425, 429})
#: The server tried and failed; another attempt may pass, but not for ever.
BROKEN_STATUSES = frozenset({424, 500})
#: 5xx that no attempt mends: not implemented, HTTP version.
HOPELESS_STATUSES = frozenset({501, 505})
#: The server refuses what a request holds: others may pass.
CONTENT_STATUSES = frozenset({400, 413, 422})
#: First and longest pause between attempts (seconds). A server that comes back is noticed within the longest.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
#: Characters of a server's answer that a message shows.
EXCERPT = 300

#: How servers say that a text is too long: OpenAI and vLLM, llama.cpp, SGLang, vLLM (two more), TGI.
_OVERFLOW = re.compile(
    r"context_length_exceeded|maximum context length|exceed_context_size|available context size"
    r"|longer than the (model's context|maximum model) length|greater than max_model_len"
    r"|`?inputs`? tokens \+ `?max_new_tokens`?",
    re.IGNORECASE,
)

Kind = Literal["away", "busy", "broken"]


class Trouble(Exception):  # noqa: N818 - no error yet: it is answered by another attempt
    """An attempt that failed in a way that may pass.

    Attributes:
        kind: ``away``: nobody answers; ``busy``: the server asks for time; ``broken``: the answer cannot be used.
        reason: what happened, in words.
        wait_s: how long the server asks to wait (seconds); ``None`` if it does not say.
    """

    def __init__(self, kind: Kind, reason: str, wait_s: float | None = None):
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason
        self.wait_s = wait_s


class Refusal(EngineError):  # noqa: N818 - the error that callers see is its base class
    """A request that the server refuses.

    Attributes:
        status: HTTP status.
        said: what the server says.
        field: the request's field that it complains about, where it names one.
    """

    def __init__(self, message: str, status: int, said: str, field: str | None):
        super().__init__(message)
        self.status = status
        self.said = said
        self.field = field


class RefusedRequest(Refusal, RequestError):  # noqa: N818 - as above
    """A refusal that speaks of this request's content, such as a text that a filter does not let through."""


def problem(status: int, headers: Mapping[str, str], content: bytes, where: str) -> Trouble | EngineError:
    """What an answer means whose status is not 2xx.

    Args:
        status: HTTP status.
        headers: the answer's headers.
        content: the answer's body, already without the key.
        where: the address that was asked, for messages.
    """
    said, field, code = _said(content)
    reason = f"{where} answered {status}: {said}"
    if status in BUSY_STATUSES and code != "insufficient_quota":  # an empty account does not fill up by waiting
        return Trouble("busy", reason, retry_after(headers))
    if status in BROKEN_STATUSES:
        return Trouble("broken", reason, retry_after(headers))
    if status >= 500 and status not in HOPELESS_STATUSES:
        return Trouble("away", reason, retry_after(headers))
    if status in CONTENT_STATUSES and _OVERFLOW.search(f"{code} {said}"):
        return ContextOverflowError(f"the text does not fit into the model's context: {reason}")
    if 300 <= status < 400:
        reason += f" (it points to {headers.get('location', 'nowhere')}; redirects are not followed)"
    kind = RefusedRequest if status in CONTENT_STATUSES else Refusal
    return kind(reason, status, said, field)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How long the server asks to wait (seconds): a number, or a date."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def pause(attempt: int, wait_s: float | None) -> float:
    """How long to wait before the next attempt (seconds).

    Args:
        attempt: how many attempts have failed, from 1.
        wait_s: what the server asked for.
    """
    # At random within a factor of two, so that callers that failed together do not come back together.
    spread = random.uniform(0.5, 1.0)
    grown: float = min(FIRST_PAUSE_S * 2.0 ** min(attempt - 1, 16), LONGEST_PAUSE_S) * spread
    return grown if wait_s is None else wait_s + grown


def excerpt(content: bytes | str) -> str:
    """The beginning of an answer, on one line."""
    text = content if isinstance(content, str) else content[: 4 * EXCERPT].decode(errors="replace")
    text = " ".join(text.split())
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"


def _said(content: bytes) -> tuple[str, str | None, str]:
    """The message of an error body, the field that it names, and its code; the layouts of all known servers."""
    try:
        body: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return excerpt(content) or "nothing", None, ""
    if not isinstance(body, dict):
        return excerpt(content), None, ""
    error = body.get("error", body)
    if not isinstance(error, dict):  # TGI: {"error": "text", "error_type": "name"}
        return excerpt(str(error)), None, str(body.get("error_type", ""))
    detail = error.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):  # FastAPI's own validation
        place = [str(part) for part in detail[0].get("loc", [])]
        return excerpt(f"{'.'.join(place)}: {detail[0].get('msg')}"), place[-1] if place else None, ""
    field = error.get("param")
    codes = " ".join(str(error[key]) for key in ("code", "type") if isinstance(error.get(key), str))
    code = "insufficient_quota" if "insufficient_quota" in codes else codes
    message = error.get("message", detail)
    return excerpt(str(message) if message else content), field if isinstance(field, str) else None, code
