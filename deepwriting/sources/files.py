"""Finding a source's files and reading them as lines, so that damage is told apart from a failing disk or network.

A truncated or corrupt archive is a fact about the data: it raises ``DamagedFileError`` after everything before the
damage was given out, and the reader counts one reject. A failing disk or network is not: its ``OSError`` stops the
task, because a retry may succeed and half a source must not pass for a whole one.
"""

from __future__ import annotations

import bz2
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol

from datatrove.io import DataFolder, get_datafolder

from deepwriting.errors import SourceError
from deepwriting.samples import resolve_samples

#: A single line longer than this many bytes is not a record but an accident (a binary file, a missing newline).
MAX_LINE_BYTES = 64 * 2**20
#: Longest zstd window that Reddit dumps use (bytes); the library's default refuses them.
ZSTD_WINDOW = 2**31
#: Compressed bytes decompressed at once.
_CHUNK_BYTES = 32 * 2**10
#: The first chunk, and any after one that became larger than ``_MANY_BYTES``: a file of one repeated line shrinks to a
#: ten-thousandth and must not fill the memory.
_SMALLEST_CHUNK_BYTES = 2**10
_MANY_BYTES = 8 * 2**20
#: The rest of a giant line is read in pieces of this size (bytes).
_SKIPPED_BYTES = 2**20
_UTF8_MARK = b"\xef\xbb\xbf"
_GLOB_MARKS = "*?["
#: Endings of compressed files that any source may use.
COMPRESSIONS = (".zst", ".gz", ".bz2")


class DamagedFileError(EOFError):
    """A file ends early or holds bytes that cannot be decompressed; readers turn it into one reject."""


class _Decompressor(Protocol):
    """What zlib, bz2 and zstandard decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Decompressed(io.RawIOBase):
    """The decompressed bytes of a file of one or more frames; a frame that is cut off raises instead of ending."""

    def __init__(self, raw: IO[bytes], file: str):
        super().__init__()
        self._raw = raw
        self._file = file
        self._start = _decompressor_for(file)
        self._frame = self._start()
        self._compressed = b""
        self._plain = memoryview(b"")
        self._chunk = _SMALLEST_CHUNK_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._plain:
            if not self._advance():
                return 0
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _advance(self) -> bool:
        """Decompress one more chunk; false at the proper end of the file."""
        data = self._compressed or self._raw.read(self._chunk)
        self._compressed = b""
        if self._frame.eof:
            data = data.lstrip(b"\0")  # tape and block devices pad archives with zeros
            if not data:
                return bool(self._raw_left())
            self._frame = self._start()
        if not data:
            raise DamagedFileError(f"{self._file} ends in the middle of its compressed data")
        try:
            self._plain = memoryview(self._frame.decompress(data))
        except (zlib.error, OSError, EOFError, _zstd_error()) as error:
            raise DamagedFileError(f"{self._file} cannot be decompressed: {error}") from error
        self._chunk = _SMALLEST_CHUNK_BYTES if len(self._plain) > _MANY_BYTES else min(2 * self._chunk, _CHUNK_BYTES)
        if self._frame.eof:
            self._compressed = self._frame.unused_data
        return True

    def _raw_left(self) -> bool:
        self._compressed = self._raw.read(self._chunk)
        return bool(self._compressed)


def _zstd_error() -> type[Exception]:
    import zstandard

    error: type[Exception] = zstandard.ZstdError
    return error


def _decompressor_for(file: str) -> Callable[[], _Decompressor]:
    if file.endswith(".gz"):
        return lambda: zlib.decompressobj(wbits=31)
    if file.endswith(".bz2"):
        return bz2.BZ2Decompressor

    def zstd() -> _Decompressor:
        import zstandard

        frame: _Decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
        return frame

    return zstd


def find_files(path: str, suffixes: tuple[str, ...]) -> tuple[DataFolder, list[str]]:
    """The folder behind a source's path, and its files in the native layout, sorted.

    Args:
        path: a file, a folder or a glob on any fsspec file system, or ``samples://NAME``.
        suffixes: endings to take from a folder; ``.zst``, ``.gz`` and ``.bz2`` may follow them.

    Returns:
        The folder and the files' paths relative to it. Hidden files and folders (``.cache``) are left out.

    Raises:
        SourceError: if nothing is there, or nothing has one of the endings.
    """
    path = resolve_samples(path)
    folder = get_datafolder(path)
    if folder.isfile(""):
        head, _, tail = folder.path.rpartition("/")
        return get_datafolder((head or "/", folder.fs)), [tail]
    if folder.isdir(""):
        endings = tuple(suffix + compression for suffix in suffixes for compression in ("", *COMPRESSIONS))
        files = _visible(folder.list_files())
        files = [file for file in files if file.endswith(endings)]
        if not files:
            wanted = f" ending in {', '.join(suffixes)}" if all(suffixes) else ""
            raise SourceError(f"source path {path!r} holds no file{wanted}")
        return folder, files
    parts = path.split("/")
    marked = [index for index, part in enumerate(parts) if any(mark in part for mark in _GLOB_MARKS)]
    if not marked:
        raise SourceError(f"source path {path!r} does not exist")
    base = "/".join(parts[: marked[0]]) or ("/" if path.startswith("/") else ".")
    folder = get_datafolder(base)
    files = _visible(folder.list_files(glob_pattern="/".join(parts[marked[0] :]))) if folder.isdir("") else []
    if not files:
        raise SourceError(f"no file matches the source path {path!r}")
    return folder, files


def _visible(files: list[str]) -> list[str]:
    return [file for file in files if not any(part.startswith(".") for part in file.split("/"))]


@contextmanager
def open_bytes(folder: DataFolder, file: str) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading, decompressing .zst (any window length), .gz and .bz2 by its ending.

    Raises:
        DamagedFileError: while reading, at the point where compressed data is cut off or corrupt.
    """
    with folder.open(file, "rb") as raw:
        if file.endswith(COMPRESSIONS):
            with io.BufferedReader(_Decompressed(raw, file), _CHUNK_BYTES) as handle:
                yield handle
        else:
            yield raw


def read_lines(folder: DataFolder, file: str) -> Iterator[bytes]:
    """Yield a file's lines as bytes, without the newline and without a byte-order mark.

    A line longer than ``MAX_LINE_BYTES`` comes cut to ``MAX_LINE_BYTES + 1`` bytes: the rest is skipped, never held in
    memory.

    Raises:
        DamagedFileError: where compressed data is cut off or corrupt, after the whole lines before it.
    """
    with open_bytes(folder, file) as handle:
        first = True
        while line := handle.readline(MAX_LINE_BYTES + 1):
            if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                _skip_line(handle)
            if first and line.startswith(_UTF8_MARK):
                line = line[len(_UTF8_MARK) :]
            first = False
            yield line.rstrip(b"\r\n")


def _skip_line(handle: io.BufferedIOBase) -> None:
    while rest := handle.readline(_SKIPPED_BYTES):
        if rest.endswith(b"\n"):
            return
