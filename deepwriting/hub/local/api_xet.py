"""Where ``hf_xet`` finds the store of pieces: a folder of this machine."""

from __future__ import annotations

import time

from deepwriting.hub.local.api_repos import writable
from deepwriting.hub.local.messages import Request, Response
from deepwriting.hub.local.repository import Repository
from deepwriting.hub.local.routes import route
from deepwriting.hub.local.store import Store

#: How long a client may use an answer (seconds).
_LIFETIME = 3600


@route("GET", "/api/{kind}/{namespace}/{name}/xet-write-token/{revision}")
def write_token(store: Store, request: Request, repository: Repository, revision: str) -> Response:
    """Where to store large files in pieces."""
    writable(store, request, repository)
    return read_token(store, request, repository, revision)


@route("GET", "/api/{kind}/{namespace}/{name}/xet-read-token/{revision}")
def read_token(store: Store, request: Request, repository: Repository, revision: str) -> Response:
    """Where to read large files in pieces."""
    del request, repository, revision
    return where(store)


def where(store: Store) -> Response:
    """The answer to somebody who may use the store of pieces."""
    url, until = f"local://{store.folder.resolve()}", int(time.time()) + _LIFETIME
    # The folder asks for no token, but clients refuse an answer without one.
    headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": "local", "X-Xet-Token-Expiration": str(until)}
    return Response.json({"casUrl": url, "accessToken": "local", "exp": until}, headers=headers)
