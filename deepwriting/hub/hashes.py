"""Columns of Parquet files as one hash a row: two tables are compared without a text of either in memory.

A column is read alone, some thousand rows at a time, and eight bytes of every value stay. So comparing needs memory for
the number of rows, whatever their length; and a column that nobody asks for is not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwriting.builders.parquet import FileFacts
from deepwriting.errors import DamagedDatasetError

Hashes = NDArray[np.uint64]

#: Rows read at a time; a memory limit, without influence on the result.
BATCH_ROWS = 1000
#: Stands for a missing value.
_MISSING = np.uint64(0xD6E8FEB86659FD93)
#: Odd number that spreads one hash before another is added (Knuth's multiplicative hashing, 64 bits).
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Table:
    """One config of a dataset on disk.

    Attributes:
        folder: folder of the dataset.
        files: its Parquet files.
    """

    folder: Path
    files: tuple[FileFacts, ...]

    def types(self) -> dict[str, str]:
        """Column -> type as the first file has it, in order.

        Raises:
            DamagedDatasetError: if the file cannot be read.
        """
        for file in self.files:
            with opened(self.folder, file.path) as parquet:
                return {field.name: type_name(field.type) for field in parquet.schema_arrow}
        return {}

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Arrow record batches of some columns, through all files.

        Raises:
            DamagedDatasetError: if a file cannot be read.
        """
        for file in self.files:
            yield from batches(self.folder, file.path, columns)

    def hashes(self, column: str) -> Hashes:
        """One hash a row of one column, in the order of the files."""
        parts = [_hashed(batch.column(0)) for batch in self.batches([column])]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)

    def splits(self) -> Hashes:
        """One hash a row of the name of its split, from the rows that the files really hold."""
        parts = []
        for file in self.files:
            with opened(self.folder, file.path) as parquet:
                parts.append(np.full(parquet.metadata.num_rows, short_hash(file.split.encode()), dtype=np.uint64))
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)

    def values_at(self, column: str, places: Iterable[int]) -> list[Any]:
        """Values of one column at some rows, in the order of the rows."""
        wanted = sorted(places)
        found: list[Any] = []
        start = 0
        for batch in self.batches([column]) if wanted else ():
            end = start + len(batch)
            while len(found) < len(wanted) and wanted[len(found)] < end:
                found.append(batch.column(0)[wanted[len(found)] - start].as_py())
            if len(found) == len(wanted):
                break
            start = end
        return found


def type_name(kind: Any) -> str:
    """Name of an Arrow type, without the names that Parquet gives to the items of a list."""
    import pyarrow as pa

    if pa.types.is_list(kind):
        return f"list of {type_name(kind.value_type)}"
    if pa.types.is_struct(kind):
        return f"{{{', '.join(f'{field.name}: {type_name(field.type)}' for field in kind)}}}"
    return str(kind)


def opened(folder: Path, path: str) -> Any:
    """A Parquet file, opened.

    Raises:
        DamagedDatasetError: if it is missing or no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(folder / path)
    except FileNotFoundError:
        raise DamagedDatasetError(f"{path} is missing in {folder}") from None
    except (OSError, pa.ArrowException) as error:
        raise DamagedDatasetError(f"{path} in {folder} cannot be read: {first_line(error)}") from error


def batches(folder: Path, path: str, columns: Sequence[str]) -> Iterator[Any]:
    """Arrow record batches of some columns of one file.

    Raises:
        DamagedDatasetError: if the file cannot be read, or lacks a column.
    """
    import pyarrow as pa

    with opened(folder, path) as parquet:
        if missing := [name for name in columns if name not in parquet.schema_arrow.names]:
            raise DamagedDatasetError(f"{path} in {folder} has no column {missing[0]!r}")
        try:
            yield from parquet.iter_batches(batch_size=BATCH_ROWS, columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            raise DamagedDatasetError(f"{path} in {folder} cannot be read: {first_line(error)}") from error


def joined(*parts: Hashes) -> Hashes:
    """One hash of several, row by row; the order of the parts counts."""
    whole = np.zeros(len(parts[0]), dtype=np.uint64)
    for part in parts:
        whole = (whole ^ part) * _SPREAD + (whole >> np.uint64(29))
    return whole


def numbered(keys: Hashes) -> Hashes:
    """The keys with equal ones told apart: the first, second, … row of each key gets a hash of its own."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else np.empty(0, dtype=np.int64)
    if len(begins) == len(keys):
        return keys
    sizes = np.diff(np.r_[begins, len(keys)])
    numbers = np.empty(len(keys), dtype=np.uint64)
    numbers[order] = np.arange(len(keys)) - np.repeat(begins, sizes)
    return np.where(numbers == 0, keys, joined(keys, numbers))


def short_hash(value: bytes | memoryview) -> int:
    """Eight bytes that stand for some bytes."""
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little")


def _hashed(array: Any) -> Hashes:
    """One hash a value of an Arrow array; equal values of one type have equal hashes."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.cast(kind.value_type)
        kind = array.type
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
        kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        hashes = _numbers(array)
    elif pa.types.is_string(kind):
        hashes = _texts(array)
    else:
        hashes = _records(array)
    if array.null_count:
        hashes = np.where(array.is_null().to_numpy(zero_copy_only=False), _MISSING, hashes)
    return hashes


def _numbers(array: Any) -> Hashes:
    values = array.fill_null(0).to_numpy(zero_copy_only=False) if array.null_count else array.to_numpy()
    bits = np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")
    return bits.astype(np.uint64)


def _texts(array: Any) -> Hashes:
    _, offsets, data = array.buffers()
    size = len(array)
    if data is None:
        return np.full(size, short_hash(b""), dtype=np.uint64)
    ends = np.frombuffer(offsets, dtype=np.int32)[array.offset : array.offset + size + 1].tolist()
    view = memoryview(data)
    return np.fromiter((short_hash(view[a:b]) for a, b in pairwise(ends)), dtype=np.uint64, count=size)


def _records(array: Any) -> Hashes:
    import orjson

    values = (short_hash(orjson.dumps(value, default=repr)) for value in array.to_pylist())
    return np.fromiter(values, dtype=np.uint64, count=len(array))


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its kind if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
