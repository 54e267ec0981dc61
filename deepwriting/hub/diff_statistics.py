"""Numbers of two versions side by side: measures of the kept rows, and how many rows each label has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from deepwriting.dataset_cards.statistics import MEASURES
from deepwriting.hub.hashes import Table

#: Config whose measures are compared: what most readers load.
_KEPT = "default"
#: Config -> columns whose values are counted in it.
_COUNTED: Mapping[str, tuple[str, ...]] = {
    "default": ("category", "language", "source", "license", "stop_reason"),
    "all": ("flags", "drop_reasons", "scorer", "generator"),
}


@dataclass(frozen=True)
class Figure:
    """One number of both versions.

    Attributes:
        kind: ``rows``, ``mean``, ``median``, or the column whose values are counted.
        name: config, measure or value.
        old: the old number; ``None`` if the old version has none.
        new: the new number; ``None`` if the new version has none.
    """

    kind: str
    name: str
    old: float | None
    new: float | None


def compare_statistics(old: Mapping[str, Table], new: Mapping[str, Table]) -> tuple[Figure, ...]:
    """Compare the numbers of two versions.

    Args:
        old: config -> table of the old version.
        new: config -> table of the new version.

    Returns:
        Rows of every config; mean and median of every measure that changed; rows of every label whose rows changed.

    Raises:
        BuildError: if a file cannot be read.
    """
    names = list(dict.fromkeys((*old, *new)))
    figures = [Figure("rows", name, _rows(old.get(name)), _rows(new.get(name))) for name in names]
    kept = [_measures(tables.get(_KEPT)) for tables in (old, new)]
    for measure in MEASURES:
        for kind in ("mean", "median"):
            before, after = (found.get((kind, measure)) for found in kept)
            if before != after:
                figures.append(Figure(kind, measure, before, after))
    for config, columns in _COUNTED.items():
        for column in columns:
            first, second = (_counts(tables.get(config), column) for tables in (old, new))
            for value in sorted({*first, *second}, key=lambda value: (-max(first[value], second[value]), value)):
                if first[value] != second[value]:
                    figures.append(Figure(column, value, float(first[value]), float(second[value])))
    return tuple(figures)


def _rows(table: Table | None) -> float | None:
    return None if table is None else float(sum(file.rows for file in table.files))


def _measures(table: Table | None) -> dict[tuple[str, str], float]:
    """(kind, measure) -> its value; one column in memory at a time."""
    import numpy as np
    import pyarrow as pa

    found: dict[tuple[str, str], float] = {}
    types = table.types() if table else {}
    for measure in MEASURES:
        if table is None or measure not in types:
            continue
        parts = [batch.column(0) for batch in table.batches([measure])]
        if not parts or not (pa.types.is_integer(parts[0].type) or pa.types.is_floating(parts[0].type)):
            continue
        values = np.concatenate([part.drop_null().to_numpy().astype(np.float64) for part in parts])
        if len(values):
            found["mean", measure] = float(values.mean())
            found["median", measure] = float(np.median(values))
    return found


def _counts(table: Table | None, column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    if table is None or column not in table.types():
        return counts
    for batch in table.batches([column]):
        for value in batch.column(0).to_pylist():
            # A list of labels counts once for each.
            counts.update(set(value) if isinstance(value, list) else [str(value)])
    return counts
