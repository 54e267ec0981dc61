from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deepwriting.builders.features import feature, features
from deepwriting.builders.parquet import CHUNKING_KEY, write_split
from deepwriting.builders.tables import table
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS

Maker = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("config", CONFIG_COLUMNS)
def test_values_and_types_survive(tmp_path: Path, document: Maker, config: str) -> None:
    from datasets import Features

    records = list(table(config, [document(n) for n in range(3)]))
    facts = write_split(config, "train", iter(records), tmp_path, rows_per_shard=100)
    (file,) = facts.files
    found = pq.read_table(tmp_path / file.path)
    # Every float of the sample documents is exact in float32 apart from these.
    rounded = {"category_probability", "score_before", "score_after", "score_current", "score", "perplexity"}
    rounded |= {"score_chosen", "score_rejected"}
    for got, want in zip(found.to_pylist(), records, strict=True):
        assert {k: v for k, v in got.items() if k not in rounded} == {k: v for k, v in want.items() if k not in rounded}
        assert all(got[k] == pytest.approx(want[k]) for k in rounded & want.keys())
    assert Features.from_arrow_schema(found.schema) == features(config)
    assert file.rows == facts.rows == len(records)


def test_features_follow_the_kinds() -> None:
    from datasets import List, Value

    assert feature("int32") == Value("int32")
    assert feature("strings") == List(Value("string"))
    assert features("sft")["messages"] == List({"role": Value("string"), "content": Value("string")})
    with pytest.raises(BuildError, match="unknown config 'gold'"):
        features("gold")


def test_each_shard_is_one_compressed_row_group_with_chunking_noted(tmp_path: Path, document: Maker) -> None:
    records = table("all", (document(n) for n in range(7)))
    facts = write_split("all", "train", records, tmp_path, rows_per_shard=3)
    assert [file.path for file in facts.files] == [f"data/all/train-0000{n}-of-00003.parquet" for n in range(3)]
    assert [file.rows for file in facts.files] == [3, 3, 1]
    for file in facts.files:
        metadata = pq.read_metadata(tmp_path / file.path)
        assert metadata.num_row_groups == 1
        assert metadata.row_group(0).column(0).compression == "ZSTD"
        assert json.loads(metadata.metadata[CHUNKING_KEY.encode()])["max_chunk_size"] == 1024 * 1024
        assert (tmp_path / file.path).stat().st_size == file.bytes


def test_exact_multiple_of_the_shard_size_leaves_no_empty_shard(tmp_path: Path, document: Maker) -> None:
    facts = write_split("all", "train", table("all", (document(n) for n in range(4))), tmp_path, rows_per_shard=2)
    assert [file.rows for file in facts.files] == [2, 2]


def test_size_limit_ends_a_shard_early(tmp_path: Path, document: Maker) -> None:
    documents = (document(n, thinking="plan " * 2000) for n in range(1100))
    facts = write_split(
        "default", "train", table("default", documents), tmp_path, rows_per_shard=5000, max_shard_bytes=1
    )
    assert [file.rows for file in facts.files] == [500, 500, 100]


def test_a_split_without_rows_leaves_no_file(tmp_path: Path) -> None:
    facts = write_split("steps", "validation", [], tmp_path, rows_per_shard=10)
    assert (facts.rows, facts.files) == (0, ())
    assert list(tmp_path.iterdir()) == []


def test_splits_lie_side_by_side(tmp_path: Path, document: Maker) -> None:
    made = [
        write_split("all", split, table("all", [document(number)]), tmp_path, rows_per_shard=10)
        for number, split in enumerate(("train", "validation"))
    ]
    assert [(facts.files[0].path, facts.files[0].split) for facts in made] == [
        ("data/all/train-00000-of-00001.parquet", "train"),
        ("data/all/validation-00000-of-00001.parquet", "validation"),
    ]


def test_chunking_shares_most_bytes_after_a_small_change(tmp_path: Path) -> None:
    """A row inserted near the start must leave most pages as they were; without chunking they all change (1 % left)."""
    draw = random.Random(5)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(20_000)]
    rest = {
        "segment_index": 0,
        "segment": "s",
        "candidate_index": 0,
        "generator": "w",
        "refusal": None,
        "accepted": False,
    }
    scores = {"score_current": 1.0, "score": 1.0, "perplexity": 2.0, "accepted": False}
    records = [
        {"row_id": f"r{n:05d}", "step": n, "candidate": " ".join(draw.choices(words, k=700))} | rest | scores
        for n in range(1201)
    ]
    inserted = records.pop()
    contents = []
    for name, rows in (("a", records), ("b", [*records[:5], inserted, *records[5:]])):
        facts = write_split("steps", "train", rows, tmp_path / name, rows_per_shard=10_000)
        contents.append((tmp_path / name / facts.files[0].path).read_bytes())
    old, new = contents
    blocks = [new[at : at + 4096] for at in range(0, len(new), 4096)]
    # Pages move, so look a little inside of every block for a stretch that the old file has anywhere.
    shared = sum(block[100:164] in old for block in blocks)
    assert shared / len(blocks) > 0.6


@pytest.mark.parametrize("limits", [{"rows_per_shard": 0}, {"rows_per_shard": 5, "max_shard_bytes": 0}])
def test_impossible_limits_are_refused(tmp_path: Path, limits: dict[str, int]) -> None:
    with pytest.raises(BuildError, match="both must be at least 1"):
        write_split("all", "train", [], tmp_path, **limits)
