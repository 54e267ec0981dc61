"""Which function answers which address.

A function is registered with ``@route("POST", "/api/{kind}/{namespace}/{name}/tag/{revision}")`` and gets the Hub, the
request, and what stands for the names in braces. One name stands for one part of the path, decoded; ``{path*}`` for all
the rest. An address that begins with a repository gets the repository itself instead of the three names, or is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from deepwriting.hub.local.messages import Request, Response, StatusError
from deepwriting.hub.local.store import KINDS, Store

Answer = Callable[..., Response]


class Route(NamedTuple):
    """An address and who answers it."""

    method: str
    pattern: re.Pattern[str]
    answer: Answer


ROUTES: list[Route] = []
_KIND_OF = {folder: kind for kind, folder in KINDS.items()}


def route(method: str, address: str) -> Callable[[Answer], Answer]:
    """Register a function for an address; see the module's description."""
    pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", address)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)

    def register(answer: Answer) -> Answer:
        ROUTES.append(Route(method, re.compile(pattern), answer))
        return answer

    return register


def dispatch(store: Store, request: Request) -> Response:
    """The answer to a request.

    Raises:
        StatusError: if there is none, or the request is refused.
    """
    # A HEAD is a GET whose body is not sent.
    method = "GET" if request.method == "HEAD" else request.method
    path = request.path
    if path.split("/")[1] not in ("api", "large", "-", "buckets", *_KIND_OF):
        # The address of a model begins with its namespace.
        path = "/models" + path
    for candidate in ROUTES:
        if candidate.method == method and (found := candidate.pattern.fullmatch(path)):
            values: dict[str, Any] = {key: unquote(value) for key, value in found.groupdict().items()}
            if "kind" in values:
                if values["kind"] not in _KIND_OF:
                    continue
                values["repository"] = store.find(
                    _KIND_OF[values.pop("kind")], values.pop("namespace"), values.pop("name"), request.token
                )
            return candidate.answer(store, request, **values)
    raise StatusError(404, f"a local Hub has no {request.method} {request.path}")
