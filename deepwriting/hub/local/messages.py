"""A request, a response, and a refused with the Hub's own error codes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

from deepwriting.hub.local.tokens import Token

#: Largest body that is read into memory (bytes): a commit with every file that git holds.
_MAX_BODY = 1 << 30
#: A file is read in pieces of this size (bytes).
_PIECE = 1 << 18


class StatusError(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        message: for people; clients show it.
        code: what clients tell errors apart by: RepoNotFound, RevisionNotFound, EntryNotFound.
        headers: more headers of the response.
    """

    def __init__(self, status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, dict(headers or {})

    def response(self) -> Response:
        """What is sent."""
        headers = {"X-Error-Message": self.message.replace("\n", " "), **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return Response.json({"error": self.message}, self.status, headers)


@dataclass
class Request:
    """A request.

    Attributes:
        method: GET, HEAD, POST, PUT or DELETE.
        path: the address without its query, still percent-encoded.
        query: what follows the question mark.
        headers: by name in lower case.
        token: who asks; None for anybody.
        unknown_token: whether the client sent one that is not known.
        body: where the body is read from, to its end.
        origin: scheme, host and port as the client wrote them.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    token: Token | None
    unknown_token: bool
    body: IO[bytes]
    origin: str

    def flag(self, name: str) -> bool:
        """Whether the query says yes to something."""
        return self.query.get(name, [""])[-1].lower() in ("1", "true", "yes")

    def read(self) -> bytes:
        """The whole body."""
        contents = self.body.read(_MAX_BODY + 1)
        if len(contents) > _MAX_BODY:
            raise StatusError(413, f"a body may have {_MAX_BODY} bytes")
        return contents

    def json(self) -> dict[str, Any]:
        """The body, a JSON object.

        Raises:
            StatusError: if it is none.
        """
        try:
            value = json.loads(self.read() or b"{}")
        except ValueError as error:
            raise StatusError(400, f"the body is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise StatusError(400, "the body is not a JSON object")
        return value

    def fields(self) -> dict[str, list[str]]:
        """The body, a form or JSON, as lists of text by name."""
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return parse_qs(self.read().decode())
        return {
            key: [str(item) for item in (value if isinstance(value, list) else [value])]
            for key, value in self.json().items()
        }


@dataclass
class Response:
    """A response.

    Attributes:
        status: HTTP status.
        headers: without Content-Length, which is added.
        body: what is sent.
        pieces: what is sent instead, piece by piece.
        length: how much that is (bytes).
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: Iterator[bytes] | None = None
    length: int = 0

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """A response that a program reads."""
        return cls(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())

    @property
    def size(self) -> int:
        """Bytes of what is sent."""
        return len(self.body) if self.pieces is None else self.length


def part_of(request: Request, size: int) -> tuple[int, int, dict[str, str], int]:
    """Which part of something the client wants: start, length, headers, status.

    Args:
        request: may have a ``Range`` header.
        size: bytes of the whole.

    Raises:
        StatusError: if the part lies outside.
    """
    wanted = request.headers.get("range", "")
    first, dash, last = wanted.removeprefix("bytes=").partition("-")
    if not wanted.startswith("bytes=") or not dash or "," in wanted or not (first + last).isdigit():
        return 0, size, {"Accept-Ranges": "bytes"}, 200
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    else:
        start, end = max(size - int(last), 0), size - 1
    if start > end:
        raise StatusError(416, f"bytes {wanted} of {size}", headers={"Content-Range": f"bytes */{size}"})
    headers = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{end}/{size}"}
    return start, end - start + 1, headers, 206


def read_pieces(file: Path, start: int, length: int) -> Iterator[bytes]:
    """A part of a file, in pieces.

    Args:
        file: which.
        start: offset of its first byte.
        length: how many bytes.
    """
    with file.open("rb") as opened:
        opened.seek(start)
        while length > 0 and (piece := opened.read(min(length, _PIECE))):
            length -= len(piece)
            yield piece
