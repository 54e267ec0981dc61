"""Checks that a value has the kind its column promises, before Arrow makes a riddle or a silent cast of a mismatch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from deepwriting.builders.features import RECORD_FIELDS, SINGLE_RECORDS
from deepwriting.errors import SchemaError
from deepwriting.schema import Column, Kind

#: Largest finite float32 (IEEE 754); a larger number would be published as infinity.
FLOAT32_MAX = 3.4028234663852886e38
#: Range of int32.
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
#: A value in an error message is cut after this many characters.
SHOWN_CHARACTERS = 80


def _scalar_fits(value: Any, kind: Kind) -> bool:
    # bool is a subclass of int in Python, but a flag in a count column is a mistake.
    if kind == "string":
        return isinstance(value, str)
    if kind == "bool":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind == "int32":
        return isinstance(value, int) and INT32_MIN <= value <= INT32_MAX
    return isinstance(value, (int, float)) and math.isfinite(value) and abs(value) <= FLOAT32_MAX


def _record_fits(value: Any, fields: Mapping[str, Kind]) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == fields.keys()
        and all(_scalar_fits(value[name], field) for name, field in fields.items())
    )


def _fits(value: Any, kind: Kind) -> bool:
    if kind in RECORD_FIELDS:
        return isinstance(value, list) and all(_record_fits(item, RECORD_FIELDS[kind]) for item in value)
    if kind in SINGLE_RECORDS:
        return _record_fits(value, SINGLE_RECORDS[kind])
    if kind == "strings":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return _scalar_fits(value, kind)


def _expected(kind: Kind) -> str:
    if kind in RECORD_FIELDS or kind in SINGLE_RECORDS:
        what, known = ("a list of records", RECORD_FIELDS) if kind in RECORD_FIELDS else ("a record", SINGLE_RECORDS)
        return f"{what} {{{', '.join(f'{name}: {field}' for name, field in known[kind].items())}}}"
    return "a list of strings" if kind == "strings" else f"a finite {kind}" if kind == "float32" else f"a {kind}"


def checked(value: Any, column: Column, row: str) -> Any:
    """Return ``value`` if it fits its column.

    Args:
        value: what the shard holds; None stands for a missing value.
        column: the column it is meant for.
        row: id of the row, for the message.

    Returns:
        The value, unchanged.

    Raises:
        SchemaError: if a required value is missing or the value has another kind.
    """
    if value is None:
        if column.nullable:
            return None
        raise SchemaError(f"row {row}: column {column.name!r} is missing; expected {_expected(column.kind)}")
    if not _fits(value, column.kind):
        shown = repr(value)
        if len(shown) > SHOWN_CHARACTERS:
            shown = shown[:SHOWN_CHARACTERS] + "…"
        raise SchemaError(f"row {row}: column {column.name!r} holds {shown}; expected {_expected(column.kind)}")
    return value
