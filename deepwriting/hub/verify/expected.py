"""What every other config should hold, made from the rows of ``all`` by the builder's own functions.

Of each expected row two hashes stay, its id's and its content's; the published table is reduced to the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from deepwriting.builders.ablations import LITERATURE_DOMAINS, searched_without_reflection, stays
from deepwriting.builders.manifest import Manifest, ManifestConfig
from deepwriting.builders.tables import rows
from deepwriting.errors import BuildError
from deepwriting.hub.hashes import Hashes, batches, numbered, short_hash
from deepwriting.hub.verify.report import Check
from deepwriting.hub.verify.tables import require_own_types
from deepwriting.schema import CONFIG_COLUMNS, Column, pair_of
from deepwriting.sections.outcome import FiltersSection

Row = dict[str, Any]
#: Configs that hold some of the kept rows, by their length.
_BY_LENGTH = ("short", "long")


class _Pairs:
    """Ids and contents of rows, as hashes."""

    def __init__(self) -> None:
        self.ids, self.contents = array("Q"), array("Q")

    def add(self, name: str, content: int) -> None:
        self.ids.append(short_hash(name.encode()))
        self.contents.append(content)

    @property
    def keys(self) -> Hashes:
        return numbered(np.array(self.ids, dtype=np.uint64))

    @property
    def values(self) -> Hashes:
        return np.array(self.contents, dtype=np.uint64)


class Expected:
    """Collects what the configs should hold, then compares.

    Args:
        manifest: manifest of the dataset.
        filters: thresholds by which ``initial`` is measured; without them that config is left out.
        check: where differences go.
    """

    def __init__(self, manifest: Manifest, filters: FiltersSection | None, check: Check):
        self.manifest, self.filters, self.check = manifest, filters, check
        build = manifest.settings.get("build")
        own = searched_without_reflection(manifest.settings)
        self.downsample = build.get("downsample") if isinstance(build, Mapping) else None
        skipped = {"all", "steps"} | ({"no-reflection"} if not own else set())
        if filters is None:
            skipped.add("initial")
        if "steps" not in manifest.configs:
            skipped.add("preferences")
        self.made = {name: _Pairs() for name in CONFIG_COLUMNS if name in manifest.configs and name not in skipped}
        # What parts the short rows from the long ones is known only when all have been seen.
        self.lengths, self.staying = array("q"), array("B")
        self.kept_pairs: set[int] = set()

    def add(self, split: str, document: Row) -> None:
        """Make the rows of all configs from one of ``all``.

        Args:
            split: the split that the row lies in.
            document: the row in the layout that the build reads.

        Raises:
            SchemaError: if the row breaks the schema, or its steps do not fit its segments.
        """
        row = document["metadata"]
        if not row["keep"]:
            return
        self.kept_pairs.add(short_hash(pair_of(row["row_id"]).encode()))
        self.lengths.append(row["thinking_tokens_after"])
        for config, pairs in self.made.items():
            if config == "no-literature" and row["domain"] in LITERATURE_DOMAINS:
                continue
            for record in rows(config, document, self.filters):
                pairs.add(row["row_id"], _content(split, record, CONFIG_COLUMNS[config]))
        self.staying.append(self.downsample is None or stays(row["row_id"], self.downsample))

    def compare(self, folder: Path) -> None:
        """Read the published configs and note what differs."""
        compared = []
        for config, told in self.manifest.configs.items():
            if config in ("all", "steps"):
                continue
            try:
                if config in self.made:
                    self._compare(folder, config, told)
                    compared.append(config)
                elif config == "no-reflection":
                    self._another_run(folder, told)
                else:
                    self.check.notes.append(f"{config} was not compared")
            except BuildError as error:
                self.check.reason = str(error)
        self.check.looked_at = f"{len(compared)} configs"

    def _compare(self, folder: Path, config: str, told: ManifestConfig) -> None:
        require_own_types(folder, self.manifest, config)
        columns = CONFIG_COLUMNS[config]
        published, names = _Pairs(), []
        for split, record in _published(folder, told, columns):
            name = _name(record)
            published.add(name, _content(split, record, columns))
            names.append(name)
        made = self.made[config]
        wanted, values, needed = made.keys, made.values, self._needed(config, len(made.ids))
        found = published.keys
        _, at_made, at_found = np.intersect1d(wanted, found, assume_unique=True, return_indices=True)
        for place in np.sort(at_found[values[at_made] != published.values[at_found]]).tolist():
            self.check.found(f"{config}: other content", f"{names[place]} is not what `all` says")
        for place in np.setdiff1d(np.arange(len(found)), at_found[needed[at_made] >= 0]).tolist():
            self.check.found(f"{config}: rows that do not belong there", names[place])
        missing = np.setdiff1d(np.flatnonzero(needed > 0), at_made)
        if len(missing):
            self.check.found(f"{config}: rows missing", f"{len(missing):,} rows that `all` has", len(missing))

    def _needed(self, config: str, size: int) -> Any:
        """For each expected row: 1 if it has to be published, 0 if it may be, -1 if it must not."""
        needed = np.ones(size, dtype=np.int8)
        if config not in _BY_LENGTH:
            return needed
        lengths = np.array(self.lengths)
        middle = np.sort(lengths)[(len(lengths) - 1) // 2] if len(lengths) else 0
        on_its_side = (lengths > middle) == (config == "long")
        if self.downsample is None:
            return np.where(on_its_side, 1, 0)
        return np.where(on_its_side | np.array(self.staying, dtype=bool), 1, -1)

    def _another_run(self, folder: Path, told: ManifestConfig) -> None:
        """Rows of another run cannot be made here; but each belongs to a pair that is kept."""
        for _, record in _published(folder, told, CONFIG_COLUMNS["no-reflection"]):
            if short_hash(pair_of(record["row_id"]).encode()) not in self.kept_pairs:
                self.check.found("no-reflection: rows that do not belong there", record["row_id"])
        self.check.notes.append("no-reflection comes from another run: only its pairs were compared")


def _published(folder: Path, told: ManifestConfig, columns: tuple[Column, ...]) -> Any:
    for file in told.files:
        for batch in batches(folder, file.path, [column.name for column in columns]):
            for record in batch.to_pylist():
                yield file.split, record


def _name(record: Row) -> str:
    found = record["row_id"] if "row_id" in record else (record.get("extra_info") or {}).get("index")
    return str(found)


def _content(split: str, record: Row, columns: tuple[Column, ...]) -> int:
    """Hash of a row as it is published: with float32 rounding, and in its split."""
    values: list[Any] = [split]
    for column in columns:
        value = record[column.name]
        values.append(float(np.float32(value)) if column.kind == "float32" and value is not None else value)
    return short_hash(orjson.dumps(values, default=repr))
