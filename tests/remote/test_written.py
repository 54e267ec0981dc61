from __future__ import annotations

import os
import threading
from pathlib import Path

import pyarrow as pa

from deepwriting.files import write_json
from deepwriting.remote.written import written_below
from deepwriting.select.tables import TableWriter, database, save


def test_what_is_written_and_nothing_else(tmp_path: Path) -> None:
    inside = tmp_path / "run"
    (inside / "old").mkdir(parents=True)
    (inside / "old" / "read.txt").write_text("old")
    with written_below(inside) as found:
        (inside / "old" / "read.txt").read_text()
        (tmp_path / "beside.txt").write_text("not in the folder")
        (inside / "new.txt").write_text("new")
        with (inside / "old" / "more.txt").open("ab") as file:
            file.write(b"more")
        os.close(os.open(inside / "low.bin", os.O_CREAT | os.O_WRONLY))
        write_json(inside / "deep" / "note.json", {})
        thread = threading.Thread(target=(inside / "thread.txt").write_text, args=("from a thread",))
        thread.start()
        thread.join()
    (inside / "later.txt").write_text("later")
    whole = {path for path in found if not Path(path).name.startswith(".")}
    assert whole == {"new.txt", "old/more.txt", "low.bin", "deep/note.json", "thread.txt"}


def test_tables_that_libraries_write(tmp_path: Path) -> None:
    with written_below(tmp_path) as found:
        with TableWriter(tmp_path / "arrow.parquet", pa.schema([("a", pa.int64())])) as table:
            table.add(1)
        with database(tmp_path / "scratch") as connection:
            save(connection, "SELECT 1 AS a", tmp_path / "duck.parquet")
    assert {"arrow.parquet", "duck.parquet"} <= found


def test_relative_paths(tmp_path: Path) -> None:
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        with written_below(tmp_path) as found:
            Path("here.txt").write_text("x")
    finally:
        os.chdir(before)
    assert found == {"here.txt"}
