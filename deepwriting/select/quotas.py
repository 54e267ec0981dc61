"""How many pairs each category gives, and each source of it: water-filling with limits, in whole pairs.

Picture a vessel for each category, as wide as its weight; what it has is all that it can hold. Water is poured in until
the wanted number of pairs has gone; a vessel that is full leaves what it cannot take to the others, in proportion to
their widths. Limits of sources tie vessels together, since two categories may live on one source: how far the level can
rise is then decided by a maximum flow, so that no category is served before another for its place in the list.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
#: Halvings of the level: enough to tell levels apart that differ by one pair in a hundred million.
_HALVINGS = 60


class _Flow:
    """Whole pairs on their way from rows to columns, by the shortest augmenting path."""

    def __init__(self, cells: Counts, columns: Counts):
        self.room = cells.copy()
        self.columns = columns.copy()
        self.sent = np.zeros_like(cells)

    def send(self, row: int, amount: int) -> int:
        """Send up to ``amount`` more from a row, rerouting others where that makes room; returns how many went."""
        gone = 0
        while gone < amount and (path := self._path(row)):
            most = [amount - gone, int(self.columns[path[-1][1]])]
            most += [int(self.room[cell]) for cell in path]
            most += [int(self.sent[row_, column]) for (_, column), (row_, _) in itertools.pairwise(path)]
            step = min(most)
            for index, cell in enumerate(path):
                self.room[cell] -= step
                self.sent[cell] += step
                if index:
                    back = (cell[0], path[index - 1][1])
                    self.room[back] += step
                    self.sent[back] -= step
            self.columns[path[-1][1]] -= step
            gone += step
        return gone

    def _path(self, start: int) -> list[tuple[int, int]]:
        """Cells to send along, the first in row ``start``; between two of them something is taken back."""
        came: dict[int, tuple[int, int]] = {}  # column -> the cell by which it was reached
        from_column: dict[int, int | None] = {start: None}
        rows = [start]
        for row in rows:  # grows
            for column in map(int, np.flatnonzero(self.room[row] > 0)):
                if column in came:
                    continue
                came[column] = (row, column)
                if self.columns[column] > 0:
                    path, at = [came[column]], row
                    while (before := from_column[at]) is not None:
                        path.append(came[before])
                        at = came[before][0]
                    return path[::-1]
                for other in map(int, np.flatnonzero(self.sent[:, column] > 0)):
                    if other not in from_column:
                        from_column[other] = column
                        rows.append(other)
        return []


def share_out(
    total: int,
    weights: NDArray[np.float64],
    cells: Counts,
    columns: Counts,
    *,
    limits: Counts | None = None,
    fixed: Counts | None = None,
) -> Counts:
    """Share out pairs over rows (categories) in proportion to their weights, as far as there are any.

    Args:
        total: pairs to share out, fixed ones included.
        weights: by row; a row of weight 0 gets no more than is fixed.
        cells: (rows, columns), the pairs that there are.
        columns: at most this many of each column (source).
        limits: at most this many of each row; ``None`` for no limit.
        fixed: pairs that rows have already and keep.

    Returns:
        Pairs by row: at most ``total`` together. No row could get more without another getting less that has no more
        for its weight than that one.
    """
    got = np.zeros(len(weights), dtype=np.int64) if fixed is None else fixed.copy()
    most = np.minimum(cells, columns).sum(axis=1)
    if limits is not None:
        most = np.minimum(most, limits)
    open_ = (weights > 0) & (got < most)
    level = 0.0
    while open_.any() and got.sum() < total:
        low, high = level, float((most[open_] / weights[open_]).max())
        if not _fits(_at(high, got, most, weights, open_), total, cells, columns):
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                if _fits(_at(middle, got, most, weights, open_), total, cells, columns):
                    low = middle
                else:
                    high = middle
        else:
            low = high
        level = low
        got = _at(low, got, most, weights, open_)
        flow = _sent(got, cells, columns)
        assert flow is not None
        # What is left of less than a pair each goes to whoever is nearest to the next one.
        missing = weights * high - got
        for row in sorted(map(int, np.flatnonzero(open_)), key=lambda row: (-missing[row], row)):
            if got[row] >= most[row] or not flow.room[row].any():
                open_[row] = False
            elif got.sum() < total:
                if flow.send(row, 1):
                    got[row] += 1
                else:
                    open_[row] = False
        open_ &= got < most
    return got


def _at(level: float, got: Counts, most: Counts, weights: NDArray[np.float64], open_: NDArray[np.bool_]) -> Counts:
    """What each row has when the water stands at a level."""
    raised = np.maximum(got, np.minimum(most, np.floor(weights * level + 1e-9).astype(np.int64)))
    found: Counts = np.where(open_, raised, got)
    return found


def _fits(wanted: Counts, total: int, cells: Counts, columns: Counts) -> bool:
    return int(wanted.sum()) <= total and _sent(wanted, cells, columns) is not None


def _sent(wanted: Counts, cells: Counts, columns: Counts) -> _Flow | None:
    """A flow that gives each row what it wants; ``None`` if there is none."""
    flow = _Flow(cells, columns)
    for row in map(int, np.flatnonzero(wanted)):
        if flow.send(row, int(wanted[row])) < wanted[row]:
            return None
    return flow


def wanted(total: int, weights: NDArray[np.float64]) -> Counts:
    """Whole shares of ``total`` in proportion to weights: rounded down, the rest to the largest remainders."""
    if not weights.any():
        return np.zeros(len(weights), dtype=np.int64)
    exact = total * weights / weights.sum()
    whole: Counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.lexsort((np.arange(len(weights)), -(exact - whole)))
    whole[order[: total - int(whole.sum())]] += 1
    return whole


def cells_for(rows: Counts, columns: Counts, cells: Counts, preferred: Counts) -> Counts:
    """How many pairs each row takes from each column.

    Args:
        rows: what each row gets; it must be possible.
        columns: at most this many of each column.
        cells: the pairs that there are.
        preferred: what the rows would take if columns had no limits; adds up to ``rows``. A column that is asked for
            too much gives every row the same share of what it would have taken, and the rows take the rest elsewhere.
    """
    asked = preferred.sum(axis=0)
    shrunk = np.where(asked > columns, preferred * columns // np.maximum(asked, 1), preferred)
    flow, rest = _Flow(shrunk, columns), rows.copy()
    for given in (shrunk, cells):
        flow.room = given - flow.sent
        for row in map(int, np.flatnonzero(rest)):
            rest[row] -= flow.send(row, int(rest[row]))
    assert not rest.any(), "the rows' numbers were possible"
    sent: Counts = flow.sent
    return sent
