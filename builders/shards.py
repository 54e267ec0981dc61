"""Reading annotated shards: gzip-compressed JSON lines in datatrove's layout, and all of them in order of row id."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import orjson
import zstandard

from deepwriting.builders.tables import document_row_id
from deepwriting.errors import BuildError, DamagedStageError
from deepwriting.shards import shard_lines

#: File names of shards inside a stage's folder. Sub-folders are not searched: ``rejects/`` lies in one.
SHARD_PATTERN = "*.jsonl.gz"
#: zstd level of the spool; it is written once and read a few times, so speed matters more than size.
SPOOL_LEVEL = 1


def find_shards(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """Shard files to read.

    Args:
        source: a folder that holds ``*.jsonl.gz`` files, or a list of such files.

    Returns:
        The files, sorted by path.

    Raises:
        BuildError: if there is no shard, or a file that was named does not exist.
    """
    if isinstance(source, (str, Path)):
        folder = Path(source)
        if not folder.is_dir():
            raise BuildError(f"no folder of shards at {folder}")
        found = sorted(folder.glob(SHARD_PATTERN))
        if not found:
            raise BuildError(f"no shard in {folder}: expected files named {SHARD_PATTERN}")
        return found
    files = sorted(Path(file) for file in source)
    if not files:
        raise BuildError("no shard to build from: the list of files is empty")
    for file in files:
        if not file.is_file():
            raise BuildError(f"no shard at {file}")
    return files


def read_shard(path: Path) -> Iterator[dict[str, Any]]:
    """Documents of one shard, in file order.

    Args:
        path: a gzip file of JSON lines.

    Yields:
        Dictionaries with ``text``, ``id`` and ``metadata``.

    Raises:
        BuildError: if the file is damaged or a line is not a document; the message names the line.
    """
    try:
        for number, line in enumerate(shard_lines(path), start=1):
            if not line.strip():
                continue
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise BuildError(f"{path}, line {number}: not valid JSON ({error})") from error
            if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
                raise BuildError(f"{path}, line {number}: not a document with text, id and metadata")
            yield document
    except DamagedStageError as error:
        raise BuildError(str(error)) from error


class SortedDocuments:
    """Documents of many shards in order of row id, as often as needed, without holding them in memory.

    The documents are spooled once into a temporary file; only row ids and offsets stay in memory. Use it as a context
    manager: leaving it frees the file.

        with SortedDocuments(find_shards("runs/demo/annotate")) as documents:
            for document in documents: ...
    """

    def __init__(self, shards: Iterable[str | Path], folder: Path | None = None) -> None:
        """Spool the shards.

        Args:
            shards: files to read.
            folder: where the temporary file goes; None means the system's temporary folder.

        Raises:
            BuildError: if a shard is damaged, a document lacks a row id, or two documents have the same one.
        """
        self._index: list[tuple[str, int, int]] = []
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()
        try:
            self._spool(shards)
        except BaseException:
            self.close()
            raise

    def _spool(self, shards: Iterable[str | Path]) -> None:
        compressor = zstandard.ZstdCompressor(level=SPOOL_LEVEL)
        offset = 0
        for shard in shards:
            for document in read_shard(Path(shard)):
                block = compressor.compress(orjson.dumps(document))
                self._file.write(block)
                self._index.append((document_row_id(document), offset, len(block)))
                offset += len(block)
        self._index.sort()
        for (first, *_), (second, *_) in zip(self._index, self._index[1:], strict=False):
            if first == second:
                raise BuildError(f"row id {first} occurs more than once in the shards; every row id must be unique")

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        decompressor = zstandard.ZstdDecompressor()
        for _, offset, length in self._index:
            self._file.seek(offset)
            document: dict[str, Any] = orjson.loads(decompressor.decompress(self._file.read(length)))
            yield document

    def close(self) -> None:
        """Free the temporary file; the documents can no longer be read."""
        self._file.close()

    def __enter__(self) -> SortedDocuments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
