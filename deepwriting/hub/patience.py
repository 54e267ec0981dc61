"""Which failures of a request pass, how long to wait for that, and how long for an answer.

What `huggingface_hub` 2.4 does by itself: it sends large uploads, listings and downloads again after 408, 429, 5xx and
lost connections. Every other request (who am I, refs, create, commit, tag) it sends once, and its client waits for an
answer for ever. Its warnings may hold signed addresses.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deepwriting.hub.preflight.secrets import redacted

#: Wait before the second attempt, doubled for every further one; and the longest wait that the Hub may ask for (s).
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
#: Longest silence of the Hub before a request counts as lost (seconds).
PATIENCE = 120.0
#: Longest wait of our own before something is asked again (seconds).
_LONGEST_OWN_WAIT = 60.0
#: How long `hf_xet` tries one request again and again, unless somebody has set it.
_XET_PATIENCE = "HF_XET_CLIENT_RETRY_MAX_DURATION"
#: Answers after which the same request may work later; those that `huggingface_hub` takes for it too.
PASSING = frozenset((408, 429, 500, 502, 503, 504))


def root_of(error: BaseException) -> BaseException:
    """The error of the request below `huggingface_hub`'s "Error while uploading"."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def status_of(error: BaseException) -> int | None:
    """The HTTP status that a request was answered with, if it was answered."""
    found = getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def message_of(error: BaseException) -> str:
    """What an error says, in one line; it may hold a secret."""
    said = getattr(error, "server_message", None) or str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def is_passing(error: BaseException) -> bool:
    """Whether the same request may work a little later."""
    import httpx2
    from huggingface_hub.errors import LocalEntryNotFoundError

    problem = root_of(error)
    if (status := status_of(problem)) is not None:
        # Uploads that `huggingface_hub` has tried often enough come in a RuntimeError.
        return status in PASSING and problem is error
    if isinstance(problem, (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)):
        return problem is error
    # An answer of 5xx whose body is no JSON, where `huggingface_hub` reads the body first; an interrupted download.
    # Not a ConnectionError: it comes from `hf_xet`, which has tried for minutes by then.
    return isinstance(problem, (json.JSONDecodeError, LocalEntryNotFoundError))


def wait_before(error: BaseException, attempt: int) -> float:
    """How long to wait before the next attempt (seconds): what the Hub asks for, or longer each time."""
    from huggingface_hub.utils._http import parse_ratelimit_headers

    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is not None:
        asked: float | None = None
        if (limit := parse_ratelimit_headers(headers)) is not None and limit.remaining == 0:
            asked = float(limit.reset_in_seconds)
        elif str(headers.get("retry-after", "")).isdigit():
            asked = float(headers["retry-after"])
        if asked is not None:
            return min(asked, LONGEST_WAIT)
    return FIRST_WAIT * 2.0 ** (attempt - 1)


class _Redacting(logging.Filter):
    """Takes signed addresses and tokens out of `huggingface_hub`'s warnings."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), None
        return True


@contextmanager
def patient_client(patience: float = PATIENCE, tries: int = 1) -> Iterator[None]:
    """Have `huggingface_hub` wait for an answer no longer than this, and keep secrets out of its warnings.

    For a process of ours: the client is the whole process's, and is put back to the default afterwards.

    Args:
        patience: longest silence of the Hub (seconds).
        tries: times that a question (GET) is sent at most; what changes something is sent once.
    """
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory, hf_request_event_hook

    class AskingAgain(httpx2.HTTPTransport):
        """Sends a question again while the failure may pass."""

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            for attempt in range(1, tries + 1):
                last = attempt == tries or request.method != "GET"
                try:
                    response = super().handle_request(request)
                    if last or response.status_code not in PASSING:
                        return response
                    response.close()
                except httpx2.TransportError as error:
                    if last or not is_passing(error):
                        raise
                time.sleep(min(FIRST_WAIT * 2.0 ** (attempt - 1), _LONGEST_OWN_WAIT))
            raise AssertionError("unreachable")

    def made() -> httpx2.Client:
        if tries == 1:
            client = default_client_factory()
        else:
            hooks = {"request": [hf_request_event_hook]}
            client = httpx2.Client(event_hooks=hooks, follow_redirects=True, transport=AskingAgain())
        client.timeout = httpx2.Timeout(patience)
        return client

    # `hf_xet` reads it when the first upload begins; its own is longer than anybody waits.
    ours = _XET_PATIENCE not in os.environ
    if ours:
        os.environ[_XET_PATIENCE] = f"{patience:.0f}s"
    logger, only = logging.getLogger("huggingface_hub.utils._http"), _Redacting()
    set_client_factory(made)
    logger.addFilter(only)
    try:
        yield
    finally:
        if ours:
            os.environ.pop(_XET_PATIENCE, None)
        logger.removeFilter(only)
        set_client_factory(default_client_factory)
