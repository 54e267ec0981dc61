"""What every source reader shares: reading raw records tolerantly, and turning the bad ones into rejects.

A source reader knows its native layout and nothing else. It is a datatrove reader whose ``candidates`` yields one
``Document`` for each candidate pair, and a rejected document for each record that is not one. It never raises for a
bad record and never swallows one.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any, ClassVar, TypeAlias

import orjson
from datatrove.data import Document
from datatrove.io import DataFolder
from datatrove.pipeline.base import PipelineStep

from deepwriting.errors import SourceError
from deepwriting.schema import REJECT
from deepwriting.sources.fields import MAX_DETAIL_CHARS, RecordError
from deepwriting.sources.files import MAX_LINE_BYTES, DamagedFileError, find_files, read_lines
from deepwriting.steps import rejected_record

#: Rows of a Parquet file held in memory at once.
_PARQUET_BATCH = 256
#: ``json.dumps`` with options makes an encoder in every call.
_SORTED_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True)

#: A raw record, or the rejected document that stands for one that cannot be read.
Record: TypeAlias = "dict[str, Any] | Document"


class PairReader(PipelineStep):
    """Base class of all source readers.

    Args:
        path: a file, a folder or a glob; local, ``hf://…`` or any fsspec address; ``samples://NAME`` is a bundled
            sample.
        name: the source's name in the recipe; becomes the ``source`` column.
        license: licence under which the source offers its texts.
        limit: at most this many candidates per task, rejected ones included; ``None`` for all.

    Raises:
        SourceError: when running, if no file is found at ``path`` or one cannot be read at all.
    """

    type = "📖 - SOURCE"
    #: Endings that the layout's files have, without compression suffix.
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson", ".parquet")
    #: Whether a line that cannot be parsed may stand in the rejects: not where it may hold personal data.
    keeps_raw_lines: ClassVar[bool] = True
    #: Columns that are read of a Parquet file, where it has any of them; ``None`` for all.
    columns: ClassVar[frozenset[str] | None] = None

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
            files: all files of the source, sorted; a reader whose files are independent takes
                ``files[rank::world_size]``.
            rank: this task's index.
            world_size: number of tasks.
        """

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Pass on what came before, then yield this source's candidates for this task."""
        if data:
            yield from data
        folder, files = find_files(self.path, self.suffixes)
        left = self.limit
        if left is not None and left <= 0:
            return
        # Closing runs the generators' clean-up at once when the limit ends the reading inside a file.
        with ExitStack() as stack:
            documents = self.candidates(folder, files, rank, world_size)
            if isinstance(documents, Generator):
                stack.enter_context(closing(documents))
            for doc in documents:
                reason = doc.metadata.get(REJECT)
                self.stat_update("candidates", f"rejected_{reason}" if reason else "pairs")
                yield doc
                if left is not None:
                    left -= 1
                    if left == 0:
                        return

    def pair(self, query: str | None, answer: str, source_id: str, **provenance: Any) -> Document:
        """A candidate pair.

        Args:
            query: the query x; ``None`` when a model has to write it from the answer (books).
            answer: the solution y.
            source_id: id inside the source.
            **provenance: further facts about the origin; must be JSON values. Those that are ``None`` are left out.
        """
        known = {key: value for key, value in provenance.items() if value is not None}
        metadata = {
            "query": query,
            "source": self.source,
            "source_id": source_id,
            "license": self.license,
            "provenance": _SORTED_JSON.encode(known),
        }
        return Document(text=answer, id=f"{self.source}/{source_id}", metadata=metadata)

    def bad(self, source_id: str, raw: str | bytes, reason: str, detail: str = "") -> Document:
        """A rejected document for a record that is not a pair."""
        text = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else raw
        return rejected_record(self.source, source_id, text, reason, detail[:MAX_DETAIL_CHARS])

    def bad_record(self, source_id: str, record: Mapping[str, Any], reason: str, detail: str = "") -> Document:
        """A rejected document for a parsed record; its text is the record's public part as JSON."""
        return self.bad(source_id, raw_json(self.public(record)), reason, detail)

    def public(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part of a raw record that may be written to the rejects; readers of personal data override it."""
        return record

    def checked(self, location: str, record: Record, read: Callable[[str, dict[str, Any]], Document]) -> Document:
        """Turn one raw record into a pair, or into a reject when ``read`` raises ``RecordError``.

        Args:
            location: where the record stands, ``file:number``.
            record: what ``records`` gave; a document is passed on.
            read: makes the pair from location and record.
        """
        if isinstance(record, Document):
            return record
        try:
            return read(location, record)
        except RecordError as problem:
            return self.bad_record(location, record, problem.reason, problem.detail)

    def records(self, folder: DataFolder, file: str) -> Iterator[tuple[str, Record]]:
        """Yield ``(location, record)`` for each line of an ndjson file or row of a Parquet file.

        A line that is not a JSON object, a wrong encoding and a truncated archive come as rejected documents in
        place of the record.

        Args:
            folder: the folder that ``file`` is relative to.
            file: the file.

        Raises:
            SourceError: if the file cannot be opened or the disk or network fails.
        """
        try:
            if file.endswith(".parquet"):
                yield from self._parquet_records(folder, file)
            else:
                yield from self._line_records(folder, file)
        except DamagedFileError as error:
            # The records before the damage have been yielded; the damage itself is one counted reject.
            yield f"{file}:end", self.bad(f"{file}:end", "", "truncated_file", str(error))
        except OSError as error:
            raise SourceError(f"source file {file!r} cannot be read: {error}") from error

    def _line_records(self, folder: DataFolder, file: str) -> Iterator[tuple[str, Record]]:
        for number, line in enumerate(read_lines(folder, file), start=1):
            location = f"{file}:{number}"
            if line.strip():
                yield location, self._parse(location, line)

    def _parse(self, location: str, line: bytes) -> Record:
        kept = line if self.keeps_raw_lines else b""
        if len(line) > MAX_LINE_BYTES:
            return self.bad(location, kept[:1000], "giant_record", f"more than {MAX_LINE_BYTES} bytes in one line")
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as wrong:
                return self.bad(location, kept, "wrong_encoding", str(wrong))
            return self.bad(location, kept, "malformed_json", str(error))
        if not isinstance(record, dict):
            return self.bad(location, kept, "not_an_object", f"found {type(record).__name__}")
        return record

    def _parquet_records(self, folder: DataFolder, file: str) -> Iterator[tuple[str, Record]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with folder.open(file, "rb") as handle:
            try:
                table = pq.ParquetFile(handle)
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and error.errno:
                    raise
                raise DamagedFileError(f"{file} is not a whole Parquet file: {error}") from error
            names = [name for name in table.schema_arrow.names if self.columns is None or name in self.columns]
            number = 0
            with table:
                for group in range(table.num_row_groups):
                    rows = table.metadata.row_group(group).num_rows
                    seen = 0
                    try:
                        for batch in table.iter_batches(_PARQUET_BATCH, row_groups=[group], columns=names or None):
                            for index in range(batch.num_rows):
                                seen += 1
                                location = f"{file}:{number + seen}"
                                yield location, self._parquet_row(location, batch.slice(index, 1))
                    except (pa.ArrowException, OSError) as error:
                        if isinstance(error, OSError) and error.errno:
                            raise  # the disk failed, not the data
                        where = f"{file}:{number + seen + 1}"
                        detail = f"{rows - seen} rows from here cannot be read: {error}"
                        yield where, self.bad(where, "", "damaged_rows", detail)
                    number += rows

    def _parquet_row(self, location: str, row: Any) -> Record:
        try:
            record: dict[str, Any] = row.to_pylist()[0]
        except UnicodeDecodeError as error:
            return self.bad(location, "", "wrong_encoding", str(error))
        except (ValueError, OverflowError) as error:  # dates that Python cannot express
            return self.bad(location, "", "wrong_type", str(error))
        return record


def raw_json(record: Mapping[str, Any]) -> str:
    """A raw record as JSON for the rejects, column by column: a value that JSON cannot hold is named by its type."""
    parts = []
    for key, value in record.items():
        try:
            text = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except (orjson.JSONEncodeError, ValueError, RecursionError):
            text = json.dumps(f"<{type(value).__name__}>")
        parts.append(f"{_SORTED_JSON.encode(str(key))}: {text}")
    return "{" + ", ".join(parts) + "}"
