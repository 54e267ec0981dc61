"""Reading the queries of benchmarks: JSON lines, JSON, Parquet, CSV or plain text, from wherever they are kept.

Benchmark data is never part of this project: a recipe says where it is. Unlike a source, a benchmark that can only be
read in part is an error: what is missing from it would pass unnoticed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import xxhash
from datatrove.io import DataFolder

from deepwriting.errors import SourceError
from deepwriting.sections.decontaminate import BenchmarkSection
from deepwriting.sources.files import COMPRESSIONS, DamagedFileError, find_files, open_bytes

#: Endings that are taken from a folder.
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".txt")
#: Known layouts: columns that tell one from the others, and those that hold queries.
LAYOUTS: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {
    "LongBench-Write": (frozenset({"prompt", "type", "length"}), ("prompt",)),
    # The request around a topic is the same for a whole task: the bare topic is what a pair would share.
    "HelloBench": (frozenset({"instruction", "checklists", "raw_text"}), ("instruction", "raw_text")),
    "WritingBench": (frozenset({"query", "domain1", "checklist"}), ("query",)),
}
_ID_COLUMNS = ("id", "index")
_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class BenchmarkQuery:
    """One query of a benchmark.

    Attributes:
        benchmark: the benchmark's name in the recipe.
        row: which row it is: its own id or index, or its number from 1.
        text: the query.
    """

    benchmark: str
    row: str
    text: str


def benchmark_files(benchmark: BenchmarkSection) -> tuple[DataFolder, list[str]]:
    """The files of a benchmark.

    Raises:
        SourceError: if there are none.
    """
    try:
        return find_files(benchmark.path, SUFFIXES)
    except SourceError as error:
        raise SourceError(f"benchmark {benchmark.name!r}: {error}") from None
    except OSError as error:
        raise SourceError(f"benchmark {benchmark.name!r}: path {benchmark.path!r} cannot be read: {error}") from error


def benchmark_digest(benchmark: BenchmarkSection) -> str:
    """A hash of the files' names and contents; ``missing`` if they are not there.

    It stands in a stage's settings, so that another version of a benchmark is noticed.
    """
    digest = xxhash.xxh3_128()
    try:
        folder, files = benchmark_files(benchmark)
        for file in files:
            digest.update(file.encode() + b"\0")
            with folder.open(file, "rb") as handle:
                while chunk := handle.read(_CHUNK_BYTES):
                    digest.update(chunk)
    except (SourceError, OSError):
        return "missing"
    return digest.hexdigest()


def read_benchmark(benchmark: BenchmarkSection) -> Iterator[BenchmarkQuery]:
    """Yield the queries of a benchmark; a row with several columns gives one each.

    Raises:
        SourceError: if a file is missing, damaged or in an unknown layout, or if no query is found.
    """
    folder, files = benchmark_files(benchmark)
    found = False
    for file in files:
        where = f"benchmark {benchmark.name!r}: {file}"
        try:
            for number, record in enumerate(_records(folder, file), start=1):
                row = next((str(record[key]) for key in _ID_COLUMNS if record.get(key) is not None), str(number))
                for column in _columns(record, benchmark.columns, where):
                    text = record.get(column)
                    if text is None:
                        continue
                    if not isinstance(text, str):
                        raise SourceError(f"{where}, row {number}: {column} is {type(text).__name__}, not text")
                    if text.strip():
                        found = True
                        yield BenchmarkQuery(benchmark.name, row, text)
        except (DamagedFileError, OSError, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(f"{where} cannot be read: {error}") from error
    if not found:
        raise SourceError(f"benchmark {benchmark.name!r}: no query found in {benchmark.path!r}")


def _columns(record: Mapping[str, Any], wanted: Sequence[str] | None, where: str) -> Sequence[str]:
    if wanted is not None:
        if not any(column in record for column in wanted):
            raise SourceError(f"{where} has none of the columns {', '.join(wanted)}; it has {', '.join(record)}")
        return wanted
    for marks, columns in LAYOUTS.values():
        if marks <= record.keys():
            return columns
    if record.keys() == {_TEXT}:
        return (_TEXT,)
    raise SourceError(
        f"{where} is in none of the layouts {', '.join(LAYOUTS)}; name the columns with queries in `columns`; "
        f"it has {', '.join(map(str, record))}"
    )


#: Column of a plain text's lines.
_TEXT = "text"


def _records(folder: DataFolder, file: str) -> Iterator[dict[str, Any]]:
    """Rows of a table, or a plain text's lines."""
    base = next((file.removesuffix(ending) for ending in COMPRESSIONS if file.endswith(ending)), file)
    if base.endswith(".parquet"):
        import pyarrow.parquet as pq

        with folder.open(file, "rb") as raw:
            for batch in pq.ParquetFile(raw).iter_batches(batch_size=1_000):
                yield from batch.to_pylist()
        return
    with open_bytes(folder, file) as handle:
        text = handle.read().decode("utf-8-sig")
    if base.endswith(".json"):
        yield from _objects(orjson.loads(text))
    elif base.endswith((".csv", ".tsv")):
        yield from csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if base.endswith(".tsv") else ",")
    else:
        as_json = base.endswith((".jsonl", ".ndjson"))
        for line in text.split("\n"):  # not splitlines: JSON texts hold other separators unescaped
            if line.strip():
                yield from _objects([orjson.loads(line)]) if as_json else [{_TEXT: line.strip()}]


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """The rows of a JSON document: a list of objects, also below the only key of an object that holds a list."""
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        value = lists[0] if len(lists) == 1 else [value]
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("not a list of JSON objects")
    yield from value
