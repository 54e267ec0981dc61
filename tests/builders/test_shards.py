from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.builders.shards import SortedDocuments, find_shards, read_shard
from deepwriting.errors import BuildError


def test_documents_come_source_by_source_as_often_as_asked(
    tmp_path: Path, document: Callable[..., Any], shards: Callable[..., Path]
) -> None:
    """Odd numbers are of source ``lanterns``, even ones of ``letters``; ``s9`` stands before ``s11``."""
    documents = [document(n) for n in range(30)]
    expected = documents[1::2] + documents[0::2]
    random.Random(3).shuffle(documents)
    folder = shards(tmp_path / "in", documents, shards=3)
    with SortedDocuments(find_shards(folder), folder=tmp_path) as found:
        assert len(found) == 30
        assert list(found) == expected
        assert list(found) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_two_documents_with_one_row_id_are_refused(
    tmp_path: Path, document: Callable[..., Any], shards: Callable[..., Path]
) -> None:
    folder = shards(tmp_path, [document(1), document(2), document(1)])
    with pytest.raises(BuildError, match=r"row id dw-\w+-0 occurs more than once"):
        SortedDocuments(find_shards(folder))


def test_rejects_beside_the_shards_are_not_read(
    tmp_path: Path, document: Callable[..., Any], shards: Callable[..., Path]
) -> None:
    shards(tmp_path, [document(1)], shards=1)
    shards(tmp_path / "rejects", [document(2)], shards=1)
    assert [path.parent for path in find_shards(tmp_path)] == [tmp_path]


def test_missing_shards_are_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no folder of shards at"):
        find_shards(tmp_path / "nowhere")
    with pytest.raises(BuildError, match=r"expected files named \*.jsonl.gz"):
        find_shards(tmp_path)
    with pytest.raises(BuildError, match="list of files is empty"):
        find_shards([])
    with pytest.raises(BuildError, match=r"no shard at .*gone\.jsonl\.gz"):
        find_shards([tmp_path / "gone.jsonl.gz"])


def test_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "0.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "y", "metadata": {}}\n\n{"text": \n'))
    with pytest.raises(BuildError, match="line 3: not valid JSON"):
        list(read_shard(path))
    path.write_bytes(gzip.compress(b"[1, 2]\n"))
    with pytest.raises(BuildError, match="line 1: not a document"):
        list(read_shard(path))


def test_truncated_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "0.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "y", "metadata": {}}\n' * 200)[:-12])
    with pytest.raises(BuildError, match="is damaged after line"):
        list(read_shard(path))
    path.write_bytes(b"plain text")
    with pytest.raises(BuildError, match="is damaged after line"):
        list(read_shard(path))


def test_datatrove_output_is_readable(tmp_path: Path, document: Callable[..., Any]) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.writers import JsonlWriter

    doc = document(4)
    with JsonlWriter(str(tmp_path)) as writer:
        writer.write(Document(text=doc["text"], id=doc["id"], metadata=doc["metadata"]), rank=0)
    (path,) = find_shards(tmp_path)
    assert list(read_shard(path)) == [doc]
