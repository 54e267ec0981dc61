"""Large files that came in pieces: reading the store that ``hf_xet`` writes.

A client with ``hf_xet`` cuts a file into chunks where its contents say so and stores only those that are new, which is
what makes a second version of a dataset cheap. Told that the service is at ``local:///DATA``, it writes to a folder:

    DATA/xet/xorbs/xorbs/default.HASH      a block of compressed chunks
    DATA/xet/xorbs/shards/HASH.mdb         which chunks of which blocks make up which file
    DATA/xet/…                             an index and the client's own caches

The client then commits a file by its SHA-256. This module finds that in the shards, and reads the chunks for clients
without ``hf_xet`` and for those that want a part of a file. The formats are described in
https://github.com/huggingface/xet-core/tree/main/spec (shard.md, xorb.md).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Length of every record of a shard (bytes), and of a shard's header.
_RECORD = 48
_HAS_VERIFICATION, _HAS_METADATA = 1 << 31, 1 << 30
#: The hash that ends a section of a shard.
_END = b"\xff" * 32
#: Length of a chunk's header (bytes).
_CHUNK_HEADER = 8
#: How a chunk is compressed: not, LZ4, LZ4 after every fourth byte was put together.
_PLAIN, _LZ4, _GROUPED_LZ4 = 0, 1, 2


@dataclass(frozen=True)
class _Term:
    """Some chunks of a block, one after the other, that make up a part of a file."""

    block: str
    size: int
    first: int
    end: int


@dataclass(frozen=True)
class XetFile:
    """A file in pieces.

    Attributes:
        hash: its name in the store, which clients ask for.
        size: its bytes.
    """

    hash: str
    size: int
    terms: tuple[_Term, ...]


class XetStore:
    """The files of a store.

    Args:
        folder: what clients are told, ``DATA`` above.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._read: set[str] = set()
        self._files: dict[str, XetFile] = {}
        self._by_hash: dict[str, XetFile] = {}

    @property
    def _base(self) -> Path:
        return self.folder / "xet" / "xorbs"

    def forget(self) -> None:
        """Forget what was read: the folder has been cleared."""
        with self._lock:
            self._read.clear()
            self._files.clear()
            self._by_hash.clear()

    def stored(self) -> int:
        """Bytes of blocks and shards: what a service would keep."""
        files = [*(self._base / "xorbs").glob("default.*"), *(self._base / "shards").glob("*.mdb")]
        return sum(file.stat().st_size for file in files if file.suffix != ".tagset")

    def find(self, sha256: str) -> XetFile | None:
        """The file whose contents have that hash."""
        with self._lock:
            if sha256 not in self._files:
                self._read_new()
            return self._files.get(sha256)

    def by_hash(self, name: str) -> XetFile | None:
        """The file of that name in the store; clients that write to a bucket tell no SHA-256."""
        with self._lock:
            if name not in self._by_hash:
                self._read_new()
            return self._by_hash.get(name)

    def _read_new(self) -> None:
        for shard in (self._base / "shards").glob("*.mdb"):
            if shard.name not in self._read:
                for file, sha256 in read_files(shard.read_bytes()):
                    self._by_hash[file.hash] = file
                    if sha256 is not None:
                        self._files[sha256] = file
                self._read.add(shard.name)

    def read(self, file: XetFile, start: int, length: int) -> Iterator[bytes]:
        """A part of a file, in pieces.

        Args:
            file: which.
            start: offset of its first byte.
            length: how many bytes.
        """
        end, offset = start + length, 0
        for term in file.terms:
            if offset < end and offset + term.size > start:
                here = offset
                for chunk in self._chunks(term):
                    piece = chunk[max(start - here, 0) : max(end - here, 0)]
                    if piece:
                        yield piece
                    here += len(chunk)
            offset += term.size

    def _chunks(self, term: _Term) -> Iterator[bytes]:
        with (self._base / "xorbs" / f"default.{term.block}").open("rb") as block:
            for index in range(term.end):
                header = block.read(_CHUNK_HEADER)
                packed, size = int.from_bytes(header[1:4], "little"), int.from_bytes(header[5:8], "little")
                if index < term.first:
                    block.seek(packed, 1)
                else:
                    yield unpack(block.read(packed), header[4], size)


def unpack(packed: bytes, way: int, size: int) -> bytes:
    """A chunk as it was.

    Args:
        packed: what is stored.
        way: how it is compressed.
        size: bytes of the chunk.

    Raises:
        ValueError: if the way is unknown.
    """
    if way == _PLAIN:
        return packed
    if way not in (_LZ4, _GROUPED_LZ4):
        raise ValueError(f"a chunk is compressed in the unknown way {way}")
    import pyarrow as pa

    raw = bytes(pa.decompress(packed, decompressed_size=size, codec="lz4", asbytes=True))
    if way == _LZ4:
        return raw
    whole, position = bytearray(size), 0
    for group in range(4):
        share = len(range(group, size, 4))
        whole[group::4] = raw[position : position + share]
        position += share
    return bytes(whole)


def read_shard(contents: bytes) -> dict[str, XetFile]:
    """Files that a shard describes, by the SHA-256 of their contents.

    Raises:
        ValueError: if the shard ends too early.
    """
    return {sha256: file for file, sha256 in read_files(contents) if sha256 is not None}


def read_files(contents: bytes) -> list[tuple[XetFile, str | None]]:
    """Files that a shard describes, each with the SHA-256 of its contents if that was told.

    Raises:
        ValueError: if the shard ends too early.
    """
    try:
        return _read_files(contents)
    except struct.error:
        raise ValueError(f"a shard of {len(contents)} bytes ends in the middle of a file") from None


def _read_files(contents: bytes) -> list[tuple[XetFile, str | None]]:
    files: list[tuple[XetFile, str | None]] = []
    position = _RECORD
    while contents[position : position + 32] != _END:
        name = contents[position : position + 32]
        flags, count = struct.unpack_from("<II", contents, position + 32)
        position += _RECORD
        terms = []
        for _ in range(count):
            _, size, first, end = struct.unpack_from("<IIII", contents, position + 32)
            terms.append(_Term(hash_text(contents[position : position + 32]), size, first, end))
            position += _RECORD
        position += _RECORD * count if flags & _HAS_VERIFICATION else 0
        sha256 = None
        if flags & _HAS_METADATA:
            sha256 = hash_text(contents[position : position + 32])
            position += _RECORD
        files.append((XetFile(hash_text(name), sum(term.size for term in terms), tuple(terms)), sha256))
    return files


def hash_text(stored: bytes) -> str:
    """A hash as people write it: the store keeps it as four little-endian numbers."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", stored))
