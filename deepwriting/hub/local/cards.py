"""Metadata at the beginning of a card: what the Hub reads from it, and what it refuses."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepwriting.hub.local.entries import Entry

if TYPE_CHECKING:
    from deepwriting.hub.local.repository import Repository

_BLOCK = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
#: Keys that hold text or lists of text.
_TEXTS = (
    "license",
    "language",
    "tags",
    "task_categories",
    "size_categories",
    "source_datasets",
    "annotations_creators",
)
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def check_card(content: str) -> tuple[list[str], list[str]]:
    """Look at a card's metadata.

    Args:
        content: the whole card.

    Returns:
        errors, with which a commit is refused, and warnings.
    """
    import yaml

    block = _BLOCK.match(content)
    if block is None:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = yaml.safe_load(block[1])
    except yaml.YAMLError as error:
        return [f"YAML metadata cannot be read: {error}"], []
    if data is None:
        return [], ["empty or missing yaml metadata in repo card"]
    if not isinstance(data, dict):
        return ["YAML metadata must be a mapping of keys to values"], []
    return [*_wrong_texts(data), *_wrong_configs(data.get("configs"))], []


def _wrong_texts(data: Mapping[str, Any]) -> list[str]:
    errors = []
    for key in _TEXTS:
        value = data.get(key)
        values = value if isinstance(value, list) else [] if value is None else [value]
        errors += [
            f'"{key}" must be text or a list of texts, not {item!r}' for item in values if not isinstance(item, str)
        ]
        texts = [item for item in values if isinstance(item, str)]
        if key == "size_categories":
            errors += [
                f'"{key}" must be one of {", ".join(_SIZES)}, not {x!r}' for x in texts if x not in (*_SIZES, "unknown")
            ]
        if key == "license":
            errors += [
                f'"{key}" must be an identifier in lower case, not {x!r}' for x in texts if not _LICENSE.fullmatch(x)
            ]
    return errors


def _wrong_configs(configs: Any) -> list[str]:
    if configs is None:
        return []
    if not isinstance(configs, list) or not all(isinstance(item, dict) and "config_name" in item for item in configs):
        return ['"configs" must be a list of mappings with "config_name"']
    return []


def metadata_of(repository: Repository, files: Mapping[str, Entry]) -> dict[str, Any]:
    """The metadata of a repository's card; empty where there is none that can be read."""
    import yaml

    entry = files.get("README.md")
    if entry is None or entry.sha256:
        return {}
    block = _BLOCK.match(repository.objects.read(entry.oid).decode(errors="replace"))
    try:
        data = yaml.safe_load(block[1]) if block else {}
    except yaml.YAMLError:
        return {}
    return _plain(data) if isinstance(data, dict) else {}


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: YAML knows dates."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, (datetime.date, datetime.datetime)) else value
