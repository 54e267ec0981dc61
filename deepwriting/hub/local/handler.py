"""HTTP: reads requests, has them answered, sends responses, and lets faults happen."""

from __future__ import annotations

import logging
import socket
import time
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from typing import IO, Any, cast
from urllib.parse import parse_qs

from deepwriting.hub.local.faults import EXPIRED, Fault
from deepwriting.hub.local.messages import Request, Response, StatusError
from deepwriting.hub.local.routes import dispatch
from deepwriting.hub.local.store import Store

#: Addresses of this Hub's own, to which no fault happens and which are not logged.
_CONTROL = "/-/"
#: How long an idle connection is kept (seconds).
_IDLE = 60
#: What nobody wants is read in pieces of this size (bytes).
_PIECE = 1 << 18

log = logging.getLogger(__name__)


class CutError(Exception):
    """The connection ends now: on purpose, or because the client went away in the middle of a body."""


class Handler(BaseHTTPRequestHandler):
    """Handles the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "deepwriting-hub"
    timeout = _IDLE
    wbufsize = -1
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        store: Store = self.server.store  # type: ignore[attr-defined]
        started = time.monotonic()
        body = Body(self.rfile, self.headers.get("Content-Length"), self.headers.get("Transfer-Encoding"))
        secret = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        token = store.tokens.find(secret)
        path, _, query = self.path.partition("?")
        line: dict[str, Any] = {}
        fault = None
        if not path.startswith(_CONTROL):
            line, fault = store.faults.begin(self.command, self.path, token.user if token else None)
        request = Request(
            method=self.command,
            path=path,
            query=parse_qs(query),
            headers={key.lower(): value for key, value in self.headers.items()},
            token=token,
            unknown_token=bool(secret) and token is None,
            body=cast("IO[bytes]", body),
            origin=f"http://{self.headers.get('Host', 'localhost')}",
        )
        try:
            _happen_before(fault, body)
            response = _response(store, request, fault)
            line["status"] = response.status
            body.drain()
            self._send(response, fault)
        except CutError:
            line["status"] = None
            self._cut()
        finally:
            line["seconds"] = round(time.monotonic() - started, 4)
            line["received"] = body.received

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def _send(self, response: Response, fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        if kind == "cut-after":
            raise CutError
        self.send_response(response.status)
        for key, value in response.headers.items():
            # Headers are sent as Latin-1; what does not fit into that is sent as the bytes of UTF-8.
            self.send_header(key, value.encode().decode("latin-1"))
        self.send_header("Content-Length", str(response.size))
        self.end_headers()
        left = response.size // 2 if kind == "cut-half" else response.size
        if self.command != "HEAD":
            for piece in response.pieces or iter([response.body]):
                self.wfile.write(piece[:left])
                left -= len(piece[:left])
        self.wfile.flush()
        if kind == "cut-half":
            raise CutError

    def _cut(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("the client ended the connection first")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Requests go to the log of this module, not to the terminal."""
        log.info(format, *args)


def _happen_before(fault: Fault | None, body: Body) -> None:
    """Let happen what happens before anything is done.

    Raises:
        CutError: if the connection ends.
    """
    if fault is None:
        return
    if fault.kind == "slow":
        time.sleep(fault.seconds)
    if fault.kind == "cut-body":
        body.read(max(body.announced // 2, 1))
    if fault.kind in ("cut", "cut-body"):
        raise CutError


def _response(store: Store, request: Request, fault: Fault | None) -> Response:
    """The answer to a request, be it that it is refused."""
    try:
        if fault:
            fault.refuse()
        _check_token(request)
        return dispatch(store, request)
    except StatusError as refused:
        return refused.response()
    except (ConnectionError, TimeoutError):
        raise
    except (KeyError, TypeError, ValueError) as error:
        log.info("%s %s cannot be read", request.method, request.path, exc_info=True)
        return StatusError(400, f"the request cannot be read: {error!r}").response()
    except OSError as error:
        log.exception("%s %s", request.method, request.path)
        return StatusError(500, f"the Hub's own folder gives trouble: {error}").response()


def _check_token(request: Request) -> None:
    if request.unknown_token:
        raise StatusError(401, "Invalid credentials in Authorization header")
    if request.token and request.token.role == "expired":
        raise StatusError(401, EXPIRED)


class Body:
    """The body of a request, which ends where the request does.

    Args:
        source: the connection.
        length: the header Content-Length.
        coding: the header Transfer-Encoding; only ``chunked`` is known.

    Attributes:
        announced: bytes of the body as announced, 0 for a chunked one.
        received: bytes read so far.
    """

    def __init__(self, source: BufferedIOBase, length: str | None, coding: str | None):
        self._source = source
        self._chunked = (coding or "").lower() == "chunked"
        self.announced = int(length) if length and length.isdigit() and not self._chunked else 0
        self._left = self.announced
        self.received = 0

    def read(self, size: int = -1) -> bytes:
        """At most that many bytes, all for -1, none at the end.

        Raises:
            CutError: if the connection ended before the body did.
        """
        pieces = []
        while size != 0:
            if self._chunked and self._left == 0 and not self._next_chunk():
                break
            wanted = self._left if size < 0 else min(size, self._left)
            if wanted == 0:
                break
            piece = self._source.read(wanted)
            if not piece:
                raise CutError
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
