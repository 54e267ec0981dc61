"""MinHash in datatrove's four stages, with datatrove's hashes, files and clusters, for any number of tasks.

    signatures   bucket_003/000020007.minhash.sig    one task's next rows: hashes and number of each, sorted
    buckets      00003_00.dups                       rows that share the bucket, two by two
    clusters     000000.clusters                     row, cluster
    (stage 4, the removal, is ``deepwriting.select.near``: it looks at the texts again before it believes a cluster)

What differs from datatrove's own classes, and why:

- Shingles come from ``deepwriting.select.shingles``: no spaCy, and Chinese is shingled by characters.
- A row is known by its number in the order of all rows, so the result does not depend on how rows lie in files.
- The files are bounded in rows, and the steps work on arrays of bounded size: memory does not grow with the rows, and
  the buckets take a quarter of the time. ``tests/select/test_minhash.py`` has datatrove's classes read the same files
  and find the same clusters.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupSignature,
)

from deepwriting.select.shingles import Hashes

#: Rows in one signature file: with 120 hashes, 20 MB in memory.
ROWS_PER_FILE = 20_000
#: Signature files that one task may write: tells the files of tasks apart.
FILES_PER_TASK = 10_000
#: Records of a bucket that are sorted at once, over all files; with 6 hashes, 13 MB.
RECORDS_AT_ONCE = 250_000
#: Shingles that are hashed at once: the intermediate values stay in the processor's cache.
_BLOCK = 256
#: datatrove's modulus, a Mersenne prime: the remainder is a shift and a sum.
_BITS = np.uint64(61)
_PRIME = np.uint64((1 << 61) - 1)
_NUMBER = np.dtype("<u4")


def config(buckets: int, hashes_per_bucket: int) -> MinhashConfig:
    """The configuration as datatrove knows it; shingles are cut before it sees the text."""
    return MinhashConfig(num_buckets=buckets, hashes_per_bucket=hashes_per_bucket)


def record_type(hashes: int) -> np.dtype[Any]:
    """One record of a signature file: the bucket's hashes and the row's number."""
    return np.dtype([("hashes", "<u8", (hashes,)), ("row", _NUMBER)])


class Signatures(MinhashDedupSignature):
    """Stage 1 without its reader: add rows, then close.

    Args:
        folder: where the signature files go.
        settings: datatrove's configuration.
        rank: the task.
    """

    def __init__(self, folder: Path, settings: MinhashConfig, rank: int):
        # Not the base class's: it loads a word tokeniser.
        PipelineStep.__init__(self)
        self.folder, self.config, self.rank = folder, settings, rank
        self.num_hashes = settings.num_buckets * settings.hashes_per_bucket
        self._parameters = None
        self._values = np.empty((_BLOCK, self.num_hashes), np.uint64)
        self._high = np.empty_like(self._values)
        self._signatures = np.empty((ROWS_PER_FILE, self.num_hashes), np.uint64)
        self._rows = np.empty(ROWS_PER_FILE, _NUMBER)
        self._count, self._files = 0, 0
        self.total = 0  # rows so far

    def signature(self, shingles: Hashes) -> Hashes:
        """The smallest value of every hash function; ``get_signature`` of the base class in one piece."""
        factors, terms = self.parameters
        smallest = np.full(self.num_hashes, _PRIME, np.uint64)
        for start in range(0, len(shingles), _BLOCK):
            block = shingles[start : start + _BLOCK, None]
            values, high = self._values[: len(block)], self._high[: len(block)]
            np.multiply(block, factors, out=values)
            values += terms
            # The remainder but for values that are the modulus or up to 7 above it, one in 10^17, which stay equal
            # for equal shingles.
            np.right_shift(values, _BITS, out=high)
            values &= _PRIME
            values += high
            np.minimum(smallest, np.minimum.reduce(values), out=smallest)
        return smallest

    def add(self, row: int, shingles: Hashes) -> None:
        """Add a row; one without shingles is like no other."""
        if not len(shingles):
            return
        self._signatures[self._count] = self.signature(shingles)
        self._rows[self._count] = row
        self._count += 1
        self.total += 1
        if self._count == ROWS_PER_FILE:
            self.close()

    def close(self) -> None:
        """Write what has been added since the last file."""
        if not self._count:
            return
        number, width = self.rank * FILES_PER_TASK + self._files, self.config.hashes_per_bucket
        rows = self._rows[: self._count]
        for bucket in range(self.config.num_buckets):
            part = self._signatures[: self._count, bucket * width : (bucket + 1) * width]
            order = np.lexsort((rows, *part.T[::-1]))
            records = np.empty(self._count, record_type(width))
            records["hashes"], records["row"] = part[order], rows[order]
            folder = self.folder / f"bucket_{bucket:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            records.tofile(folder / f"{number:09d}.minhash.sig")
        self._count, self._files = 0, self._files + 1


class Buckets(MinhashDedupBuckets):
    """Stage 2: finds the rows that share a bucket; the rank is the bucket.

    Args:
        folder: the signature files; ``*.dups`` go beside them.
        settings: datatrove's configuration.
    """

    def __init__(self, folder: Path, settings: MinhashConfig):
        super().__init__(str(folder), str(folder), config=settings)
        self.folder = folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        """Write the bucket's pairs of neighbours: equal signatures stand side by side when all are sorted."""
        assert world_size == self.config.num_buckets, "one task a bucket"
        files = sorted((self.folder / f"bucket_{rank:03d}").glob("*.minhash.sig"))
        target = self.folder / f"{rank:05d}_00.dups"
        scratch = target.with_suffix(".part")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.track_time(), scratch.open("wb") as out:
            for records, numbers in self._ranges(files):
                pairs = self._neighbours(records, numbers)
                self.stat_update("total_matches", value=len(pairs))
                pairs.tofile(out)
        os.replace(scratch, target)

    def _ranges(self, files: list[Path]) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """All records in ranges of the first hash, each small enough to be sorted in memory, with their files' numbers.

        Equal signatures have equal first hashes, so no range cuts them apart.
        """
        kind = record_type(self.config.hashes_per_bucket)
        opened = [np.memmap(file, kind, "r") for file in files if file.stat().st_size]
        numbers = [int(file.name.split(".")[0]) for file in files if file.stat().st_size]
        total = sum(map(len, opened))
        if not total:
            return
        parts = -(-total // RECORDS_AT_ONCE)
        # Every file is sorted: some of its first hashes, evenly spread, tell where the ranges have to begin.
        step = max(1, RECORDS_AT_ONCE // 1000)
        sample = np.sort(np.concatenate([np.array(records["hashes"][::step, 0]) for records in opened]))
        bounds = np.unique(sample[[len(sample) * part // parts for part in range(1, parts)]])
        cuts = []
        for records in opened:
            firsts = np.array(records["hashes"][:, 0])
            cuts.append([0, *np.searchsorted(firsts, bounds), len(records)])
        for part in range(len(bounds) + 1):
            slices = [records[cut[part] : cut[part + 1]] for records, cut in zip(opened, cuts, strict=True)]
            yield (
                np.concatenate(slices),
                np.repeat(np.array(numbers, _NUMBER), [len(piece) for piece in slices]),
            )

    @staticmethod
    def _neighbours(records: npt.NDArray[Any], numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """``(file, row, file, row)`` of neighbours with equal hashes, in the order of hashes and rows."""
        order = np.lexsort((records["row"], *records["hashes"].T[::-1]))
        hashes, rows, numbers = records["hashes"][order], records["row"][order], numbers[order]
        equal = np.flatnonzero((hashes[1:] == hashes[:-1]).all(axis=1))
        pairs = np.empty((len(equal), 4), _NUMBER)
        pairs[:, 0], pairs[:, 1] = numbers[equal], rows[equal]
        pairs[:, 2], pairs[:, 3] = numbers[equal + 1], rows[equal + 1]
        return pairs


class Clusters(MinhashDedupCluster):
    """Stage 3: rows that are connected by shared buckets. One task.

    Args:
        folder: the ``*.dups`` files; ``000000.clusters`` goes beside them.
        settings: datatrove's configuration.
    """

    def __init__(self, folder: Path, settings: MinhashConfig):
        super().__init__(str(folder), str(folder), config=settings, save_cluster_id=True)
        self.folder = folder

    def run(self, data: Any = None, _: int = 0, world_size: int = 1) -> None:
        """Write row and cluster of every row that shares a bucket; a cluster is named for its first row."""
        assert world_size == 1, "clusters need all buckets"
        files = sorted(self.folder.glob("*.dups"))
        assert len(files) == self.config.num_buckets, f"{len(files)} of {self.config.num_buckets} buckets are there"
        with self.track_time():
            labels = np.empty(0, np.int64)
            for file in files:
                pairs = np.fromfile(file, _NUMBER).reshape(-1, 4)[:, [1, 3]]
                if len(pairs):
                    labels = _joined(labels, pairs)
            # A row that is alone is its own label and nobody else's.
            members = np.flatnonzero(np.bincount(labels, minlength=len(labels))[labels] > 1)
            found = np.stack([members, labels[members]], axis=1).astype(_NUMBER)
        self.stat_update("duplicates", value=len(found))
        self.stat_update("clusters", value=len(np.unique(labels[members])))
        scratch = self.folder / "000000.part"
        found.tofile(scratch)
        os.replace(scratch, self.folder / "000000.clusters")


def _joined(labels: npt.NDArray[np.int64], pairs: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Labels after rows have been joined in pairs; a label is the smallest row of its component."""
    highest = int(pairs.max()) + 1
    if highest > len(labels):
        labels = np.concatenate([labels, np.arange(len(labels), highest)])
    first, second = pairs.T.astype(np.int64)
    while True:
        one, two = labels[first], labels[second]
        apart = one != two
        if not apart.any():
            return labels
        first, second = first[apart], second[apart]
        # The larger label points to the smallest that it is paired with. Every label of a pair is at one end of such a
        # pointer, so each round halves the labels that are still to be joined.
        np.minimum.at(labels, np.maximum(one, two)[apart], np.minimum(one, two)[apart])
        while not np.array_equal(labels, above := labels[labels]):
            labels = above


def read_clusters(folder: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Rows and their clusters, as stage 3 wrote them."""
    found = np.fromfile(folder / "000000.clusters", _NUMBER).reshape(-1, 2)
    return found[:, 0], found[:, 1]
