"""The manifest of a build: what is inside, where it came from, and the checksum of every file; written and read here.

    {"name", "version", "deepwriting_version", "settings",
     "configs": {config: {"rows", "splits": {split: {"rows", "arrow_bytes"}},
                          "files": [{"path", "sha256", "bytes", "rows", "split"}]}},
     "documents": [{"path", "sha256", "bytes"}],            every other file but the manifest: card, plots, …
     "counts": {"rows", "kept", "dropped", "dropped_by_reason"},
     "schema": {config: [{"name", "kind", "nullable", "doc"}]}}

A config or split without rows is left out. There is no time stamp, so that a rebuild from the same stage outputs gives
the same file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from deepwriting import __version__
from deepwriting.builders.parquet import FileFacts, TableFacts
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS


@dataclass(frozen=True)
class ManifestSplit:
    """One split of a config.

    Attributes:
        rows: number of rows.
        arrow_bytes: size in Arrow memory (bytes), which the card tells `datasets`.
    """

    rows: int
    arrow_bytes: int = 0


@dataclass(frozen=True)
class ManifestConfig:
    """One published table.

    Attributes:
        rows: rows of all splits.
        splits: split -> its rows; ``train`` stands before ``validation``.
        files: the Parquet files of all splits, in order.
    """

    rows: int
    splits: Mapping[str, ManifestSplit]
    files: tuple[FileFacts, ...]


@dataclass(frozen=True)
class ManifestColumn:
    """A column as the version of deepwriting that built the dataset described it; see ``schema.Column``."""

    name: str
    kind: str
    doc: str
    nullable: bool = False


@dataclass(frozen=True)
class ManifestCounts:
    """Rows of config ``all``: how many, how many the default config keeps, and why it leaves out the others."""

    rows: int
    kept: int
    dropped: int
    dropped_by_reason: Mapping[str, int]


@dataclass(frozen=True)
class Manifest:
    """A built dataset as its manifest describes it.

    Attributes:
        name: name of the dataset, without a namespace.
        version: version of the dataset, such as ``1.0.0``.
        deepwriting_version: version of deepwriting that built it.
        settings: facts about the run: recipe, models, hashes, seeds, counts.
        configs: config -> its splits and files; configs without rows are absent.
        documents: every other file but the manifest itself.
        counts: rows, kept and dropped.
        schema: config -> its columns in published order.
    """

    name: str
    version: str
    deepwriting_version: str
    settings: Mapping[str, Any]
    configs: Mapping[str, ManifestConfig]
    documents: tuple[FileFacts, ...]
    counts: ManifestCounts
    schema: Mapping[str, tuple[ManifestColumn, ...]]

    def files(self) -> Iterator[FileFacts]:
        """Every file of the dataset but the manifest: the tables, then the documents."""
        for config in self.configs.values():
            yield from config.files
        yield from self.documents


def read_manifest(folder: str | Path) -> Manifest:
    """Read the manifest of a dataset folder.

    Args:
        folder: folder of a built or downloaded dataset.

    Returns:
        The manifest; no file that it names is opened.

    Raises:
        BuildError: if there is none, it is damaged, or it names a file outside of the folder.
    """
    path = Path(folder) / MANIFEST_FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise BuildError(f"no {MANIFEST_FILE} in {folder}: it is not a built dataset") from None
    return parse_manifest(text, str(path))


def parse_manifest(text: str | bytes, origin: str = MANIFEST_FILE) -> Manifest:
    """The manifest that a JSON text holds; ``read_manifest`` tells the rest.

    Args:
        text: content of a ``manifest.json``.
        origin: what to call it in error messages.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        found = TypeAdapter(Manifest).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BuildError(f"{origin} is damaged: {where}: {first['msg']}") from error
    for file in found.files():
        check_inside(file.path, origin)
    return found


def check_inside(path: str, origin: str) -> None:
    """Refuse a file name that leads out of the dataset's folder.

    Args:
        path: path inside the folder, with forward slashes.
        origin: who names it, for the message.

    Raises:
        BuildError: if it is absolute, empty, or goes through ``..`` or a backslash.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
        raise BuildError(f"{origin} names the file {path!r}, which is not inside of the dataset's folder")


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
        documents: card, plots and whatever else is no table.
        counts: rows, kept and dropped.

    Returns:
        JSON with sorted keys, ending in a newline.
    """
    tables = list(tables)
    content = {
        "name": name,
        "version": version,
        "deepwriting_version": __version__,
        "settings": plain_settings(settings),
        "configs": {table.config: _config(table) for table in tables},
        "documents": [{"path": file.path, "sha256": file.sha256, "bytes": file.bytes} for file in documents],
        "counts": dict(counts),
        "schema": {table.config: [asdict(column) for column in CONFIG_COLUMNS[table.config]] for table in tables},
    }
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _config(table: TableFacts) -> dict[str, Any]:
    splits = {split.name: {"rows": split.rows, "arrow_bytes": split.arrow_bytes} for split in table.splits}
    return {"rows": table.rows, "splits": splits, "files": [asdict(file) for file in table.files]}
