"""Personal data and secrets in what would be published: the rows, the card, the manifest.

Texts that stand in several configs are looked at once. What was found is told by kind and place, never by value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from deepwriting.builders.manifest import Manifest
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.cleaning.pii import KINDS, mask
from deepwriting.hub.preflight.base import Check, some
from deepwriting.hub.preflight.files import run_of
from deepwriting.hub.preflight.secrets import find_paths, find_secrets, is_local_path
from deepwriting.schema import assistant_turn

#: Columns that hold prose, where personal data may stand; other texts are names and ids.
PROSE = frozenset((
    "query", "thinking", "answer", "initial_thinking", "segments", "segment", "candidate", "messages", "prompt",
    "chosen", "rejected", "solution",
))  # fmt: skip
#: Columns that name models, which may be folders of the machine that made the rows.
_MODELS = frozenset(("generator", "generator_revision", "scorer", "scorer_revision"))
#: What parts thinking and answer in a conversation.
_TURN_BEGINS, _TURN_MIDDLE = assistant_turn("\x1f", "").split("\x1f")
#: Endings of documents that are text.
_TEXT_FILES = (".md", ".json", ".txt", ".yaml", ".yml", ".csv", ".svg")


class TextScan:
    """Collects what was found in the rows' texts.

    Attributes:
        personal: kind -> pieces of personal data.
        secrets: kind -> secrets and local paths.
    """

    def __init__(self) -> None:
        self.personal: Counter[str] = Counter()
        self.secrets: Counter[str] = Counter()
        self._places: dict[str, list[str]] = {}
        self._seen: set[int] = set()

    def add(self, config: str, ids: list[str], columns: Iterable[tuple[str, list[list[str]]]]) -> None:
        """Look at a batch of rows.

        Args:
            config: the config that they belong to.
            ids: their row ids.
            columns: column -> the texts of each row.
        """
        for column, rows in columns:
            for row, texts in zip(ids, rows, strict=True):
                for text in (part for whole in texts for part in _parts(whole)):
                    if (known := hash((text, column in PROSE, column in _MODELS))) not in self._seen:
                        self._seen.add(known)
                        self._look(text, column, f"{config} {row} {column}")

    def _look(self, text: str, column: str, place: str) -> None:
        for found in find_secrets(text):
            self._note(self.secrets, found.kind, place)
        if column in _MODELS and is_local_path(text):
            self._note(self.secrets, "local path", place)
        if column in PROSE:
            for kind, count in mask(text)[1].items():
                self._note(self.personal, kind, place, count)

    def _note(self, counts: Counter[str], kind: str, place: str, count: int = 1) -> None:
        counts[kind] += count
        places = self._places.setdefault(kind, [])
        if place not in places:
            places.append(place)

    def places(self, kind: str) -> str:
        """The first places of a kind."""
        return some(self._places.get(kind, []))


def _parts(text: str) -> Iterator[str]:
    """Thinking and answer of a conversation's turn, which other columns hold as they are; other texts in one piece."""
    if text.startswith(_TURN_BEGINS) and _TURN_MIDDLE in text:
        thinking, _, answer = text[len(_TURN_BEGINS) :].partition(_TURN_MIDDLE)
        yield thinking
        yield answer
    else:
        yield text


def check_personal_data(folder: Path, scan: TextScan, allowed: Collection[str]) -> Check:
    """The verdict on personal data.

    Args:
        folder: the dataset folder.
        scan: what the rows hold.
        allowed: kinds that somebody has looked at and answers for.
    """
    found = {kind: scan.personal[kind] for kind in KINDS if scan.personal[kind]}
    refused = {kind: count for kind, count in found.items() if kind not in allowed}
    told = [f"{kind} {count} ({scan.places(kind)})" for kind, count in (refused or found).items()]
    if refused:
        options = " ".join(f"--allow-personal-data {kind}" for kind in refused)
        repair = (
            f"set cleaning.pii in the recipe, then: deepwriting run {run_of(folder)}/recipe.yaml --redo source; "
            f"or, if nobody is meant, add {options}"
        )
        return Check("personal data", "refused", "; ".join(told), repair)
    if found:
        return Check("personal data", "warning", f"published at your word: {'; '.join(told)}")
    return Check("personal data", "ok", "none found in the texts")


def check_secrets(folder: Path, manifest: Manifest, scan: TextScan) -> Check:
    """The verdict on tokens, keys and local paths, in rows, documents and manifest."""
    problems = [f"{kind} {count} ({scan.places(kind)})" for kind, count in scan.secrets.items()]
    problems += _in_settings(manifest.settings, "settings")
    for path in (*(file.path for file in manifest.documents), MANIFEST_FILE):
        if path.endswith(_TEXT_FILES):
            text = (folder / path).read_text(encoding="utf-8", errors="replace")
            found = list(find_secrets(text))
            # The manifest's own paths are looked at value by value, which tells the key.
            found += [] if path == MANIFEST_FILE else list(find_paths(text))
            problems += [f"{kind} in {path}" for kind in dict.fromkeys(item.kind for item in found)]
    if problems:
        repair = (
            "take it out of the recipe or the texts; name models and files by a Hub id or a relative path; "
            f"then: deepwriting run {run_of(folder)}/recipe.yaml"
        )
        if scan.secrets:
            repair += " --redo source"
        return Check("secrets", "refused", some(problems), repair)
    return Check("secrets", "ok", "no token, key or local path in rows, card and manifest")


def _in_settings(value: Any, key: str) -> list[str]:
    if isinstance(value, str):
        return [f"local path in the manifest, {key}"] if is_local_path(value) else []
    if isinstance(value, dict):
        return [
            *(found for name in value for found in _in_settings(name, key)),
            *(found for name, item in value.items() for found in _in_settings(item, f"{key}.{name}")),
        ]
    if isinstance(value, (list, tuple)):
        return [found for index, item in enumerate(value) for found in _in_settings(item, f"{key}[{index}]")]
    return []
