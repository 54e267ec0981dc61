from __future__ import annotations

from pathlib import Path

import pytest

from deepwriting.select.shards import RELEASED, shards_of_task


@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_shards_keep_their_numbers_whoever_reads_them(tmp_path: Path, tasks: int) -> None:
    for name in ("source/00000", "source/00003", "source/00004", "released/00002"):
        path = tmp_path / f"{name}.jsonl.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    found = [
        (number, file.name[:5])
        for rank in range(tasks)
        for number, file in shards_of_task(tmp_path / "source", tmp_path / "released", rank, tasks)
    ]
    assert sorted(found) == [(0, "00000"), (1, "00003"), (2, "00004"), (RELEASED + 2, "00002")]
    assert [number for number, _ in shards_of_task(tmp_path / "source", None, 0, 1)] == [0, 1, 2]
    assert list(shards_of_task(tmp_path / "source", tmp_path / "nowhere", 4, 5)) == []
