"""Near-duplicates: what MinHash takes for similar is looked at again, so that what is removed is really similar.

Clusters of MinHash chain unlike texts: a is like b, b is like c. So inside a cluster the rows are gone through in their
order, and each is compared with the survivors so far by the exact similarity of their shingles. The first survivor
that is similar enough is what it duplicates; if there is none, it survives.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from datatrove.pipeline.base import PipelineStep

from deepwriting.select.minhash import Buckets, Clusters, Signatures, config, read_clusters
from deepwriting.select.shards import shards_of_task
from deepwriting.select.shingles import Hashes, shingles
from deepwriting.select.tables import TableWriter, database, marked, parquet, rows_of_file, save
from deepwriting.shards import read_shard

if TYPE_CHECKING:
    import pyarrow as pa

#: Survivors of one cluster that are remembered. A cluster with more is a chain of thousands of unlike texts; its later
#: rows are compared with the later survivors. Bounds memory to about 300 MB with answers of 250 words.
MAX_SURVIVORS = 20_000
#: Rows of shingles that are read at once (2 kB each with answers of 250 words).
_ROWS_AT_ONCE = 1_000
#: Survivors of a cluster that are in the dictionary at most (40 MB with answers of 250 words).
LATEST_SURVIVORS = 1_000
_NOBODY: list[int] = []
#: To compare with one survivor takes as long as to count so many owners of shingles.
_OWNERS_PER_TEXT = 500
#: Error of a product of a similarity and a number of shingles, at most.
_ROUNDING = 1e-9

Places: TypeAlias = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class View:
    """One side of the pairs to compare.

    Attributes:
        name: ``answer`` or ``query``.
        size: words in a shingle.
        similarity: share of common shingles from which two texts are near-duplicates.
    """

    name: str
    size: int
    similarity: float

    def shingles(self, document: Mapping[str, Any]) -> Hashes:
        """Shingles of a row's text."""
        return shingles(document["text"] if self.name == "answer" else document["metadata"]["query"], self.size)


class Sign(PipelineStep):
    """Phase 3: signatures of this task's rows.

    Args:
        source: folder of the source stage's shards.
        work: the stage's work folder.
        views: what is compared.
        buckets: number of buckets.
        hashes_per_bucket: hashes in a bucket.
    """

    type = "🫂 - DEDUP"
    name = "🎯 MinHash stage 1"

    def __init__(self, source: Path, work: Path, views: list[View], buckets: int, hashes_per_bucket: int):
        super().__init__()
        self.source, self.work, self.views = source, work, views
        self.buckets, self.hashes_per_bucket = buckets, hashes_per_bucket

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        """Write the signature files."""
        settings = config(self.buckets, self.hashes_per_bucket)
        signatures = [Signatures(self.work / view.name, settings, rank) for view in self.views]
        columns = ["row", "number", *(view.name for view in self.views)]
        for file, path in shards_of_task(self.source, self.work / "released", rank, world_size):
            marks = rows_of_file(self.work / "compared.parquet", file, columns)
            for document, mark in marked(read_shard(path), marks):
                if mark is not None:
                    for view, target, wanted in zip(self.views, signatures, mark[1:], strict=True):
                        if wanted:
                            target.add(mark[0], view.shingles(document))
        for view, target in zip(self.views, signatures, strict=True):
            target.close()
            self.stat_update(view.name, value=target.total)


class Pairs(PipelineStep):
    """Phase 4: rows that share a bucket. Each task takes its share of the buckets, so any number of tasks is right.

    Args:
        work: the stage's work folder.
        views: what is compared.
        buckets: number of buckets.
        hashes_per_bucket: hashes in a bucket.
    """

    type = "🫂 - DEDUP"
    name = "🎯 MinHash stage 2"

    def __init__(self, work: Path, views: list[View], buckets: int, hashes_per_bucket: int):
        super().__init__()
        self.work, self.views = work, views
        self.buckets, self.hashes_per_bucket = buckets, hashes_per_bucket

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        """Write the pairs of this task's buckets."""
        for view in self.views:
            step = Buckets(self.work / view.name, config(self.buckets, self.hashes_per_bucket))
            for bucket in range(rank, self.buckets, world_size):
                with self.track_time():
                    step.run(None, bucket, self.buckets)


def cluster_steps(work: Path, views: list[View], buckets: int, hashes_per_bucket: int) -> list[PipelineStep]:
    """Phase 5, one task: clusters, and where their rows lie."""
    clusters = [Clusters(work / view.name, config(buckets, hashes_per_bucket)) for view in views]
    return [*clusters, Members(work, views)]


class Members(PipelineStep):
    """Writes ``members.parquet``: the rows that are in a cluster, in the order of the shards.

    Args:
        work: the stage's work folder.
        views: what is compared.
    """

    type = "🫂 - DEDUP"
    name = "Members of clusters"

    def __init__(self, work: Path, views: list[View]):
        super().__init__()
        self.work, self.views = work, views

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        """Write the table."""
        import pyarrow as pa

        with self.track_time(), database(self.work / "scratch") as connection:
            joins, columns, found = "", "", []
            for view in self.views:
                numbers, clusters = read_clusters(self.work / view.name)
                connection.register(f"{view.name}_clusters", pa.table({"number": numbers, view.name: clusters}))
                joins += f" LEFT JOIN {view.name}_clusters USING (number)"
                columns += f", {view.name}_clusters.{view.name}"
                found.append(f"{view.name}_clusters.{view.name} IS NOT NULL")
            rows = f"SELECT file, row, number{columns} FROM {parquet(self.work / 'compared.parquet')} {joins}"
            save(connection, f"{rows} WHERE {' OR '.join(found)} ORDER BY file, row", self.work / "members.parquet")


class Shingle(PipelineStep):
    """Phase 6: the shingles of this task's rows that are in a cluster.

    Args:
        source: folder of the source stage's shards.
        work: the stage's work folder.
        views: what is compared.
    """

    type = "🫂 - DEDUP"
    name = "Shingles of clusters"

    def __init__(self, source: Path, work: Path, views: list[View]):
        super().__init__()
        self.source, self.work, self.views = source, work, views

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        """Write the tables."""
        columns = ["row", "number", *(view.name for view in self.views)]
        with ExitStack() as stack:
            tables = [
                stack.enter_context(
                    TableWriter(self.work / view.name / "shingles" / f"{rank:05d}.parquet", _schema(), _ROWS_AT_ONCE)
                )
                for view in self.views
            ]
            for file, path in shards_of_task(self.source, self.work / "released", rank, world_size):
                marks = rows_of_file(self.work / "members.parquet", file, columns)
                if (first := next(marks, None)) is None:
                    continue
                for document, mark in marked(read_shard(path), chain([first], marks)):
                    if mark is not None:
                        for view, table, cluster in zip(self.views, tables, mark[1:], strict=True):
                            if cluster is not None:
                                table.add(cluster, mark[0], view.shingles(document))


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("cluster", pa.uint32()), ("number", pa.uint32()), ("shingles", pa.list_(pa.uint64()))])


class Survivors:
    """The rows of one cluster that duplicate none before them, with an index of their shingles.

    The index is a sorted array, and a dictionary of the latest survivors, which are sorted in now and then.

    Texts of a large cluster have the words of a template in common, which thousands of survivors own and which say
    nothing. So the rarest shingles are looked up first: a text that is similar enough to another lacks few of its
    shingles, and among any few more it has one.
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._texts: list[Hashes] = []
        self._known, self._owners = np.empty(0, np.uint64), np.empty(0, np.int32)
        self._latest: dict[int, list[int]] = {}

    def first_similar(self, text: Hashes, similarity: float) -> tuple[int, float] | None:
        """Number and similarity of the first survivor that is at least this similar."""
        first, last = np.searchsorted(self._known, text, "left"), np.searchsorted(self._known, text, "right")
        latest = [self._latest.get(each, _NOBODY) for each in text.tolist()]
        counts = last - first + np.fromiter(map(len, latest), np.int64, len(latest))

        def owners(which: Iterable[int]) -> Places:
            own = chain.from_iterable(latest[place] for place in which)
            return np.concatenate(
                [*(self._owners[first[place] : last[place]] for place in which), np.fromiter(own, np.int32)]
            )

        lacking = len(text) - math.ceil(similarity * len(text) - _ROUNDING)
        some = np.unique(owners(np.argsort(counts, kind="stable")[: lacking + 1].tolist()))
        if len(some) * _OWNERS_PER_TEXT <= counts.sum():
            return self._first_of(some, text, similarity)
        common = np.bincount(owners(range(len(text))), minlength=len(self.numbers))
        sizes = np.fromiter(map(len, self._texts), np.int64, len(self._texts))
        similarities = common / (sizes + len(text) - common)
        similar = np.flatnonzero(similarities >= similarity)
        return (self.numbers[similar[0]], float(similarities[similar[0]])) if len(similar) else None

    def _first_of(self, places: Places, text: Hashes, similarity: float) -> tuple[int, float] | None:
        for place in places.tolist():
            other = self._texts[place]
            common = len(np.intersect1d(text, other, assume_unique=True))
            found = common / (len(text) + len(other) - common)
            if found >= similarity:
                return self.numbers[place], found
        return None

    def add(self, number: int, text: Hashes) -> None:
        """Add a survivor."""
        if len(self.numbers) == MAX_SURVIVORS:
            self.__init__()  # type: ignore[misc]
        for each in text.tolist():
            self._latest.setdefault(each, []).append(len(self.numbers))
        self.numbers.append(number)
        self._texts.append(text.copy())  # what was read with it need not be kept
        if len(self.numbers) % LATEST_SURVIVORS == 0:
            self._sort_in()

    def _sort_in(self) -> None:
        texts = self._texts[-LATEST_SURVIVORS:]
        lengths, begin = [len(text) for text in texts], len(self._texts) - len(texts)
        owners = np.repeat(np.arange(begin, len(self._texts), dtype=np.int32), lengths)
        known, owners = np.concatenate([self._known, *texts]), np.concatenate([self._owners, owners])
        order = np.argsort(known, kind="stable")
        self._known, self._owners = known[order], owners[order]
        self._latest.clear()


def near_duplicates(rows: Iterator[tuple[int, int, Hashes]], similarity: float) -> Iterator[tuple[int, int, float]]:
    """Find the near-duplicates.

    Args:
        rows: cluster, number and sorted shingles, in the order of clusters and numbers.
        similarity: share of common shingles from which two rows are near-duplicates.

    Yields:
        A row's number, that of the survivor that it duplicates, and their similarity.
    """
    current, survivors = -1, Survivors()
    for cluster, number, text in rows:
        if cluster != current:
            current, survivors = cluster, Survivors()
        found = survivors.first_similar(text, similarity)
        if found is None:
            survivors.add(number, text)
        else:
            yield number, *found


def read_shingles(work: Path, view: View) -> Iterator[tuple[int, int, Hashes]]:
    """Cluster, number and shingles of the rows in clusters, in that order."""
    tables = sorted((work / view.name / "shingles").glob("*.parquet"))
    with database(work / "scratch") as connection:
        ordered = connection.sql(f"SELECT * FROM {parquet(*tables)} ORDER BY cluster, number")
        for batch in ordered.to_arrow_reader(_ROWS_AT_ONCE):
            clusters, numbers = batch.column(0).to_pylist(), batch.column(1).to_pylist()
            for place, (cluster, number) in enumerate(zip(clusters, numbers, strict=True)):
                yield cluster, number, batch.column(2)[place].values.to_numpy()
