"""The distribution of a number over any number of rows, in bounded memory.

Up to ``EXACT`` values are kept as they are, so that the figures of a small run are exact. Beyond that only counts are
kept, in bins whose edges grow by one per cent (the idea of DDSketch: Masson, Rim and Lee, 2019), and a quantile is off
by at most half a per cent of its value. Sketches of parts add up to the sketch of the whole, whatever the parts were.
"""

from __future__ import annotations

import math
from array import array

#: Values that are kept as they are; also how many are put into bins at a time.
EXACT = 2_000
#: One bin's upper edge over its lower one; quantiles are off by half of what it exceeds 1 by.
GROWTH = 1.01
#: Numbers closer to zero than this count as zero; with ``LARGEST`` it bounds the number of bins (about 5,500).
SMALLEST = 1e-9
LARGEST = 1e15
_STEP = math.log(GROWTH)
#: Added to the numbers of bins, so that they are above zero.
_FIRST = 1 - math.floor(math.log(SMALLEST) / _STEP)


class Sketch:
    """Count, mean, extremes, quantiles and histogram of the numbers that were added."""

    __slots__ = ("binned", "bins", "high", "low", "total", "values", "whole")

    def __init__(self) -> None:
        #: Every value so far, as long as they are few; later those that are not in bins yet.
        self.values = array("d")
        #: How many values are in bins.
        self.binned = 0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.whole = True
        #: Bin -> count. Bins are numbered in the order of their values: 0 is zero, and -n is what n is, below zero.
        self.bins: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Count one number."""
        self.values.append(value)
        if len(self.values) > EXACT:
            self._bin()

    def merge(self, other: Sketch) -> None:
        """Add the numbers of another sketch."""
        if other.binned:
            self._bin()
            self.binned += other.binned
            self.total += other.total
            self.low, self.high = min(self.low, other.low), max(self.high, other.high)
            self.whole = self.whole and other.whole
            for index, count in other.bins.items():
                self.bins[index] = self.bins.get(index, 0) + count
        self.values.extend(other.values)
        if self.binned or len(self.values) > EXACT:
            self._bin()

    @property
    def count(self) -> int:
        """How many numbers were added."""
        return self.binned + len(self.values)

    def summary(self, shares: tuple[float, ...]) -> tuple[float, float, float, list[float]]:
        """Mean, smallest, largest, and the value below which each of some shares of the numbers lies.

        Args:
            shares: 0.5 for the median.

        Returns:
            Mean, smallest and largest are exact; quantiles are exact (interpolated) for few numbers, else within half a
            per cent. NaN without numbers.
        """
        if not self.count:
            return math.nan, math.nan, math.nan, [math.nan for _ in shares]
        if not self.binned:
            ordered = sorted(self.values)
            quantiles = [_interpolated(ordered, share) for share in shares]
            return math.fsum(ordered) / len(ordered), ordered[0], ordered[-1], quantiles
        self._bin()
        quantiles = [self._quantile(share) for share in shares]
        return self.total / self.binned, self.low, self.high, quantiles

    def histogram(self, per_decade: int) -> list[tuple[float, float, int]]:
        """Counts in bins that are equally wide on a logarithmic axis, for numbers of 1 and above.

        Args:
            per_decade: bins between a number and ten times that number; the edges are the same for all sketches.

        Returns:
            ``(from, below, count)`` from the first bin with numbers to the last; numbers below 1 count in the bin that
            starts at 1.
        """
        if self.binned:
            self._bin()
        counts: dict[int, int] = {}
        for value, count in self._ascending() if self.binned else [(value, 1) for value in self.values]:
            # The small addition keeps powers of ten in the bin that they begin.
            index = math.floor(math.log10(value) * per_decade + 1e-9) if value > 1 else 0
            counts[index] = counts.get(index, 0) + count
        if not counts:
            return []
        edges = [10 ** (index / per_decade) for index in range(max(counts) + 2)]
        return [(edges[i], edges[i + 1], counts.get(i, 0)) for i in range(min(counts), max(counts) + 1)]

    def _bin(self) -> None:
        """Put the values into bins."""
        import numpy as np

        if not self.values:
            return
        values = np.frombuffer(self.values, dtype=np.float64)
        self.binned += len(values)
        self.total += float(values.sum())
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.whole = self.whole and bool((values == np.floor(values)).all())
        sizes = np.abs(values)
        numbers = np.ceil(np.log(np.clip(sizes, SMALLEST, LARGEST)) / _STEP).astype(int) + _FIRST
        numbers = np.where(sizes < SMALLEST, 0, np.sign(values).astype(int) * numbers)
        bins, counts = np.unique(numbers, return_counts=True)
        for index, count in zip(bins.tolist(), counts.tolist(), strict=True):
            self.bins[index] = self.bins.get(index, 0) + count
        self.values = array("d")

    def _quantile(self, share: float) -> float:
        position, seen = share * (self.binned - 1), 0
        for value, count in self._ascending():
            seen += count
            if seen > position:
                inside = min(max(value, self.low), self.high)
                return float(round(inside)) if self.whole else inside
        return self.high

    def _ascending(self) -> list[tuple[float, int]]:
        """Each bin's middle and its count, from the lowest."""
        return [(_middle(index), self.bins[index]) for index in sorted(self.bins)]


def _interpolated(ordered: list[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def _middle(index: int) -> float:
    """The value of a bin that is off by the least: the harmonic middle of its edges."""
    return math.copysign(2 * GROWTH ** (abs(index) - _FIRST) / (1 + GROWTH), index) if index else 0.0
