"""Card, plots and Croissant metadata made again from the tables and compared with what was published.

Every number in them comes from the tables, so equal bytes mean that all of them are right. Bytes can differ for another
reason too: the card's words are those of a version of deepwriting, its YAML and the plots those of libraries. Then what
the documents say is compared instead, and the report tells so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import deepwriting
from deepwriting.builders.manifest import Manifest
from deepwriting.dataset_cards.documents import CARD_FILE, drawn_with, render_documents
from deepwriting.errors import DeepWritingError
from deepwriting.hub.verify.report import Check

#: A line of a document is shown up to this length (characters).
_SHOWN = 90


def check_documents(folder: Path, manifest: Manifest) -> Check:
    """Make the documents again and compare."""
    check = Check("card", "does the card say what the tables hold, in every number?")
    same_version = manifest.deepwriting_version == deepwriting.__version__
    try:
        expected = render_documents(folder, manifest)
    except (DeepWritingError, OSError) as error:
        check.found("cannot be made from the tables", str(error))
        return check
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # Tables that other checks have found wrong; the rendering trusts what the build has checked.
        check.found("cannot be made from the tables", f"{type(error).__name__}: {error}")
        return check
    published = {file.path for file in manifest.documents}
    for path in sorted(published ^ expected.keys()):
        what = "is published, but not made from the tables" if path in published else "belongs to it and is missing"
        if same_version:
            check.found("documents differ", f"{path} {what}")
        else:
            check.notes.append(f"{path} {what} by deepwriting {deepwriting.__version__}")
    equal = 0
    for path in sorted(published & expected.keys()):
        try:
            content = (folder / path).read_bytes()
        except OSError:
            continue  # told by the check of the files
        if content == expected[path]:
            equal += 1
        else:
            _compare(check, path, content, expected[path], same_version=same_version)
    check.looked_at = f"{equal} of {len(published)} documents equal byte for byte"
    if not same_version and equal < len(published):
        check.notes.append(
            f"built by deepwriting {manifest.deepwriting_version}, checked by {deepwriting.__version__}, whose words "
            "differ: the numbers in the tables were compared instead of the bytes"
        )
    return check


def _compare(check: Check, path: str, published: bytes, expected: bytes, *, same_version: bool) -> None:
    if path.endswith(".png"):
        before, after = drawn_with(published), drawn_with(expected)
        if same_version and before == after:
            check.found("plots differ", f"{path} shows something else than the tables hold")
        else:
            check.notes.append(
                f"{path} was not compared: drawn with {before or 'an unknown program'}, here with {after}"
            )
        return
    try:
        told, found = published.decode("utf-8"), expected.decode("utf-8")
    except UnicodeDecodeError:
        check.found("documents differ", f"{path} is no text")
        return
    if path == CARD_FILE:
        _compare_card(check, told, found, same_version=same_version)
    elif _parsed(told) != _parsed(found):
        if same_version:
            for line in _lines(path, told, found, 1):
                check.found("documents differ", line)
        else:
            check.notes.append(f"{path} was not compared")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _compare_card(check: Check, told: str, found: str, *, same_version: bool) -> None:
    (yaml, body), (yaml_found, body_found) = _parts(told), _parts(found)
    meaning, meaning_found = _meaning(yaml), _meaning(yaml_found)
    if same_version:
        if meaning != meaning_found:
            for line in _lines(CARD_FILE, yaml, yaml_found, 1):
                check.found("the card's metadata differ", line)
        elif yaml != yaml_found:
            check.notes.append(f"the YAML of {CARD_FILE} is written differently and means the same")
        for line in _lines(CARD_FILE, body, body_found, 1 + yaml.count("\n")):
            check.found("the card differs", line)
        return
    for name in ("configs", "dataset_info"):
        if (
            isinstance(meaning, dict)
            and isinstance(meaning_found, dict)
            and meaning.get(name) != meaning_found.get(name)
        ):
            check.found("the card's metadata differ", f"{CARD_FILE}: {name} is not what the tables are")
    cells, cells_found = dict(_cells(body)), dict(_cells(body_found))
    common = [key for key in cells if key in cells_found]
    for key in common:
        if cells[key] != cells_found[key]:
            check.found(
                "the card differs", f"{CARD_FILE}, {' / '.join(key)}: {cells[key]}, should be {cells_found[key]}"
            )
    check.notes.append(f"{len(common)} table rows of {CARD_FILE} were compared")


def _parts(card: str) -> tuple[str, str]:
    """The YAML block with its marks, and the rest."""
    end = card.find("\n---\n", 4) if card.startswith("---\n") else -1
    return (card[: end + 5], card[end + 5 :]) if end >= 0 else ("", card)


def _meaning(block: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(block.strip().strip("-"))
    except yaml.YAMLError:
        return block


def _lines(path: str, told: str, found: str, first: int) -> Iterator[str]:
    """The lines that differ, each with what it should be."""
    old, new = told.splitlines(), found.splitlines()
    for kind, start, end, other, other_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for at in range(max(end - start, other_end - other)):
            said = old[start + at] if start + at < end else "(nothing)"
            right = new[other + at] if other + at < other_end else "(nothing)"
            said, right = _window(said, right)
            yield f"{path}, line {first + min(start + at, end)}: {said!r} should be {right!r}"


def _window(one: str, two: str) -> tuple[str, str]:
    """Both lines from a little before the first character in which they differ, cut to the length that is shown."""
    at = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    start = max(0, at - _SHOWN // 3)
    return tuple(("…" if start else "") + text[start : start + _SHOWN] for text in (one, two))  # type: ignore[return-value]


def _cells(body: str) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Rows of all Markdown tables: (heading, column titles, first cell) -> the other cells."""
    heading = titles = ""
    for line in body.splitlines():
        if line.startswith("#"):
            heading, titles = line.strip("# "), ""
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if not titles:
                titles = " | ".join(cells)
            elif set(cells[0]) - set("-:"):
                yield (heading, titles, cells[0]), " | ".join(cells[1:])
        else:
            titles = ""
