"""The distribution of a number over any number of rows, in bounded memory.

Up to ``EXACT`` values are kept as they are, so that the figures of a small run are exact. Beyond that only counts are
kept, in bins whose edges grow by one per cent (the idea of DDSketch: Masson, Rim and Lee, 2019), and a quantile is off
by at most half a per cent of its value. Sketches of parts add up to the sketch of the whole, whatever the parts were.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator

#: Values that are kept as they are.
EXACT = 2_000
#: One bin's upper edge over its lower one; quantiles are off by half of what it exceeds 1 by.
GROWTH = 1.01
#: Numbers closer to zero than this count as zero; with ``LARGEST`` it bounds the number of bins (about 5,500).
SMALLEST = 1e-9
LARGEST = 1e15
_STEP = math.log(GROWTH)


class Sketch:
    """Count, mean, extremes, quantiles and histogram of the numbers that were added."""

    __slots__ = ("bins", "count", "high", "low", "negative", "total", "values", "whole")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.whole = True
        #: Every value, as long as they are few; ``None`` once they are many.
        self.values: array[float] | None = array("d")
        #: Bin index -> numbers above zero in it; zeros stand under ``None``.
        self.bins: dict[int | None, int] = {}
        #: The same for numbers below zero, by their size.
        self.negative: dict[int | None, int] = {}

    def add(self, value: float) -> None:
        """Count one number; what is not finite is left out."""
        if not math.isfinite(value):
            return
        self.count += 1
        self.total += value
        if value < self.low:
            self.low = value
        if value > self.high:
            self.high = value
        if self.whole and value != int(value):
            self.whole = False
        if self.values is not None:
            if len(self.values) < EXACT:
                self.values.append(value)
            else:
                self.values = None
        size = abs(value)
        index = None if size < SMALLEST else math.ceil(math.log(min(size, LARGEST)) / _STEP)
        bins = self.negative if value < 0 and index is not None else self.bins
        bins[index] = bins.get(index, 0) + 1

    def merge(self, other: Sketch) -> None:
        """Add the numbers of another sketch."""
        self.count += other.count
        self.total += other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.whole = self.whole and other.whole
        if self.values is not None and other.values is not None and self.count <= EXACT:
            self.values.extend(other.values)
        else:
            self.values = None
        for mine, theirs in ((self.bins, other.bins), (self.negative, other.negative)):
            for index, count in theirs.items():
                mine[index] = mine.get(index, 0) + count

    @property
    def mean(self) -> float:
        """Arithmetic mean; exact."""
        return self.total / self.count if self.count else math.nan

    def quantile(self, share: float) -> float:
        """The value below which a share of the numbers lies.

        Args:
            share: 0.5 for the median.

        Returns:
            The quantile: exact (interpolated) for few numbers, else within half a per cent; NaN without numbers.
        """
        if not self.count:
            return math.nan
        position = share * (self.count - 1)
        if self.values is not None:
            ordered = sorted(self.values)
            below = math.floor(position)
            above = min(below + 1, self.count - 1)
            return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
        seen = 0
        for value, count in self._ascending():
            seen += count
            if seen > position:
                inside = min(max(value, self.low), self.high)
                return round(inside) if self.whole else inside
        return self.high

    def histogram(self, per_decade: int) -> list[tuple[float, float, int]]:
        """Counts in bins that are equally wide on a logarithmic axis, for numbers of 1 and above.

        Args:
            per_decade: bins between a number and ten times that number; the edges are the same for all sketches.

        Returns:
            ``(from, below, count)`` from the first bin with numbers to the last; numbers below 1 count in the first bin
            that starts at 1.
        """
        counts: dict[int, int] = {}
        exact = [(value, 1) for value in self.values] if self.values is not None else self._ascending()
        for value, count in exact:
            # The small addition keeps powers of ten in the bin that they begin.
            index = math.floor(math.log10(value) * per_decade + 1e-9) if value > 1 else 0
            counts[index] = counts.get(index, 0) + count
        if not counts:
            return []
        edge = [10 ** (index / per_decade) for index in range(max(counts) + 2)]
        return [(edge[i], edge[i + 1], counts.get(i, 0)) for i in range(min(counts), max(counts) + 1)]

    def _ascending(self) -> Iterator[tuple[float, int]]:
        """Each bin's middle and its count, from the lowest."""
        for index in sorted((i for i in self.negative if i is not None), reverse=True):
            yield -_middle(index), self.negative[index]
        if None in self.bins:
            yield 0.0, self.bins[None]
        for index in sorted(i for i in self.bins if i is not None):
            yield _middle(index), self.bins[index]


def _middle(index: int) -> float:
    """The value of a bin that is off by the least: the harmonic middle of its edges."""
    return 2 * GROWTH**index / (1 + GROWTH)
