"""The change log of the card: what this version changed, and what the versions before it did.

Both stand in the manifest's settings, so that a card can be rendered again from the release alone:

    settings["changes"]     sentences about this version; ``hub/changes.py`` writes them from a comparison
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
