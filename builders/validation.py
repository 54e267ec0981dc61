"""Which queries belong to the validation split: none that train has too, or nearly so.

    queries → groups of queries that are alike → a number for each group, from its text → the lowest numbers

All answers and rollouts of a query fall to the same side, and so do queries that differ in case, punctuation or a few
words. The numbers come from the text of the queries alone, so a new version moves no query to the other side, unless a
new one joins its group.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepwriting.select.shingles import jaccard, shingles, words

#: Words in a shingle and share of common shingles from which two queries are alike: the values of ``DedupeSection``.
SHINGLE_WORDS = 3
SIMILARITY = 0.8
#: MinHash bands and hashes in each: two queries of that similarity are compared with a chance of 99.8 %.
BANDS, HASHES_PER_BAND = 20, 6


def query_key(query: str) -> str:
    """What is left of a query without case, punctuation and layout, as a hash; its text if it has no words."""
    return hashlib.sha256(words(query) or query.strip().encode()).hexdigest()


def query_groups(queries: Iterable[str]) -> list[int]:
    """Groups of queries that are alike.

    Args:
        queries: the queries; texts are looked at one by one and not kept, but for their shingles.

    Returns:
        For each query the place of the first query of its group. Equal keys, and queries that are alike directly or by
        a chain of others, have the same group.
    """
    firsts: dict[str, int] = {}
    groups = _Groups()
    kept: dict[int, npt.NDArray[np.uint64]] = {}
    for place, query in enumerate(queries):
        groups.add()
        first = firsts.setdefault(query_key(query), place)
        if first < place:
            groups.join(first, place)
        else:
            kept[place] = shingles(query, SHINGLE_WORDS)
    for one, other in _candidates(kept):
        if jaccard(kept[one], kept[other]) >= SIMILARITY:
            groups.join(one, other)
    return [groups.first(place) for place in range(len(groups))]


def _candidates(kept: Mapping[int, npt.NDArray[np.uint64]]) -> set[tuple[int, int]]:
    """Pairs that share a band; in a band of many, each is paired with the first and with the one before."""
    from deepwriting.select.minhash import Signatures, config

    signer = Signatures(Path(tempfile.gettempdir()), config(BANDS, HASHES_PER_BAND), 0)  # writes nothing
    places = [place for place, hashes in kept.items() if len(hashes)]
    if not places:
        return set()
    signatures = np.stack([signer.signature(kept[place]) for place in places])
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        part = signatures[:, band * HASHES_PER_BAND : (band + 1) * HASHES_PER_BAND]
        order = np.lexsort(part.T)
        equal = (part[order][1:] == part[order][:-1]).all(axis=1)
        first = 0
        for at in range(len(equal)):
            if not equal[at]:
                first = at + 1
                continue
            for other in {first, at}:
                one, two = sorted((places[order[other]], places[order[at + 1]]))
                pairs.add((one, two))
    return pairs


class _Groups:
    """Disjoint sets of places; the first place of a set stands for it."""

    def __init__(self) -> None:
        self._parents: list[int] = []

    def __len__(self) -> int:
        return len(self._parents)

    def add(self) -> None:
        self._parents.append(len(self._parents))

    def first(self, place: int) -> int:
        while self._parents[place] != place:
            self._parents[place] = place = self._parents[self._parents[place]]
        return place

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._parents[high] = low


def validation_places(
    queries: Iterable[str], kept: Iterable[bool], *, share: float = 0.0, rows: int = 0
) -> frozenset[int]:
    """Places of the rows that belong to the validation split.

    Args:
        queries: the query of every row, dropped rows included.
        kept: whether the default config holds the row.
        share: share of the groups that go there (0 to 1); the share of the rows comes near it.
        rows: instead of a share, the number of kept rows; groups that would exceed it are left out.

    Returns:
        The places, dropped rows of chosen groups included.
    """
    keys: list[str] = []

    def noted() -> Iterable[str]:
        for query in queries:
            keys.append(query_key(query))
            yield query

    groups = query_groups(noted())
    numbers: dict[int, str] = {}
    sizes: dict[int, int] = defaultdict(int)
    for group, key, keep in zip(groups, keys, kept, strict=True):
        numbers[group] = min(key, numbers.get(group, key))
        sizes[group] += keep
    if rows:
        chosen, left = set(), rows
        for group in sorted(numbers, key=lambda group: numbers[group]):
            if 0 < sizes[group] <= left:
                chosen.add(group)
                left -= sizes[group]
    else:
        chosen = {group for group, key in numbers.items() if int(key[:16], 16) < share * 2**64}
    return frozenset(place for place, group in enumerate(groups) if group in chosen)
