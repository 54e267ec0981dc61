"""The sources that the scale benchmark makes up: the project's readers read them, and the truth is true."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from deepwriting.metrics.units import units
from deepwriting.schema import is_rejected, pair_id
from deepwriting.sources import SOURCE_KINDS

ROWS = 600
BENCHMARK = [
    ("own", "7", "Describe how a ferry pilot learned to read the currents of a river that moves every spring.")
]
KINDS = {"reddit": "writingprompts_dump", "wildchat": "wildchat", "longwriter": "longwriter", "pairs": "pairs"}


@pytest.fixture(scope="module")
def write() -> Iterator[Any]:
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    from synthetic.write import write_sources  # type: ignore[import-not-found]

    yield lambda to, **options: write_sources(to, ROWS, benchmark=BENCHMARK, pool=10_000, **options)
    sys.path.remove(folder)


@pytest.fixture(scope="module")
def written(write: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    write(folder)
    return folder


@pytest.fixture(scope="module")
def docs(written: Path) -> dict[str, list[Any]]:
    return {
        name: list(SOURCE_KINDS[kind](str(written / name), name=name, license="CC0-1.0").run())
        for name, kind in KINDS.items()
    }


def truth(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    rows = [orjson.loads(line) for line in (folder / "truth.jsonl").read_bytes().splitlines()]
    return {(row["source"], row["id"]): row for row in rows}


def test_the_seed_decides_everything(write: Any, written: Path, tmp_path: Path) -> None:
    write(tmp_path / "same")
    write(tmp_path / "other", seed=2)
    texts = [file for file in sorted(written.rglob("*")) if file.suffix in (".jsonl", ".txt", ".zst")]
    assert len(texts) >= 7
    for file in texts:
        name = file.relative_to(written)
        assert (tmp_path / "same" / name).read_bytes() == file.read_bytes()
    assert (tmp_path / "other" / "truth.jsonl").read_bytes() != (written / "truth.jsonl").read_bytes()


def test_the_readers_find_as_many_rows_as_were_asked_for(docs: dict[str, list[Any]]) -> None:
    found = [doc for rows in docs.values() for doc in rows]
    # Lines that were cut off stand beside the whole ones.
    assert sum(doc.metadata.get("reject") != "malformed_json" for doc in found) == ROWS
    reasons = Counter(doc.metadata["reject"] for doc in found if is_rejected(doc.metadata))
    for reason in ("not_top_level", "low_score", "moderator_or_bot", "unsupported_language", "missing_prompt"):
        assert reasons[reason] > 0


def test_the_truth_is_true(docs: dict[str, list[Any]], written: Path) -> None:
    pairs = {
        (name, doc.metadata["source_id"]): doc
        for name, rows in docs.items()
        for doc in rows
        if not is_rejected(doc.metadata)
    }
    planted = truth(written)
    for key, row in planted.items():
        if row["kind"] == "exact_duplicate" and (first := pairs.get((key[0], row["of"]))):
            doc = pairs[key]
            assert pair_id(doc.metadata["query"], doc.text) == pair_id(first.metadata["query"], first.text)
        if "value" in row:
            assert row["value"] in pairs[key].text
        if row["kind"] == "mojibake":
            assert "â€" in pairs[key].text
    kinds = Counter(row["kind"] for row in planted.values())
    assert {"exact_duplicate", "near_duplicate", "same_answer", "refusal", "repetition", "mojibake"} <= kinds.keys()


def test_rows_that_ask_for_nearly_the_same_are_planted_in_groups(write: Any, written: Path) -> None:
    groups = Counter((key[0], row["of"]) for key, row in truth(written).items() if row["kind"] == "near_query")
    assert groups, "none planted"
    assert max(groups.values()) <= 6
    from synthetic.dirt import Dirt  # type: ignore[import-not-found]
    from synthetic.text import Texts  # type: ignore[import-not-found]

    for language in ("English", "Chinese"):
        dirt = Dirt(Texts(1, 2_000), "x", chinese=1.0 if language == "Chinese" else 0.0)
        rows = [row for number in range(4_000) if (row := dirt.row(str(number))).kind == "near_query"]
        assert len({row.query for row in rows[:6]}) > 1
        assert {row.fact["of"] for row in rows[:6]} == {rows[0].id}
        assert rows[6].fact["of"] == rows[6].id
        assert sum(row.fact["similarity"] >= 0.8 for row in rows) > 0.9 * len(rows)


def test_different_texts_are_different(docs: dict[str, list[Any]], written: Path) -> None:
    planted = truth(written)
    texts = [
        doc.text
        for name, rows in docs.items()
        for doc in rows
        if not is_rejected(doc.metadata) and (name, doc.metadata["source_id"]) not in planted
    ]
    sets = [set(zip(*(units(text)[start:] for start in range(5)), strict=False)) for text in texts]
    owners: dict[Any, list[int]] = {}
    for index, shingles in enumerate(sets):
        for shingle in shingles:
            owners.setdefault(shingle, []).append(index)
    shared = Counter((a, b) for found in owners.values() for a in found for b in found if a < b)
    assert max(count / (len(sets[a]) + len(sets[b]) - count) for (a, b), count in shared.items()) < 0.4
