"""Pairs of request and answer in plain tables, under any column names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datatrove.data import Document
from datatrove.io import DataFolder

from deepwriting.sources.base import PairReader
from deepwriting.sources.fields import RecordError, identifier, require, text_field


class Pairs(PairReader):
    """Rows with a query and an answer (JSON lines or Parquet).

    Args:
        path: a file, a folder or a glob.
        name: the source's name.
        license: licence of the texts.
        limit: at most this many candidates per task.
        query_column: column of the query x.
        answer_column: column of the solution y.
        id_column: column of the row's own id; a row without one is named by its place.
        license_column: column whose text replaces ``license`` for a row; where it is null or blank ``license`` holds.
    """

    def __init__(
        self,
        path: str,
        *,
        name: str,
        license: str,  # noqa: A002
        limit: int | None = None,
        query_column: str = "query",
        answer_column: str = "answer",
        id_column: str = "id",
        license_column: str | None = None,
    ):
        super().__init__(path, name=name, license=license, limit=limit)
        self.query_column = query_column
        self.answer_column = answer_column
        self.id_column = id_column
        self.license_column = license_column

    def candidates(self, folder: DataFolder, files: list[str], rank: int, world_size: int) -> Iterator[Document]:
        """Yield one document for each row."""
        for file in files[rank::world_size]:
            for location, record in self.records(folder, file):
                yield self.checked(location, record, self._read)

    def _read(self, location: str, record: dict[str, Any]) -> Document:
        columns = [self.query_column, self.answer_column]
        if self.license_column is not None:
            columns.append(self.license_column)
        require(record, *columns)
        query = text_field(record, self.query_column, empty="empty_query")
        answer = text_field(record, self.answer_column, empty="empty_answer")
        doc = self.pair(query, answer, identifier(record, self.id_column) or location)
        own = record[self.license_column] if self.license_column is not None else None
        if own is not None and not isinstance(own, str):
            raise RecordError("wrong_type", f"{self.license_column} is {type(own).__name__}, not text")
        if own and own.strip():
            doc.metadata["license"] = own.strip()
        return doc
