"""Tables that the phases of a stage hand to each other: Parquet files, whole or not there, and DuckDB on them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: Memory of one DuckDB connection; what does not fit goes to the work folder (DuckDB's own limit format).
MEMORY_LIMIT = "512MB"
#: Threads of one connection: DuckDB wants at least 125 MB for each.
THREADS = 2
#: What DuckDB's messages hold where the disk is full; it may use nine tenths of what was free.
_FULL = ("No space left", "File too large", "max_temp_directory_size")
#: Rows of a Parquet row group: what a reader has in memory, and the unit that it can pass over.
ROWS_PER_GROUP = 10_000


class TableWriter:
    """Writes rows to a Parquet file, which appears when it is complete. Use it as a context manager.

    Args:
        path: the file.
        schema: its columns.
        rows_per_group: rows in memory before they are written.
    """

    def __init__(self, path: Path, schema: pa.Schema, rows_per_group: int = ROWS_PER_GROUP):
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._schema, self._limit = path, schema, rows_per_group
        self._scratch = path.with_name(f".{path.name}.part")
        self._writer = pq.ParquetWriter(self._scratch, schema, compression="zstd")
        self._columns: list[list[Any]] = [[] for _ in schema]

    def add(self, *values: Any) -> None:
        """Add a row: one value for each column."""
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        if len(self._columns[0]) >= self._limit:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        arrays = [pa.array(column, field.type) for column, field in zip(self._columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._columns = [[] for _ in self._schema]

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
            self._writer.close()
            os.replace(self._scratch, self._path)
            return
        with suppress(OSError):  # closing writes once more: on a full disk, what went wrong before counts
            self._writer.close()
        self._scratch.unlink()


@contextmanager
def database(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection of bounded memory, whose tables spill to a folder.

    Args:
        scratch: a folder for what does not fit into memory; left empty.

    Raises:
        OSError: if the disk is full.
    """
    import duckdb

    scratch.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "threads": THREADS})
    try:
        connection.execute("SET temp_directory = $folder", {"folder": str(scratch)})
        connection.execute("SET enable_progress_bar = false")
        # ``ORDER BY`` numbers rows and orders files here.
        connection.execute("SET preserve_insertion_order = true")
        yield connection
    except duckdb.Error as error:
        if any(mark in str(error) for mark in _FULL):
            raise OSError(errno.ENOSPC, str(error).splitlines()[0], str(scratch)) from error
        raise
    finally:
        connection.close()


def save(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """Write a query's result as a Parquet file, which appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    connection.execute(
        f"COPY ({query}) TO '{_quoted(scratch)}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_PER_GROUP})"
    )
    os.replace(scratch, path)


def parquet(*paths: Path) -> str:
    """The Parquet files as DuckDB names them in a query."""
    return "read_parquet([" + ", ".join(f"'{_quoted(path)}'" for path in paths) + "])"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def rows_of_file(path: Path, file: int, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The rows of a table that belong to one shard; the table is ordered by its columns ``file`` and ``row``.

    Args:
        path: a Parquet file.
        file: the shard's number.
        columns: what to yield.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as table:
        place = table.schema_arrow.get_field_index("file")
        for group in range(table.num_row_groups):
            facts = table.metadata.row_group(group).column(place).statistics
            if facts is not None and facts.has_min_max and not facts.min <= file <= facts.max:
                continue
            for batch in table.iter_batches(row_groups=[group], columns=["file", *columns]):
                mine = batch.filter(pc.equal(batch.column("file"), file))
                yield from zip(*(mine.column(name).to_pylist() for name in columns), strict=True)


def marked(
    documents: Iterator[Mapping[str, Any]], marks: Iterator[tuple[Any, ...]]
) -> Iterator[tuple[Mapping[str, Any], tuple[Any, ...] | None]]:
    """A shard's documents, each with its row of a table whose first column is the row's place in the shard."""
    mark = next(marks, None)
    for row, document in enumerate(documents):
        if mark is not None and mark[0] == row:
            yield document, mark[1:]
            mark = next(marks, None)
        else:
            yield document, None
