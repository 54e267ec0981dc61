from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from deepwriting.select.tables import TableWriter, database, marked, parquet, rows_of_file, save

SCHEMA = pa.schema([("file", pa.int32()), ("row", pa.int32()), ("text", pa.string())])


def write(path: Path, rows: list[tuple[Any, ...]], per_group: int = 3) -> Path:
    with TableWriter(path, SCHEMA, per_group) as table:
        for values in rows:
            table.add(*values)
    return path


def test_the_rows_of_a_shard_are_found_over_groups(tmp_path: Path) -> None:
    rows = [(file, row, f"{file}.{row}") for file in (0, 2, 3) for row in range(0, 10, 2)]
    path = write(tmp_path / "t.parquet", rows)
    for file in range(5):
        assert list(rows_of_file(path, file, ["row", "text"])) == [(b, c) for a, b, c in rows if a == file]


def test_a_table_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", [(0, 0, "old")])
    with pytest.raises(pa.ArrowInvalid), TableWriter(path, SCHEMA, 1) as table:
        _add(table, (0, 0, "new"), ("no number", 0, "bad"))
    assert list(rows_of_file(path, 0, ["text"])) == [("old",)]
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


def _add(table: TableWriter, *rows: tuple[Any, ...]) -> None:
    for values in rows:
        table.add(*values)


def test_an_empty_table_can_be_read_and_queried(tmp_path: Path) -> None:
    path = write(tmp_path / "it's.parquet", [])
    assert list(rows_of_file(path, 0, ["row"])) == []
    with database(tmp_path / "scratch") as connection:
        save(connection, f"SELECT * FROM {parquet(path)}", tmp_path / "copy's.parquet")
    assert list(rows_of_file(tmp_path / "copy's.parquet", 0, ["row"])) == []


def test_documents_meet_their_marks() -> None:
    documents = [{"id": number} for number in range(4)]
    found = [(document["id"], mark) for document, mark in marked(iter(documents), iter([(1, "a"), (3, "b")]))]
    assert found == [(0, None), (1, ("a",)), (2, None), (3, ("b",))]


def test_a_connection_is_bounded_and_spills_into_its_folder(tmp_path: Path) -> None:
    with database(tmp_path / "scratch") as connection:
        found = connection.execute(
            "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
        ).fetchone()
    assert found == ("488.2 MiB", str(tmp_path / "scratch"))
