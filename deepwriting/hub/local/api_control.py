"""What only this Hub has: how many bytes it stores; and, where it was started for testing, faults and the log."""

from __future__ import annotations

from dataclasses import asdict

from deepwriting.hub.local.messages import Request, Response, StatusError
from deepwriting.hub.local.routes import route
from deepwriting.hub.local.store import Store


@route("GET", "/-/stored")
def stored(store: Store, request: Request) -> Response:
    """Bytes on disk: ``git``, ``large``, ``xet`` and their ``total``."""
    del request
    found = store.stored()
    return Response.json({**asdict(found), "total": found.total})


@route("POST", "/-/faults")
def add_fault(store: Store, request: Request) -> Response:
    """Let a fault wait."""
    _require_testing(store)
    try:
        store.faults.add(**request.json())
    except (TypeError, ValueError) as error:
        raise StatusError(400, str(error)) from None
    return Response.json(store.faults.waiting())


@route("GET", "/-/requests")
def requests(store: Store, request: Request) -> Response:
    """Every request so far."""
    del request
    _require_testing(store)
    return Response.json(store.faults.log())


@route("POST", "/-/forget")
def forget(store: Store, request: Request) -> Response:
    """Forget faults and requests, and with ``{"repositories": true}`` delete everything too."""
    _require_testing(store)
    store.faults.clear()
    if request.json().get("repositories"):
        store.clear()
    return Response.json({})


def _require_testing(store: Store) -> None:
    if not store.testing:
        raise StatusError(404, "this Hub was not started for testing")
