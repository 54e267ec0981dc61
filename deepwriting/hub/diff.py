"""What changed between two versions of a dataset, and which kind of version that asks for.

    schema changed (configs, splits, columns, types)    major
    rows changed (added, removed, other values)         minor
    anything else (card, plots, settings, sharding)     patch

Rows are compared in every config by row id, column by column, through hashes (``rows.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepwriting.builders.manifest import Manifest, ManifestConfig, read_manifest
from deepwriting.hub.diff_statistics import Figure, compare_statistics
from deepwriting.hub.hashes import Table
from deepwriting.hub.rows import RowChanges, compare_rows
from deepwriting.schema import CONFIG_COLUMNS

Bump = Literal["major", "minor", "patch", "none"]
#: Settings whose differences say nothing of their own: the funnel's counts, and the last change log.
_SAID_ELSEWHERE = frozenset({"counts", "changes"})


@dataclass(frozen=True)
class ConfigChange:
    """How one config differs.

    Attributes:
        name: name of the config.
        old_splits: split -> rows in the old version; empty if it is new.
        new_splits: split -> rows in the new version; empty if it is gone.
        added: columns that are new.
        removed: columns that are gone.
        retyped: column -> (old type, new type); a column that may be null from now on, or no longer, counts.
        reordered: whether the common columns stand in another order.
        rows: differences of the rows; ``None`` for a config that only one version has.
    """

    name: str
    old_splits: Mapping[str, int]
    new_splits: Mapping[str, int]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    reordered: bool = False
    rows: RowChanges | None = None

    @property
    def schema_changed(self) -> bool:
        """Whether who reads the old version has to look at the new one first."""
        columns = self.added or self.removed or self.retyped or self.reordered
        return bool(columns) or self.old_splits.keys() != self.new_splits.keys()

    @property
    def rows_changed(self) -> bool:
        """Whether it holds other rows."""
        return self.rows is None or self.rows.any


@dataclass(frozen=True)
class Diff:
    """The differences between two versions of a dataset.

    Attributes:
        old: manifest of the old version.
        new: manifest of the new version.
        configs: every config of either version, in the order of the schema.
        statistics: numbers of both versions side by side.
        settings: dotted name -> (old value, new value); ``None`` where there was or is none.
        files: documents that were added, removed or changed, by path.
    """

    old: Manifest
    new: Manifest
    configs: tuple[ConfigChange, ...]
    statistics: tuple[Figure, ...]
    settings: Mapping[str, tuple[Any, Any]]
    files: tuple[str, ...]

    @property
    def schema_changed(self) -> bool:
        """Whether configs, splits, columns or types differ."""
        return any(config.schema_changed for config in self.configs)

    @property
    def rows_changed(self) -> bool:
        """Whether any config holds other rows, or the same in another order."""
        return any(config.rows_changed for config in self.configs)

    @property
    def required_bump(self) -> Bump:
        """Which part of the version has to grow, at least."""
        if self.schema_changed:
            return "major"
        if self.rows_changed:
            return "minor"
        return "patch" if self.files or self.settings or _contents(self.old) != _contents(self.new) else "none"

    def config(self, name: str) -> ConfigChange | None:
        """The differences of one config, if either version has it."""
        return next((config for config in self.configs if config.name == name), None)


def compare(old: Path, new: Path, watch: Callable[[str], None] | None = None) -> Diff:
    """Compare two dataset folders.

    Args:
        old: folder of the old version.
        new: folder of the new version.
        watch: told the name of each config before its rows are compared.

    Returns:
        All differences.

    Raises:
        BuildError: if one of them is no dataset, or a file of it cannot be read.
    """
    before, after = read_manifest(old), read_manifest(new)
    names = [*CONFIG_COLUMNS, *sorted({*before.configs, *after.configs} - CONFIG_COLUMNS.keys())]
    changes = []
    for name in names:
        if name in before.configs or name in after.configs:
            if watch:
                watch(name)
            changes.append(_compare_config(name, old, before, new, after))
    return Diff(
        old=before,
        new=after,
        configs=tuple(changes),
        statistics=compare_statistics(_tables(old, before), _tables(new, after)),
        settings=_settings(before.settings, after.settings),
        files=_files(before, after),
    )


def _tables(folder: Path, manifest: Manifest) -> dict[str, Table]:
    return {name: Table(folder, config.files) for name, config in manifest.configs.items()}


def _splits(config: ManifestConfig | None) -> dict[str, int]:
    return {name: split.rows for name, split in config.splits.items()} if config else {}


def _compare_config(name: str, old: Path, before: Manifest, new: Path, after: Manifest) -> ConfigChange:
    one, two = before.configs.get(name), after.configs.get(name)
    if one is None or two is None:
        return ConfigChange(name, _splits(one), _splits(two))
    first, second = Table(old, one.files), Table(new, two.files)
    types, new_types = _types(name, first, before), _types(name, second, after)
    same_order = [c for c in types if c in new_types] == [c for c in new_types if c in types]
    if [(f.sha256, f.split) for f in one.files] == [(f.sha256, f.split) for f in two.files]:
        rows = RowChanges(one.rows, two.rows)
    else:
        rows = compare_rows(name, first, second)
    return ConfigChange(
        name,
        _splits(one),
        _splits(two),
        added=tuple(column for column in new_types if column not in types),
        removed=tuple(column for column in types if column not in new_types),
        retyped={c: (types[c], new_types[c]) for c in types if c in new_types and types[c] != new_types[c]},
        reordered=not same_order,
        rows=rows,
    )


def _types(config: str, table: Table, manifest: Manifest) -> dict[str, str]:
    """Column -> type as the files have it, and whether the manifest allows a null."""
    nullable = {column.name for column in manifest.schema.get(config, ()) if column.nullable}
    return {name: f"{kind} or null" if name in nullable else kind for name, kind in table.types().items()}


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted names and plain values; a list is one value."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from flattened(value[key], f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    before, after = (
        dict(flattened({key: value for key, value in settings.items() if key not in _SAID_ELSEWHERE}))
        for settings in (old, new)
    )
    names = sorted({*before, *after} - {""})
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _contents(manifest: Manifest) -> dict[str, str]:
    return {file.path: file.sha256 for file in manifest.files()}


def _files(old: Manifest, new: Manifest) -> tuple[str, ...]:
    before, after = ({file.path: file.sha256 for file in manifest.documents} for manifest in (old, new))
    return tuple(sorted(path for path in {*before, *after} if before.get(path) != after.get(path)))
