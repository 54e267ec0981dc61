"""Signed addresses of large files, since clients send no token to where those are kept.

On the Hub that is another machine. Here it is the same server under its other name, ``localhost`` for ``127.0.0.1`` and
the reverse: to a client that is another origin, so it takes the same way as on the Hub.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from urllib.parse import quote

from deepwriting.hub.local.messages import Request, StatusError
from deepwriting.hub.local.repository import Repository

#: How long an address is good for (seconds).
LIFETIME = 3600
_OTHER_NAME = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}


class Links:
    """Makes and checks signed addresses; those of another life of the server are not good any more."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def make(self, request: Request, repository: Repository, sha256: str, use: str) -> str:
        """The address of a large file.

        Args:
            request: where the client found the server.
            repository: whose file it is.
            sha256: hash of its contents.
            use: ``upload`` or ``download``.
        """
        scheme, _, host = request.origin.partition("://")
        name, colon, port = host.partition(":")
        path = f"/large/{use}/{repository.kind}/{quote(repository.name)}/{sha256}"
        expires = str(int(time.time()) + LIFETIME)
        signature = self._sign(path, expires)
        return f"{scheme}://{_OTHER_NAME.get(name, name)}{colon}{port}{path}?expires={expires}&signature={signature}"

    def check(self, request: Request) -> None:
        """See that an address was made here and is still good.

        Raises:
            StatusError: if not.
        """
        expires = (request.query.get("expires") or ["0"])[-1]
        signature = (request.query.get("signature") or [""])[-1]
        if not hmac.compare_digest(signature.encode(), self._sign(request.path, expires).encode()):
            raise StatusError(403, "the address of the large file was not made by this server")
        if int(expires) < time.time():
            raise StatusError(403, "the address of the large file has expired")

    def _sign(self, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{path}?{expires}".encode(), hashlib.sha256).hexdigest()
