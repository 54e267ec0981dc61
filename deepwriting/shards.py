"""Reading a stage's shards: gzip-compressed JSON lines as datatrove writes them. Whoever reads them does it here.

They are decompressed by ISA-L (``isal``), which fsspec takes for writing them too: with Python's own gzip, most of the
time of the stages that only sort rows would be spent on compression.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from deepwriting.errors import DamagedStageError


def shard_files(folder: Path) -> list[Path]:
    """The shards in a folder, in order."""
    return sorted(folder.glob("*.jsonl.gz"))


def shard_lines(file: Path, raw: BinaryIO | None = None) -> Iterator[bytes]:
    """The rows of a shard, unread; an empty file holds none.

    Args:
        file: the shard.
        raw: the open file, for who wants to see how far it has been read.

    Raises:
        DamagedStageError: if the file cannot be read, is cut off or is no gzip file. Lines before the damage have been
            given out by then, but for those that were decompressed together with it.
    """
    from isal import igzip, isal_zlib

    # The package's own types call its error an instance.
    damage: Any = (EOFError, igzip.BadGzipFile, isal_zlib.error, zlib.error)
    number = 0
    try:
        with igzip.open(raw or file, "rb") as lines:
            for line in lines:
                number += 1
                yield line
    except damage as error:
        raise DamagedStageError(f"{file} is damaged after line {number} ({error})") from error
    except OSError as error:
        raise DamagedStageError(f"{file} cannot be read: {error}") from error


def read_shard(file: Path) -> Iterator[dict[str, Any]]:
    """The documents of a shard: ``text``, ``id``, ``metadata``.

    Raises:
        DamagedStageError: if the file is damaged, or a line is no JSON.
    """
    for number, line in enumerate(shard_lines(file), start=1):
        if line.strip():
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise DamagedStageError(f"{file}, line {number}: not JSON ({error})") from error
            yield document
