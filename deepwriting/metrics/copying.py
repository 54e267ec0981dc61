"""How much of the answer stands verbatim in the thinking.

Searching for thinking that makes an answer likely rewards copying the answer into the thinking: nothing scores better.
The prompts forbid it; this measure notices it. It guards the search and is published per row.

Both texts become units (``metrics/units.py``). Windows of L units are compared by exact ids built by prefix doubling:
the id of a window of 2L units is the rank of the pair of ids of its halves, and a length between two powers of two is
covered by two overlapping windows. No hashing, therefore no collisions; O(n log n) in the units of both texts, and no
work on lengths far beyond the longest common run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepwriting.metrics.units import units

#: Shortest run that counts as copied (units). In 1,200 pairs of unrelated English passages of up to 1,500 words the
#: longest run shared by chance was 7 words. In Chinese 8 characters are only about five words: 5 % of pairs of 1,500
#: characters of formal documents share a set phrase of 8 or more, which adds little to a ratio
#: (benchmarks/calibrate_repetition.py, seed 1).
MIN_RUN = 8

#: Largest copied share of the answer that is not flagged. Unrelated texts have 0 and an answer copied whole has 1; a
#: tenth leaves room for a title, names and a few sentences tried out in the planning. A judgement, not a measurement.
MAX_COPY_RATIO = 0.1

#: Longest copied run that is not flagged (units): about one long sentence. 95 % of the sentences of two books have at
#: most 43 words (median 12), and half of those in Chinese instructions at most 33 characters
#: (calibrate_repetition.py, seed 1).
MAX_COPIED_RUN = 40


@dataclass(frozen=True)
class Copying:
    """What the thinking holds of the answer.

    Attributes:
        ratio: share of the answer's units inside runs of at least ``min_run`` units that stand verbatim in the
            thinking (0 to 1); 0 for an answer without units.
        longest_run: longest run of the answer that stands verbatim in the thinking, of whatever length (units).
    """

    ratio: float
    longest_run: int


def copied(answer: str, thinking: str, min_run: int = MIN_RUN) -> Copying:
    """Measure both copy measures in one pass.

    Args:
        answer: the solution y.
        thinking: the trajectory z.
        min_run: shortest run that counts for the ratio (units).

    Returns:
        The ratio and the longest run. An answer shorter than ``min_run`` units has ratio 0 even if it stands in the
        thinking as a whole; ``longest_run`` tells.

    Raises:
        ValueError: if ``min_run`` is below 1.
    """
    if min_run < 1:
        raise ValueError(f"min_run is {min_run}; at least 1 unit is allowed")
    windows = _Windows(units(answer), units(thinking))
    longest = windows.longest_common()
    if longest < min_run:
        return Copying(ratio=0.0, longest_run=longest)
    starts = windows.common_starts(min_run)
    # +1 where a copied window opens, -1 behind its end: the running sum is above 0 inside copied runs.
    edges = np.zeros(windows.answer_size + 1, dtype=np.int64)
    edges[starts] += 1
    edges[starts + min_run] -= 1
    covered = np.count_nonzero(np.cumsum(edges) > 0)
    return Copying(ratio=float(covered / windows.answer_size), longest_run=longest)


def copy_ratio(answer: str, thinking: str, min_run: int = MIN_RUN) -> float:
    """Share of the answer's units inside runs of at least ``min_run`` units that stand verbatim in the thinking.

    Args:
        answer: the solution y.
        thinking: the trajectory z.
        min_run: shortest run that counts (units).

    Returns:
        0 (nothing) to 1 (every unit of the answer).

    Raises:
        ValueError: if ``min_run`` is below 1.
    """
    return copied(answer, thinking, min_run).ratio


def longest_copied_run(answer: str, thinking: str) -> int:
    """Longest run of the answer that stands verbatim in the thinking (units); 0 if they share none."""
    return copied(answer, thinking).longest_run


class _Windows:
    """Ids of all windows of ``answer + separator + thinking``: two windows are equal exactly if their ids are."""

    def __init__(self, answer: list[str], thinking: list[str]) -> None:
        self.answer_size = len(answer)
        self._shorter = min(len(answer), len(thinking))
        vocabulary: dict[str, int] = {}
        numbers = [vocabulary.setdefault(unit, len(vocabulary) + 1) for unit in (*answer, *thinking)]
        # The separator 0 occurs once, so that a window across it equals no window of the thinking.
        numbers.insert(self.answer_size, 0)
        # levels[k]: id of the window of 2**k units from each position that has room for it.
        self._levels: list[npt.NDArray[np.int64]] = [np.asarray(numbers, dtype=np.int64)]

    def longest_common(self) -> int:
        """Length of the longest window that both texts hold (units)."""
        low, high = 0, 1
        while high <= self._shorter and self.common_starts(high).size:
            low, high = high, 2 * high
        high = min(high, self._shorter + 1)
        # Invariant: a common window of `low` units exists, none of `high` does.
        while high - low > 1:
            middle = (low + high) // 2
            if self.common_starts(middle).size:
                low = middle
            else:
                high = middle
        return low

    def common_starts(self, length: int) -> npt.NDArray[np.int64]:
        """Positions in the answer whose window of ``length`` units stands in the thinking; at most the shorter text."""
        ids = self._ids(length)
        in_answer = ids[: self.answer_size - length + 1]
        in_thinking = ids[self.answer_size + 1 :]
        return np.flatnonzero(np.isin(in_answer, in_thinking))

    def _ids(self, length: int) -> npt.NDArray[np.int64]:
        level = length.bit_length() - 1
        while len(self._levels) <= level:
            half = 1 << (len(self._levels) - 1)
            self._levels.append(_pair_ranks(self._levels[-1], half))
        offset = length - (1 << level)
        return _pair_ranks(self._levels[level], offset) if offset else self._levels[level]


def _pair_ranks(ids: npt.NDArray[np.int64], offset: int) -> npt.NDArray[np.int64]:
    """Rank of each pair ``(ids[i], ids[i + offset])`` among the distinct pairs; ids stay below the number of units."""
    pairs = ids[:-offset] * (int(ids.max()) + 1) + ids[offset:]
    ranks: npt.NDArray[np.int64] = np.unique(pairs, return_inverse=True)[1]
    return ranks
