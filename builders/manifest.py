"""The manifest of a build: what is inside, where it came from, and the checksum of every file.

    {"name", "version", "deepwriting_version", "settings",
     "configs": {config: {"rows", "files": [{"path", "sha256", "bytes", "rows"}]}},
     "documents": [{"path", "sha256", "bytes"}],            card and plots
     "counts": {"rows", "kept", "dropped", "dropped_by_reason"},
     "schema": {config: [{"name", "kind", "nullable", "doc"}]}}

It holds no time stamp, so that a rebuild from the same stage outputs gives the same file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from deepwriting import __version__
from deepwriting.builders.parquet import FileFacts, TableFacts
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as JSON would give them back: tuples become lists, keys strings, order disappears.

    Raises:
        BuildError: if a value has no JSON form.
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(settings), sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BuildError(f"settings for the manifest cannot be written as JSON: {error}") from error
    return plain


def manifest(
    *,
    name: str,
    version: str,
    settings: Mapping[str, Any],
    tables: Iterable[TableFacts],
    documents: Iterable[FileFacts],
    counts: Mapping[str, Any],
) -> str:
    """The manifest's text; equal for equal builds, without any time stamp.

    Args:
        name: name of the dataset.
        version: version of the dataset.
        settings: free-form facts about the run.
        tables: the written tables.
        documents: card and plots.
        counts: rows, kept and dropped.

    Returns:
        JSON with sorted keys, ending in a newline.
    """
    content = {
        "name": name,
        "version": version,
        "deepwriting_version": __version__,
        "settings": plain_settings(settings),
        "configs": {table.config: {"rows": table.rows, "files": [asdict(f) for f in table.files]} for table in tables},
        "documents": [{"path": file.path, "sha256": file.sha256, "bytes": file.bytes} for file in documents],
        "counts": dict(counts),
        "schema": {config: [asdict(column) for column in columns] for config, columns in CONFIG_COLUMNS.items()},
    }
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
