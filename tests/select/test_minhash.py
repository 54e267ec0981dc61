from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupSignature,
)
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.sections.dedupe import chance_of_comparison
from deepwriting.select import minhash
from deepwriting.select.minhash import Buckets, Clusters, Signatures, config, read_clusters
from deepwriting.select.shingles import Hashes, jaccard, shingles

SETTINGS = config(6, 3)
Prose = Callable[..., str]


def edited(text: str, changes: int) -> str:
    """The text with some words replaced, evenly spread."""
    split = text.split()
    for change in range(changes):
        split[(2 * change + 1) * len(split) // (2 * changes)] = f"changed{change}"
    return " ".join(split)


def sign(folder: Path, texts: Sequence[tuple[int, Hashes]], rank: int = 0, settings: MinhashConfig = SETTINGS) -> None:
    signatures = Signatures(folder, settings, rank)
    for number, text in texts:
        signatures.add(number, text)
    signatures.close()


def clustered(folder: Path, settings: MinhashConfig = SETTINGS) -> dict[int, int]:
    for rank in range(settings.num_buckets):
        Buckets(folder, settings).run(None, rank, settings.num_buckets)
    Clusters(folder, settings).run()
    numbers, clusters = read_clusters(folder)
    return dict(zip(numbers.tolist(), clusters.tolist(), strict=True))


@pytest.fixture(scope="module")
def texts(prose: Prose) -> list[tuple[int, Hashes]]:
    """Five texts with three more or less edited copies each, and some that are alone."""
    found = []
    for seed in range(5):
        text = prose(seed, 80)
        found += [shingles(edited(text, changes) if changes else text, 3) for changes in (0, 1, 2, 6)]
    found += [shingles(prose(f"alone {seed}", 50), 3) for seed in range(30)]
    return list(enumerate(found))


@pytest.mark.parametrize("length", [1, 40, 255, 256, 257, 700])
def test_signatures_are_datatroves(tmp_path: Path, prose: Prose, length: int) -> None:
    text = shingles(prose("long", length), 1)
    ours = Signatures(tmp_path, SETTINGS, 0)
    stock = MinhashDedupSignature.get_signature(ours, text.reshape(-1, 1))
    assert ours.signature(text).tolist() == [value for bucket in stock for value in bucket]


def test_datatroves_own_classes_find_the_same_clusters_in_the_same_files(
    tmp_path: Path, texts: list[tuple[int, Hashes]]
) -> None:
    sign(tmp_path / "ours", texts[:17], rank=0)
    sign(tmp_path / "ours", texts[17:], rank=3)
    ours = clustered(tmp_path / "ours")
    for rank in range(SETTINGS.num_buckets):
        MinhashDedupBuckets(str(tmp_path / "ours"), str(tmp_path / "stock"), config=SETTINGS).run(None, rank, 6)
    MinhashDedupCluster(str(tmp_path / "stock"), str(tmp_path / "stock"), SETTINGS, save_cluster_id=True).run()
    stock = {}
    for file in sorted((tmp_path / "stock").glob("*.clusters")):
        stock.update(np.fromfile(file, "<u4").reshape(-1, 2).tolist())
    assert stock.keys() == ours.keys()
    assert len(ours) >= 15
    names = {(stock[number], ours[number]) for number in ours}
    assert len(names) == len(set(stock.values())) == len(set(ours.values()))
    assert {min(number for number in ours if ours[number] == name) for name in ours.values()} == set(ours.values())


@pytest.mark.parametrize(("rows", "records"), [(3, 7), (7, 5), (20, 1000)])
def test_small_files_and_small_ranges_change_nothing(
    tmp_path: Path, texts: list[tuple[int, Hashes]], monkeypatch: pytest.MonkeyPatch, rows: int, records: int
) -> None:
    sign(tmp_path / "whole", texts)
    expected = clustered(tmp_path / "whole")
    monkeypatch.setattr(minhash, "ROWS_PER_FILE", rows)
    monkeypatch.setattr(minhash, "RECORDS_AT_ONCE", records)
    for rank in range(4):
        sign(tmp_path / "parts", texts[rank::4], rank)
    assert len(list((tmp_path / "parts" / "bucket_000").iterdir())) == sum(
        -(-len(texts[r::4]) // rows) for r in range(4)
    )
    assert clustered(tmp_path / "parts") == expected


def test_no_rows_and_rows_without_words(tmp_path: Path) -> None:
    sign(tmp_path, [(number, shingles("", 3)) for number in range(5)])
    assert clustered(tmp_path) == {}


def test_the_banding_finds_what_its_formula_says(tmp_path: Path, prose: Prose) -> None:
    """Pairs that are about 0.7 similar, with buckets that should find about half of them."""
    settings, count = config(4, 5), 300
    pairs = []
    for seed in range(count):
        text = prose(f"pair {seed}", 70)
        pairs += [shingles(text, 2), shingles(edited(text, 6), 2)]
    similar = np.mean([jaccard(pairs[2 * pair], pairs[2 * pair + 1]) for pair in range(count)])
    assert 0.65 < similar < 0.75
    sign(tmp_path, list(enumerate(pairs)), settings=settings)
    found = clustered(tmp_path, settings)
    assert len(found) / (2 * count) == pytest.approx(chance_of_comparison(float(similar), 4, 5), abs=0.1)
    assert all(cluster == number - number % 2 for number, cluster in found.items()), "unlike texts stay apart"


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40), st.integers(1, 4))
def test_rows_that_are_connected_have_the_smallest_row_as_label(pairs: list[tuple[int, int]], parts: int) -> None:
    labels = np.empty(0, np.int64)
    groups = {row: {row} for row in range(31)}
    for one, two in pairs:
        joined = groups[one] | groups[two]
        groups |= dict.fromkeys(joined, joined)
    for part in range(parts):
        if pairs[part::parts]:
            labels = minhash._joined(labels, np.array(pairs[part::parts]))
    assert labels.tolist() == [min(groups[row]) for row in range(len(labels))]
