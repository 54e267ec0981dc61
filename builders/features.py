"""Column kinds of ``schema.py`` as `datasets` features: the one place where the two type systems meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS, Column, Kind

if TYPE_CHECKING:
    import datasets

#: Kinds that hold one value; the name is also the name of the `datasets` and Arrow type.
SCALAR_KINDS: tuple[Kind, ...] = ("string", "bool", "int32", "float32")
#: Kinds that are lists of records: field name -> kind of the field.
RECORD_FIELDS: Mapping[Kind, Mapping[str, Kind]] = {
    "messages": {"role": "string", "content": "string"},
    "pattern_counts": {"pattern": "string", "count": "int32"},
    "reasoning_messages": {"role": "string", "content": "string", "reasoning_content": "string"},
    "segments": {"initial": "string", "final": "string", "edited": "bool"},
}
#: Kinds that are one record: field name -> kind of the field.
SINGLE_RECORDS: Mapping[Kind, Mapping[str, Kind]] = {
    "reward_model": {"ground_truth": "string", "style": "string"},
    "extra_info": {"index": "string"},
}


def columns(config: str) -> tuple[Column, ...]:
    """Columns of one config.

    Args:
        config: one of ``schema.CONFIG_COLUMNS``.

    Returns:
        The columns in published order.

    Raises:
        BuildError: if there is no such config.
    """
    if config not in CONFIG_COLUMNS:
        raise BuildError(f"unknown config {config!r}: allowed are {', '.join(CONFIG_COLUMNS)}")
    return CONFIG_COLUMNS[config]


def feature(kind: Kind) -> Any:
    """The `datasets` feature of one column kind: a ``Value``, a record, or a ``List`` of values or of records."""
    from datasets import List, Value

    if kind in SCALAR_KINDS:
        return Value(kind)
    if kind == "strings":
        return List(Value("string"))
    if kind in SINGLE_RECORDS:
        return {name: Value(field) for name, field in SINGLE_RECORDS[kind].items()}
    return List({name: Value(field) for name, field in RECORD_FIELDS[kind].items()})


def features(config: str) -> datasets.Features:
    """Types of one config for `datasets`.

    Args:
        config: one of ``schema.CONFIG_COLUMNS``.

    Returns:
        Features in column order; ``features(config).arrow_schema`` is the schema of the Parquet files.

    Raises:
        BuildError: if there is no such config.
    """
    from datasets import Features

    return Features({column.name: feature(column.kind) for column in columns(config)})
