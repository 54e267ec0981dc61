"""HTTP: reads requests, has them answered, sends responses."""

from __future__ import annotations

import logging
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import parse_qs

# Importing these registers their routes.
from deepwriting.hub.local import api_control, api_files, api_repos, api_uploads  # noqa: F401
from deepwriting.hub.local.faults import CUTS, EXPIRED
from deepwriting.hub.local.messages import Refusal, Request, Response
from deepwriting.hub.local.routes import dispatch
from deepwriting.hub.local.store import Store

LOOPBACK = "127.0.0.1"
#: Addresses of this Hub's own, to which no fault happens and which are not logged.
_CONTROL = "/-/"
#: How long an idle connection is kept (seconds).
_IDLE = 60
#: A file is sent in pieces of this size (bytes).
_PIECE = 1 << 18

log = logging.getLogger(__name__)


class LocalHub:
    """A Hub that answers in threads of its own.

    Args:
        folder: where repositories are kept; made if it does not exist.
        host: address to listen on.
        port: port to listen on, 0 for any free one.
        user: name of the user, where the folder is new.
        namespaces: organisations in whose names the user may write too.
        testing: whether it can be told to fail, and keeps a log of requests.

    Example:
        >>> with LocalHub(Path("hub-data")).running() as hub:
        ...     print(hub.endpoint, hub.store.tokens.of_role("write"))
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        user: str = "local",
        namespaces: tuple[str, ...] = (),
        testing: bool = False,
    ):
        self.store = Store(folder, user, namespaces, testing=testing)
        self._server = _Server((host, port), self.store)

    @property
    def endpoint(self) -> str:
        """What clients need to know, for ``HF_ENDPOINT``."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def serve(self) -> None:
        """Answer until interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self._server.server_close()

    @contextmanager
    def running(self) -> Iterator[LocalHub]:
        """Answer in the background while the block runs."""
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Clients open several connections at once.
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], store: Store):
        super().__init__(address, _Handler)
        self.store = store

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's error; anything else is one of this server."""
        if isinstance(sys.exception(), (OSError, _Cut)):
            log.debug("connection with %s ended early", client_address, exc_info=True)
        else:
            super().handle_error(request, client_address)


class _Cut(Exception):
    """The connection shall end now."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "deepwriting-hub"
    timeout = _IDLE
    wbufsize = -1
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        store = cast(_Server, self.server).store
        path, _, query = self.path.partition("?")
        line: dict[str, Any] = {}
        started = time.monotonic()
        body = _Body(self.rfile, self.headers.get("Content-Length"), self.headers.get("Transfer-Encoding"))
        fault = None
        try:
            secret = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            token = store.tokens.find(secret)
            if not path.startswith(_CONTROL):
                line, fault = store.faults.begin(self.command, self.path, token.user if token else None)
            if fault and fault.kind == "cut":
                raise _Cut
            if fault and fault.kind == "slow":
                time.sleep(fault.seconds)
            request = Request(
                self.command,
                path,
                parse_qs(query),
                {key.lower(): value for key, value in self.headers.items()},
                token,
                cast("IO[bytes]", body),
                f"http://{self.headers.get('Host', LOOPBACK)}",
            )
            try:
                if fault:
                    fault.refuse()
                if secret and token is None:
                    raise Refusal(401, "Invalid credentials in Authorization header")
                if token and token.role == "expired":
                    raise Refusal(401, EXPIRED)
                response = dispatch(store, request)
            except Refusal as refusal:
                response = refusal.response()
            except (KeyError, TypeError, ValueError) as error:
                log.info("%s %s cannot be read", self.command, self.path, exc_info=True)
                response = Refusal(400, f"the request cannot be read: {error!r}").response()
            line["status"] = response.status
            body.drain()
            if fault and fault.kind == "cut-after":
                raise _Cut
            self._send(response, half=bool(fault and fault.kind == "cut-half"))
        except _Cut:
            line["status"] = None
            self._cut()
        finally:
            line["seconds"] = round(time.monotonic() - started, 4)
            line["received"] = body.received

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer

    def _send(self, response: Response, *, half: bool) -> None:
        self.send_response(response.status)
        for key, value in response.headers.items():
            self.send_header(key, value.encode("utf-8").decode("latin-1"))
        self.send_header("Content-Length", str(response.size))
        self.end_headers()
        left = response.size // 2 if half else response.size
        if self.command != "HEAD":
            if response.file is None:
                self.wfile.write(response.body[:left])
            else:
                with response.file.open("rb") as file:
                    file.seek(response.start)
                    _copy(file, self.wfile, left)
        self.wfile.flush()
        if half:
            raise _Cut

    def _cut(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("the client was faster")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests go to the log of this module, not to the terminal."""
        log.info(format, *args)


class _Body:
    """The body of a request, which ends where the request does.

    Args:
        source: the connection.
        length: the header Content-Length.
        coding: the header Transfer-Encoding; only ``chunked`` is known.
    """

    def __init__(self, source: Any, length: str | None, coding: str | None):
        self._source = source
        self._left = int(length or 0)
        self._chunked = (coding or "").lower() == "chunked"
        self.received = 0

    def read(self, size: int = -1) -> bytes:
        """At most that many bytes, all for -1, none at the end."""
        pieces = []
        while size != 0:
            if self._chunked and self._left == 0 and not self._next_chunk():
                break
            wanted = self._left if size < 0 else min(size, self._left)
            if wanted == 0:
                break
            piece = self._source.read(wanted)
            if not piece:
                raise _Cut
            self._left -= len(piece)
            self.received += len(piece)
            size -= len(piece) if size > 0 else 0
            pieces.append(piece)
            if self._chunked and self._left == 0:
                self._source.readline()
        return b"".join(pieces)

    def _next_chunk(self) -> bool:
        self._left = int(self._source.readline().split(b";")[0] or b"0", 16)
        if self._left == 0:
            self._chunked = False
            self._source.readline()
        return self._left > 0

    def drain(self) -> None:
        """Read what nobody wanted, so that the next request begins where it should."""
        while self.read(_PIECE):
            pass


def _copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    if length > 0:
        shutil.copyfileobj(_Limited(source, length), target, _PIECE)  # type: ignore[misc]


class _Limited:
    """The first bytes of what is left of a file."""

    def __init__(self, source: IO[bytes], length: int):
        self._source, self._left = source, length

    def read(self, size: int) -> bytes:
        """At most that many bytes, none at the end."""
        piece = self._source.read(min(size, self._left))
        self._left -= len(piece)
        return piece


__all__ = ["CUTS", "LOOPBACK", "LocalHub"]
