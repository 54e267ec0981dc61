from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepwriting.errors import SourceError
from deepwriting.sections.decontaminate import BenchmarkSection
from deepwriting.select.benchmarks import benchmark_digest, read_benchmark

SHARED = Path(os.environ.get("DEEPWRITING_SHARED", Path(__file__).resolve().parents[3] / "shared"))
REAL = SHARED / "data" / "benchmarks"
QUESTION = "Why do harbour cats sleep on coiled ropes?"


def section(path: Path | str, columns: list[str] | None = None) -> BenchmarkSection:
    return BenchmarkSection(name="own", path=str(path), columns=columns)


def texts(path: Path, columns: list[str] | None = None) -> list[tuple[str, str]]:
    return [(query.row, query.text) for query in read_benchmark(section(path, columns))]


def test_the_layouts_are_known_by_their_columns(tmp_path: Path) -> None:
    rows = [
        ({"prompt": "Write A.", "type": "x", "length": 100}, [("1", "Write A.")]),
        ({"id": "t_0", "instruction": f"Answer: {QUESTION}", "raw_text": QUESTION, "checklists": []},
         [("t_0", f"Answer: {QUESTION}"), ("t_0", QUESTION)]),
        ({"index": 7, "domain1": "d", "domain2": "e", "query": "Write C.", "checklist": []}, [("7", "Write C.")]),
    ]  # fmt: skip
    for number, (row, expected) in enumerate(rows):
        file = tmp_path / f"{number}.jsonl"
        file.write_text(json.dumps(row) + "\n")
        assert texts(file) == expected


def test_any_table_with_named_columns(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"q": QUESTION, "r": None}, {"q": None, "r": "Two"}]), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text('q,r\n"one, two",three\n', encoding="utf-8-sig")
    (tmp_path / "c.json").write_text(json.dumps({"data": [{"q": "four"}]}))
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(b'{"q": "five"}\n\n{"q": "six"}\n'))
    found = texts(tmp_path, ["q", "r"])
    assert [text for _, text in found] == [QUESTION, "Two", "one, two", "three", "four", "five", "six"]


def test_plain_text_has_a_query_a_line(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text(f"{QUESTION}\n\n  Write B.\n")
    assert texts(tmp_path / "own.txt") == [("1", QUESTION), ("2", "Write B.")]


def test_an_unknown_layout_asks_for_its_columns(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"question": "x"}\n')
    with pytest.raises(SourceError, match=r"own.jsonl is in none of the layouts .*`columns`; it has question"):
        texts(tmp_path / "own.jsonl")
    with pytest.raises(SourceError, match="has none of the columns ask; it has question"):
        texts(tmp_path / "own.jsonl", ["ask"])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b'{"q": "x"}\n{"q": ', "cannot be read"),
        ("a.jsonl", b'{"q": 3}\n', "row 1: q is int, not text"),
        ("a.jsonl", b'["q"]\n', "not a list of JSON objects"),
        ("a.parquet", b"PAR1 no", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b'{"q": "x"}\n', mtime=0)[:-9], "cannot be read"),
        ("a.jsonl", b'{"q": " "}\n', "no query found"),
        ("a.txt", b"\xff\xfe\x00\n", "cannot be read"),
    ],
)
def test_half_a_benchmark_is_none(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=f"benchmark 'own': .*{problem}"):
        texts(tmp_path / name, None if name.endswith(".txt") else ["q"])


def test_a_missing_file_is_named_and_its_digest_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"benchmark 'own': source path .*nowhere\.jsonl' does not exist"):
        texts(tmp_path / "nowhere.jsonl")
    assert benchmark_digest(section(tmp_path / "nowhere.jsonl")) == "missing"


def test_the_digest_changes_with_the_contents_and_not_with_the_place(tmp_path: Path) -> None:
    for folder, content in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.txt").write_text(content)
    a, b, c = (benchmark_digest(section(tmp_path / folder)) for folder in "abc")
    assert a == b != c


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real benchmarks are not at {REAL}")
def test_the_real_files_need_no_columns() -> None:
    counts = {file.stem: len(texts(file)) for file in sorted(REAL.glob("*.jsonl"))}
    assert counts == {
        "hellobench_heuristic_text_generation": 246,
        "hellobench_open_ended_qa": 400,
        "longbench_write": 120,
        "writingbench_length_subset": 222,
    }
