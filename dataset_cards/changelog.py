"""The change log of the card: what this version changed, and what the versions before it did.

Both stand in the manifest's settings, so that a card can be rendered again from the release alone:

    settings["changes"]     sentences about this version
    settings["history"]     [{"version", "rows", "changes": [sentences]}], the version before this one first
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deepwriting.builders.manifest import Manifest
from deepwriting.dataset_cards.markdown import code, count, escaped
from deepwriting.errors import BuildError


def history_after(previous: Manifest) -> list[dict[str, Any]]:
    """``settings["history"]`` for a version that follows another one.

    Args:
        previous: manifest of the version before.

    Returns:
        That version's entry, then those it already had.
    """
    settings = previous.settings
    entry = {
        "version": previous.version,
        "rows": previous.counts.kept,
        "changes": [str(change) for change in settings.get("changes") or []],
    }
    return [entry, *settings.get("history", [])]


def describe(
    old: Manifest, new: Manifest, *, added: int | None = None, removed: int | None = None, changed: int | None = None
) -> list[str]:
    """What changed between two versions, in sentences for ``settings["changes"]``.

    Args:
        old: manifest of the version before.
        new: manifest of the version to describe.
        added: rows of the default config that only the new version has, where somebody compared them.
        removed: rows that only the old version has, likewise.
        changed: rows that both have with other content, likewise.

    Returns:
        Plain sentences; empty when the manifests show no difference and no numbers are given.
    """
    return [*_rows(old, new, added, removed, changed), *_configs(old, new), *_columns(old, new)]


def _rows(old: Manifest, new: Manifest, added: int | None, removed: int | None, changed: int | None) -> Iterator[str]:
    compared = {"added": added, "removed": removed, "changed": changed}
    parts = [f"{count(rows)} {verb}" for verb, rows in compared.items() if rows]
    if parts:
        yield f"Rows: {', '.join(parts)}."
    before, after = old.counts.kept, new.counts.kept
    if before != after:
        yield f"Kept rows: {count(before)} before, {count(after)} now."


def _configs(old: Manifest, new: Manifest) -> Iterator[str]:
    for verb, names in (
        ("New", new.configs.keys() - old.configs.keys()),
        ("Removed", old.configs.keys() - new.configs.keys()),
    ):
        if names:
            yield f"{verb} config{'s' * (len(names) > 1)}: {', '.join(sorted(names))}."
    for config in sorted(new.configs.keys() & old.configs.keys()):
        before, after = old.configs[config].splits.keys(), new.configs[config].splits.keys()
        for verb, splits in (("new", after - before), ("removed", before - after)):
            if splits:
                yield f"Config {config}: {verb} split {', '.join(sorted(splits))}."


def _columns(old: Manifest, new: Manifest) -> Iterator[str]:
    for config in sorted(new.schema.keys() & old.schema.keys()):
        before = {column.name: column.kind for column in old.schema[config]}
        after = {column.name: column.kind for column in new.schema[config]}
        parts = [f"new column {name}" for name in after if name not in before]
        parts += [f"column {name} is gone" for name in before if name not in after]
        parts += [
            f"column {name} is {after[name]}, was {kind}"
            for name, kind in before.items()
            if after.get(name, kind) != kind
        ]
        if parts:
            yield f"Config {config}: {'; '.join(parts)}."


def entries(settings: Mapping[str, Any], version: str, summary: str) -> str:
    """The change log as a Markdown list, this version first.

    Args:
        settings: settings of the manifest, see the module's docstring.
        version: this version.
        summary: a sentence about this version, in Markdown.

    Raises:
        BuildError: if ``changes`` or ``history`` have another shape.
    """
    lines = [f"- **{version}** (this version): {summary}", *_sentences(settings.get("changes") or [])]
    history = settings.get("history") or []
    for entry in history if isinstance(history, list) else [history]:
        if not isinstance(entry, Mapping) or "version" not in entry:
            raise BuildError(f"settings.history holds {entry!r}; expected records with version, rows and changes")
        rows = entry.get("rows")
        told = f": {count(rows)} rows in {code('default')}." if isinstance(rows, int) else ""
        lines += [f"- **{escaped(str(entry['version']))}**{told}", *_sentences(entry.get("changes") or [])]
    return "\n".join(lines)


def _sentences(changes: Sequence[Any]) -> Iterator[str]:
    if isinstance(changes, str) or not all(isinstance(change, str) for change in changes):
        raise BuildError(f"changes are {changes!r}; expected a list of sentences")
    yield from (f"  - {escaped(change)}" for change in changes)
