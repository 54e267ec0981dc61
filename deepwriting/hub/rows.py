"""Rows of two tables compared by their keys: what came, what went, and which columns of the others changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from deepwriting.hub.hashes import Hashes, Table, joined, numbered

#: Columns that identify a row, where that is not ``row_id`` alone.
KEYS: Mapping[str, tuple[str, ...]] = {
    "steps": ("row_id", "step", "candidate_index"),
    "verl": ("extra_info",),
}
#: What stands among the changed columns for rows that moved to another split.
SPLIT = "(split)"
#: Ids of added, removed and changed rows that are named.
MOST_EXAMPLES = 5


@dataclass(frozen=True)
class RowChanges:
    """How the rows of one table differ between two versions.

    Attributes:
        old: rows of the old table.
        new: rows of the new table.
        added: rows whose key only the new table has.
        removed: rows whose key only the old one has.
        changed: rows of both with another value in at least one common column, or in another split.
        reordered: whether nothing but the order of the rows changed.
        columns: column -> changed rows, most first; ``(split)`` for those that moved.
        examples: ``added``, ``removed`` and ``changed`` -> ids of some such rows.
    """

    old: int
    new: int
    added: int = 0
    removed: int = 0
    changed: int = 0
    reordered: bool = False
    columns: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether the tables hold different rows, or the same in another order."""
        return bool(self.added or self.removed or self.changed or self.reordered)


def compare_rows(config: str, old: Table, new: Table) -> RowChanges:
    """Compare two tables.

    Args:
        config: name of the config, which decides by which columns rows are recognised.
        old: the old table.
        new: the new table.

    Returns:
        The differences in the columns that both have.

    Raises:
        BuildError: if a file cannot be read.
    """
    theirs = new.types()
    common = [column for column in old.types() if column in theirs]
    key = [column for column in KEYS.get(config, ("row_id",)) if column in common]
    # Without a key a row is recognised by all that it holds, and can only come or go.
    old_keys, new_keys = (numbered(joined(*(table.hashes(name) for name in key or common))) for table in (old, new))
    _, at_old, at_new = np.intersect1d(old_keys, new_keys, assume_unique=True, return_indices=True)
    changed = np.zeros(len(at_old), dtype=bool)
    columns: dict[str, int] = {}
    for column in common if key else ():
        if column in key:
            continue
        differs = old.hashes(column)[at_old] != new.hashes(column)[at_new]
        if count := int(differs.sum()):
            columns[column] = count
            changed |= differs
    differs = old.splits()[at_old] != new.splits()[at_new]
    if count := int(differs.sum()):
        columns[SPLIT] = count
        changed |= differs
    added, removed = _others(len(new_keys), at_new), _others(len(old_keys), at_old)
    plain = not len(added) and not len(removed) and not changed.any()
    examples = {}
    if "row_id" in common:
        for name, table, places in (
            ("added", new, added),
            ("removed", old, removed),
            ("changed", new, at_new[changed]),
        ):
            examples[name] = table.values_at("row_id", np.sort(places)[:MOST_EXAMPLES].tolist())
    return RowChanges(
        old=len(old_keys),
        new=len(new_keys),
        added=len(added),
        removed=len(removed),
        changed=int(changed.sum()),
        reordered=plain and not np.array_equal(old_keys, new_keys),
        columns=dict(sorted(columns.items(), key=lambda item: (-item[1], item[0]))),
        examples=examples,
    )


def _others(size: int, places: Hashes) -> Hashes:
    """The places below ``size`` that are not among ``places``."""
    left = np.ones(size, dtype=bool)
    left[places] = False
    return np.flatnonzero(left)
