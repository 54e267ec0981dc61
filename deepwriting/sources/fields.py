"""Typed access to the columns of a raw record: what is missing or of the wrong type becomes a reason, not a crash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Longest id taken from a column (characters); a longer one is not an id, and the record's location is used.
MAX_ID_CHARS = 200
#: Longest detail beside a reject reason (characters).
MAX_DETAIL_CHARS = 300
#: Longest whole number read from text (digits): scores and counts, never anything near Python's own limit.
_MAX_DIGITS = 18

#: Spellings of the languages that prompts exist for, as sources write them.
_LANGUAGE_CODES = {
    "en": "en", "eng": "en", "english": "en", "en-us": "en", "en-gb": "en",
    "zh": "zh", "zho": "zh", "chi": "zh", "cmn": "zh", "chinese": "zh", "mandarin": "zh", "zh-cn": "zh", "zh-tw": "zh",
    "zh-hans": "zh", "zh-hant": "zh", "chinese (simplified)": "zh", "chinese (traditional)": "zh", "中文": "zh",
}  # fmt: skip


class RecordError(Exception):
    """A raw record that is not a pair; the base class of readers turns it into a reject, so it never leaves them.

    Args:
        reason: short snake_case reason, counted in the run's report.
        detail: one sentence that helps to find and repair the record; cut to ``MAX_DETAIL_CHARS``.
    """

    def __init__(self, reason: str, detail: str = ""):
        self.reason = reason
        self.detail = detail[:MAX_DETAIL_CHARS]
        super().__init__(f"{reason}: {self.detail}")


def require(record: Mapping[str, Any], *columns: str) -> None:
    """Check that a record has all of these columns.

    Raises:
        RecordError: ``missing_columns``, naming those missing and those found.
    """
    missing = [column for column in columns if column not in record]
    if missing:
        found = ", ".join(str(column)[:40] for column in list(record)[:20]) or "none"
        raise RecordError("missing_columns", f"missing {', '.join(missing)}; found {found}")


def text_field(record: Mapping[str, Any], column: str, *, empty: str) -> str:
    """A column's text, as it is.

    Args:
        record: the raw record.
        column: name of the column.
        empty: reject reason for null and for text that is only white space.

    Raises:
        RecordError: ``missing_columns``, ``wrong_type`` or the reason given as ``empty``.
    """
    require(record, column)
    value = record[column]
    if value is None:
        raise RecordError(empty, f"{column} is null")
    if not isinstance(value, str):
        raise RecordError("wrong_type", f"{column} is {type(value).__name__}, not text")
    if not value.strip():
        raise RecordError(empty, f"{column} holds no text")
    return value


def integer_field(record: Mapping[str, Any], column: str) -> int:
    """A column's whole number; old dumps write numbers as text.

    Raises:
        RecordError: ``missing_columns`` or ``wrong_type``.
    """
    require(record, column)
    value = record[column]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(rf"[+-]?[0-9]{{1,{_MAX_DIGITS}}}", value.strip()):
        return int(value)
    raise RecordError("wrong_type", f"{column} is {type(value).__name__}, not a whole number")


def flag_field(record: Mapping[str, Any], column: str) -> bool | None:
    """A column's truth value; ``None`` when the column is missing or null.

    Raises:
        RecordError: ``wrong_type``.
    """
    value = record.get(column)
    if value is None or isinstance(value, bool):
        return value
    raise RecordError("wrong_type", f"{column} is {type(value).__name__}, not true or false")


def optional_text(record: Mapping[str, Any], column: str) -> str | None:
    """A column's text without surrounding space, or ``None`` when there is none: for provenance, never for x or y."""
    value = record.get(column)
    return value.strip() or None if isinstance(value, str) else None


def identifier(record: Mapping[str, Any], column: str) -> str | None:
    """A record's own id as text, or ``None`` when the column holds nothing that can serve as one."""
    value = record.get(column)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if isinstance(value, int) and abs(value) >= 10**_MAX_DIGITS:
        return None
    text = str(value).strip()
    return text if text and len(text) <= MAX_ID_CHARS and text.isprintable() else None


def language_code(name: str) -> str | None:
    """The code of a language as a source names it.

    Args:
        name: for example ``English``, ``zh-CN`` or, for a bilingual book, ``English and French``.

    Returns:
        ``en`` or ``zh``; ``None`` for every other language and for a mixture.
    """
    names = [part.strip() for part in re.split(r"[,;/&]|\band\b", name.lower()) if part.strip()]
    codes = {_LANGUAGE_CODES.get(part) for part in names}
    return codes.pop() if len(codes) == 1 else None
