from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.errors import SourceError
from deepwriting.sources import SOURCE_KINDS, PairReader, Pairs, base
from deepwriting.sources.base import raw_json


def pairs(path: Path, **options: object) -> Pairs:
    return Pairs(str(path), name="own", license="CC0-1.0", **options)  # type: ignore[arg-type]


def reasons(docs: list[Document]) -> list[str]:
    return [doc.metadata.get("reject", "pair") for doc in docs]


def write(path: Path, *lines: bytes | dict[str, object]) -> Path:
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines) + b"\n"
    )
    return path


GOOD: dict[str, object] = {"id": "a", "query": "Write a haiku.", "answer": "Rain on the tin roof."}


def test_bad_lines_are_counted_one_by_one_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        GOOD,
        b'{"query": "cut',
        b"[1, 2]",
        b"\x00\x00",
        b'{"query": "caf\xe9", "answer": "x"}',
        b'{"query": "\\ud800", "answer": "x"}',
        b"[" * 5000,
        b"",
        GOOD | {"id": "b"},
    )
    docs = list(pairs(path).run())
    assert reasons(docs) == [
        "pair",
        "malformed_json",
        "not_an_object",
        "malformed_json",
        "wrong_encoding",
        "malformed_json",
        "malformed_json",
        "pair",
    ]
    assert docs[1].id == "own/a.jsonl:2"
    assert docs[1].text == '{"query": "cut'
    assert docs[-1].id == "own/b"


def test_a_truncated_archive_is_one_reject_and_later_files_are_read(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps(GOOD | {"id": n}).encode() + b"\n" for n in range(3000)))
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) - 20])
    write(tmp_path / "b.jsonl", GOOD)
    docs = list(pairs(tmp_path).run())
    found = reasons(docs)
    assert found.count("truncated_file") == 1
    assert set(found) == {"pair", "truncated_file"}
    assert found.count("pair") > 2000
    assert docs[-1].id == "own/a"


def test_a_giant_line_is_a_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepwriting.sources.files.MAX_LINE_BYTES", 200)
    monkeypatch.setattr(base, "MAX_LINE_BYTES", 200)
    docs = list(pairs(write(tmp_path / "a.jsonl", GOOD | {"answer": "x" * 500}, GOOD)).run())
    assert reasons(docs) == ["giant_record", "pair"]


def test_parquet_rows_and_their_bad_cells(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"\xff\xfea")]
    )
    answers = pa.chunked_array([pa.array(["one", None]), broken])
    queries = pa.chunked_array([pa.array(["q", "q", "q"])])
    pq.write_table(pa.table({"query": queries, "answer": answers}), tmp_path / "a.parquet")
    docs = list(pairs(tmp_path).run())
    assert reasons(docs) == ["pair", "empty_answer", "wrong_encoding"]
    assert docs[2].id == "own/a.parquet:3"


def test_damaged_parquet_files_and_row_groups_are_one_reject_each(tmp_path: Path) -> None:
    table = pa.table({"query": [f"q{n}" for n in range(300)], "answer": [f"answer {n}" for n in range(300)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100, compression="zstd")
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    with pq.ParquetFile(tmp_path / "a.parquet") as whole:
        start = whole.metadata.row_group(1).column(1).data_page_offset
    data[start : start + 60] = b"\xff" * 60
    (tmp_path / "a.parquet").write_bytes(bytes(data))
    (tmp_path / "b.parquet").write_bytes(bytes(data[:500]))
    (tmp_path / "c.parquet").write_bytes(b"")
    docs = list(pairs(tmp_path).run())
    bad = [doc for doc in docs if "reject" in doc.metadata]
    assert [doc.metadata["reject"] for doc in bad] == ["damaged_rows", "truncated_file", "truncated_file"]
    assert "100 rows from here" in bad[0].metadata["reject_detail"]
    assert len(docs) - len(bad) == 200
    assert docs[-3].id == "own/a.parquet:300"


def test_limit_counts_candidates_with_rejects_and_stops_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, b"{", GOOD, GOOD)
    assert reasons(list(pairs(path, limit=3).run())) == ["pair", "malformed_json", "pair"]
    assert list(pairs(path, limit=0).run()) == []
    reader = pairs(path, limit=2)
    list(reader.run())
    assert reader.stats.stats["candidates"].total == 2
    assert reader.stats.stats["rejected_malformed_json"].total == 1


def test_tasks_share_the_files_without_overlap(tmp_path: Path) -> None:
    for n in range(5):
        write(tmp_path / f"{n}.jsonl", GOOD | {"id": f"id{n}"})
    ids = [doc.id for rank in range(3) for doc in pairs(tmp_path).run(rank=rank, world_size=3)]
    assert sorted(ids) == [f"own/id{n}" for n in range(5)]


def test_documents_of_earlier_steps_pass(tmp_path: Path) -> None:
    earlier = Document(text="t", id="earlier")
    docs = list(pairs(write(tmp_path / "a.jsonl", GOOD)).run([earlier]))
    assert [doc.id for doc in docs] == ["earlier", "own/a"]


def test_a_file_that_cannot_be_opened_stops_the_task(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", GOOD)
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"'gone\.jsonl' cannot be read"):
        list(pairs(tmp_path).run())


def test_metadata_is_complete_and_provenance_is_sorted_json(tmp_path: Path) -> None:
    doc = Pairs(str(tmp_path), name="s", license="L").pair("x", "y", "1", b="ü", a=1, c=None)
    assert doc.metadata == {
        "query": "x",
        "source": "s",
        "source_id": "1",
        "license": "L",
        "provenance": '{"a": 1, "b": "ü"}',
    }


def test_raw_records_are_valid_json_whatever_they_hold() -> None:
    deep: list[object] = []
    for _ in range(2000):
        deep = [deep]
    record = {"when": datetime.datetime(2020, 1, 1), "bytes": b"\xff", "deep": deep, "big": 10**30, "nan": float("nan")}
    parsed = json.loads(raw_json(record))
    assert parsed["when"] == "2020-01-01T00:00:00"
    assert parsed["deep"] == "<list>"
    assert list(parsed) == list(record)


SAMPLES = sorted(SOURCE_KINDS)


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_kind_reads_its_bundled_sample_from_plain_settings(kind: str) -> None:
    docs = list(SOURCE_KINDS[kind](f"samples://{kind}", name=kind, license="CC0-1.0").run())
    good = [doc for doc in docs if "reject" not in doc.metadata]
    assert len(good) >= 3
    for doc in good:
        assert doc.text.strip()
        assert (doc.metadata["query"] is None) == (kind == "gutenberg")
        assert isinstance(json.loads(doc.metadata["provenance"]), dict)
    assert len({doc.id for doc in docs}) == len(docs)


def test_kinds_and_public_names_agree() -> None:
    import deepwriting.sources as package

    assert all(issubclass(reader, PairReader) for reader in SOURCE_KINDS.values())
    assert {reader.__name__ for reader in SOURCE_KINDS.values()} | {"PairReader", "SOURCE_KINDS"} == set(
        package.__all__
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.sampled_from(
        ["user", "assistant", "English", "t3_a", "[removed]", "CHAPTER I", "[ WP ] ``", "en", "1e5", "２"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["role", "content", "toxic", "redacted", "language"]), inner, max_size=5)
    ),
    max_leaves=10,
)
COLUMNS = [
    "id",
    "query",
    "answer",
    "title",
    "body",
    "score",
    "link_id",
    "parent_id",
    "author",
    "over_18",
    "prompt",
    "story",
    "text",
    "TEXT",
    "METADATA",
    "conversation",
    "messages",
    "language",
    "toxic",
    "redacted",
    "turn",
    "stickied",
    "permalink",
    "subreddit",
    "conversation_hash",
    "solution",
    "thinking",
    "extra_info",
]


@pytest.mark.parametrize("kind", SAMPLES)
@given(records=st.lists(st.dictionaries(st.sampled_from(COLUMNS), VALUES, max_size=14), min_size=1, max_size=5))
def test_no_record_makes_a_reader_raise_and_none_is_lost(
    kind: str, tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("dirty")
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    (folder / "RC_comments.jsonl").write_bytes(lines)
    (folder / "RS.jsonl").write_bytes(
        b'{"id": "a", "title": "[WP] A hat."}\n' if kind == "writingprompts_dump" else b"\n"
    )
    docs = list(SOURCE_KINDS[kind](str(folder), name="dirty", license="L").run())
    assert len(docs) >= len(records) if kind == "gutenberg" else len(docs) == len(records)
    for doc in docs:
        assert "reject" in doc.metadata or doc.text.strip()
        json.dumps(doc.metadata)
