"""Reading annotated shards: gzip-compressed JSON lines in datatrove's layout, and all of them in the release's order.

A release holds its rows source by source, inside a source by their ids there (numbers in them count as numbers), then
by row id. What comes into being together, such as a new month of a dump or a source that is searched anew, therefore
lies together, and the next version costs few bytes on a Hub that stores files in pieces. In order of row ids, which are
hashes, 200 new rows among 20,000 would lie in as many pieces: nearly all of them (benchmarks/release_bytes.py).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import orjson
import zstandard

from deepwriting.builders.tables import document_row_id
from deepwriting.errors import BuildError, DamagedStageError, SchemaError
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


@dataclass(frozen=True, slots=True)
class Facts:
    """What is remembered of a document, to decide which tables it belongs to.

    Attributes:
        order: where the row stands in a release: its source, its place there, its id.
        row_id: the row's id.
        keep: whether the default config holds it.
        domain: domain of its category.
        tokens: length of its thinking (tokens of the scorer).
    """

    order: tuple[str, str, str]
    row_id: str
    keep: bool
    domain: str
    tokens: int

    @classmethod
    def of(cls, document: dict[str, Any]) -> Facts:
        """The facts of a document; wrong values are refused where its row is made, not here."""
        from deepwriting.select.facts import natural

        metadata, row = document["metadata"], document_row_id(document)
        domain, tokens = metadata.get("domain"), metadata.get("thinking_tokens_after")
        return cls(
            (sys.intern(str(metadata.get("source"))), natural(str(metadata.get("source_id"))), row),
            row,
            metadata.get("keep") is True,
            sys.intern(domain) if isinstance(domain, str) else "",
            tokens if isinstance(tokens, int) else 0,
        )


class SortedDocuments:
    """Documents of many shards in the release's order, as often as needed, without holding them in memory.

    The documents are spooled once into a temporary file; only a few facts about each stay in memory. Use it as a
    context manager: leaving it frees the file.

        with SortedDocuments(find_shards("runs/demo/annotate")) as documents:
            for document in documents: ...

    Attributes:
        facts: facts about each document, in the documents' order.
    """

    def __init__(self, shards: Iterable[str | Path], folder: Path | None = None) -> None:
        """Spool the shards.

        Args:
            shards: files to read.
            folder: where the temporary file goes; None means the system's temporary folder.

        Raises:
            BuildError: if a shard is damaged.
            SchemaError: if a document lacks a row id, or two documents have the same one.
        """
        self.facts: list[Facts] = []
        self._blocks: list[tuple[int, int]] = []
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()
        try:
            self._spool(shards)
        except BaseException:
            self.close()
            raise

    def _spool(self, shards: Iterable[str | Path]) -> None:
        compressor = zstandard.ZstdCompressor(level=SPOOL_LEVEL)
        found: list[tuple[Facts, int, int]] = []
        offset = 0
        for shard in shards:
            for document in read_shard(Path(shard)):
                block = compressor.compress(orjson.dumps(document))
                self._file.write(block)
                found.append((Facts.of(document), offset, len(block)))
                offset += len(block)
        found.sort(key=lambda entry: entry[0].order)
        self.facts = [facts for facts, _, _ in found]
        self._blocks = [(offset, length) for _, offset, length in found]
        for first, second in pairwise(sorted(facts.row_id for facts in self.facts)):
            if first == second:
                raise SchemaError(f"row id {first} occurs more than once in the shards; every row id must be unique")

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.at(range(len(self)))

    def at(self, places: Iterable[int]) -> Iterator[dict[str, Any]]:
        """The documents at these places of the order."""
        decompressor = zstandard.ZstdDecompressor()
        for place in places:
            offset, length = self._blocks[place]
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
