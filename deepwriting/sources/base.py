"""What every source reader shares: finding files, tolerant line reading, and turning bad records into rejects.

A source reader knows its native layout and nothing else. It is a datatrove reader whose ``candidates`` yields one
``Document`` for each candidate pair, and a rejected document for each record that is not one. It never raises for a
bad record and never swallows one.
"""

from __future__ import annotations

import io
import json
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import orjson
from datatrove.data import Document
from datatrove.io import DataFolder, get_datafolder
from datatrove.pipeline.base import PipelineStep

from deepwriting.errors import SourceError
from deepwriting.samples import resolve_samples
from deepwriting.steps import rejected_record

#: A single line longer than this many bytes is not a record but an accident (a giant text, a binary file).
MAX_LINE_BYTES = 64 * 2**20
#: Longest zstd window that Reddit dumps use (bytes).
ZSTD_WINDOW = 2**31


class PairReader(PipelineStep):
    """Base class of all source readers.

    Args:
        path: a file, a folder or a glob; local, ``hf://…`` or any fsspec address; ``samples://NAME`` is a bundled sample.
        name: the source's name in the recipe; becomes the ``source`` column.
        license: licence under which the source offers its texts.
        limit: at most this many candidates per task; ``None`` for all.

    Raises:
        SourceError: when running, if no file is found at ``path``.
    """

    type = "📖 - SOURCE"
    #: Endings that the layout's files have, without compression suffix.
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)

    def __init__(self, path: str, *, name: str, license: str, limit: int | None = None):  # noqa: A002
        super().__init__()
        self.path = path
        self.source = name
        self.license = license
        self.limit = limit

    @abstractmethod
    def candidates(self, folder: DataFolder, files: list[str], rank: int, world_size: int) -> Iterator[Document]:
        """Yield a document for each candidate pair in ``files``, rejected ones included.

        Args:
            folder: the folder that ``files`` are relative to.
            files: all files of the source, sorted; a reader whose files are independent takes ``files[rank::world_size]``.
            rank: this task's index.
            world_size: number of tasks.
        """

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Pass on what came before, then yield this source's candidates for this task."""
        if data:
            yield from data
        folder, files = find_files(self.path, self.suffixes)
        for index, doc in enumerate(self.candidates(folder, files, rank, world_size)):
            if self.limit is not None and index >= self.limit:
                return
            self.stat_update("candidates")
            yield doc

    def pair(self, query: str | None, answer: str, source_id: str, **provenance: Any) -> Document:
        """A candidate pair.

        Args:
            query: the query x; ``None`` when a model has to write it from the answer (books).
            answer: the solution y.
            source_id: id inside the source.
            **provenance: further facts about the origin; must be JSON values.
        """
        metadata = {
            "query": query,
            "source": self.source,
            "source_id": source_id,
            "license": self.license,
            "provenance": json.dumps(provenance, ensure_ascii=False, sort_keys=True),
        }
        return Document(text=answer, id=f"{self.source}/{source_id}", metadata=metadata)

    def bad(self, source_id: str, raw: str | bytes, reason: str, detail: str = "") -> Document:
        """A rejected document for a record that is not a pair."""
        text = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else raw
        return rejected_record(self.source, source_id, text, reason, detail)

    def records(self, folder: DataFolder, file: str) -> Iterator[tuple[str, dict[str, Any] | Document]]:
        """Yield ``(location, record)`` for each line of an ndjson file or row of a Parquet file.

        A line that is not a JSON object, a wrong encoding and a truncated archive come as rejected documents in
        place of the record.
        """
        if file.endswith(".parquet"):
            yield from self._parquet_records(folder, file)
            return
        try:
            for number, line in enumerate(read_lines(folder, file), start=1):
                location = f"{file}:{number}"
                if not line.strip():
                    continue
                yield location, self._parse(location, line)
        except (EOFError, OSError, ValueError, zstd_error()) as error:
            # The rows before the damage have been yielded; the damage itself is one counted reject.
            yield f"{file}:end", self.bad(f"{file}:end", "", "truncated_file", f"{type(error).__name__}: {error}")

    def _parse(self, location: str, line: bytes) -> dict[str, Any] | Document:
        if len(line) > MAX_LINE_BYTES:
            return self.bad(location, line[:1000], "giant_record", f"{len(line)} bytes in one line")
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as wrong:
                return self.bad(location, line, "wrong_encoding", str(wrong))
            return self.bad(location, line, "malformed_json", str(error))
        if not isinstance(record, dict):
            return self.bad(location, line, "not_an_object", f"found {type(record).__name__}")
        return record

    def _parquet_records(self, folder: DataFolder, file: str) -> Iterator[tuple[str, dict[str, Any] | Document]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        number = 0
        try:
            with folder.open(file, "rb") as handle, pq.ParquetFile(handle) as table:
                for batch in table.iter_batches(batch_size=256):
                    for record in batch.to_pylist():
                        number += 1
                        yield f"{file}:{number}", record
        except (pa.ArrowException, OSError, EOFError) as error:
            yield f"{file}:end", self.bad(f"{file}:end", "", "truncated_file", f"{type(error).__name__}: {error}")


def zstd_error() -> type[Exception]:
    """The exception that zstandard raises on damaged data."""
    import zstandard

    error: type[Exception] = zstandard.ZstdError
    return error


def find_files(path: str, suffixes: tuple[str, ...]) -> tuple[DataFolder, list[str]]:
    """The folder behind a source's path, and its files in the native layout, sorted.

    Args:
        path: a file, a folder or a glob on any fsspec file system, or ``samples://NAME``.
        suffixes: endings to take from a folder; ``.zst``, ``.gz`` and ``.bz2`` may follow them.

    Raises:
        SourceError: if nothing is there, or nothing has one of the endings.
    """
    path = resolve_samples(path)
    head, _, tail = path.rpartition("/")
    if any(mark in tail for mark in "*?["):
        folder = get_datafolder(head or ".")
        files = folder.list_files(glob_pattern=tail) if folder.exists("") else []
    else:
        folder = get_datafolder(path)
        if folder.isfile(""):
            folder, files = get_datafolder(head or "."), [tail]
        elif folder.isdir(""):
            endings = tuple(s + c for s in suffixes for c in ("", ".zst", ".gz", ".bz2"))
            files = [file for file in folder.list_files() if file.endswith(endings)]
        else:
            raise SourceError(f"source path {path!r} does not exist")
    if not files:
        raise SourceError(f"source path {path!r} holds no file ending in {', '.join(suffixes)}")
    return folder, files


def read_bytes(folder: DataFolder, file: str) -> io.BufferedIOBase:
    """Open a file for reading, decompressing .zst (any window length), .gz and .bz2 by its ending."""
    if file.endswith(".zst"):
        import zstandard

        raw = folder.open(file, "rb")
        reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).stream_reader(
            raw, read_across_frames=True, closefd=True
        )
        return io.BufferedReader(reader)
    opened: io.BufferedIOBase = folder.open(file, "rb", compression="infer")
    return opened


def read_lines(folder: DataFolder, file: str) -> Iterator[bytes]:
    """Yield a file's lines as bytes, without the newline and without a byte-order mark."""
    with read_bytes(folder, file) as handle:
        for number, line in enumerate(handle):
            if number == 0 and line.startswith(b"\xef\xbb\xbf"):
                line = line[3:]
            yield line.rstrip(b"\r\n")
