from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from deepwriting.errors import DamagedStageError
from deepwriting.shards import read_shard, shard_files, shard_lines

LINES = b"".join(b'{"id": "%d"}\n' % number for number in range(2_000))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def test_shards_are_read_whole_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "00001.jsonl.gz").write_bytes(gzip.compress(LINES[:120]) + gzip.compress(b"\n" + LINES[120:]))
    (tmp_path / "00000.jsonl.gz").write_bytes(b"")
    empty, full = shard_files(tmp_path)
    assert list(read_shard(empty)) == []
    assert [document["id"] for document in read_shard(full)] == [str(number) for number in range(2_000)]
    assert len(list(shard_lines(full))) == 2_001


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(LINES, mtime=0)[:-12], r"a\.jsonl\.gz is damaged after line \d+"),
        (gzip.compress(LINES, mtime=0)[:-3], r"damaged after line \d+"),
        (flipped(gzip.compress(LINES, mtime=0), 40), r"damaged after line"),
        (flipped(gzip.compress(LINES, mtime=0), -6), r"damaged after line \d+ \(CRC check failed"),
        (gzip.compress(LINES, mtime=0) + b"more of another kind", r"damaged after line \d+"),
        (b"plain text that is no archive at all", r"damaged after line 0"),
        (gzip.compress(b'{"id": 1}\n\n{"id": \n', mtime=0), r"a\.jsonl\.gz, line 3: not JSON"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(content)
    with pytest.raises(DamagedStageError, match=message):
        list(read_shard(tmp_path / "a.jsonl.gz"))


def test_a_shard_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedStageError, match=r"b\.jsonl\.gz cannot be read: .*No such file"):
        list(shard_lines(tmp_path / "b.jsonl.gz"))
