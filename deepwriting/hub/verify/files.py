"""Files against the manifest: all there, nothing else there, every byte the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

from deepwriting.builders.manifest import Manifest
from deepwriting.builders.parquet import file_facts
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.dataset_cards.documents import CARD_FILE
from deepwriting.errors import HubError
from deepwriting.hub.plan import YANKED_FILE
from deepwriting.hub.verify.report import Check
from deepwriting.hub.yanked import parse_yanked, without_note

#: What the Hub and its client add to a folder on their own, and what ``publish --yank`` does.
_OF_THE_HUB = (".gitattributes", ".cache/", YANKED_FILE)


def check_files(folder: Path, manifest: Manifest) -> Check:
    """Compare the files of a folder with its manifest by name, size and SHA-256."""
    check = Check("files", "is every file there, with the checksum of the manifest, and no other?")
    listed = {file.path: file for file in manifest.files()}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for path, facts in listed.items():
        if path not in present:
            check.found("missing", path)
            continue
        try:
            found = file_facts(folder / path, folder)
        except OSError as error:
            check.found("cannot be read", f"{path}: {error.strerror}")
            continue
        if path == CARD_FILE and found.sha256 != facts.sha256 and _is(card_of(folder), facts.sha256):
            check.notes.append(f"{path} has a note about withdrawn versions, and is as it was without it")
        elif found.bytes != facts.bytes:
            check.found("changed", f"{path}: {found.bytes:,} bytes, the manifest says {facts.bytes:,}")
        elif found.sha256 != facts.sha256:
            check.found("changed", f"{path}: SHA-256 {found.sha256[:16]}…, the manifest says {facts.sha256[:16]}…")
    for path in sorted(present - listed.keys() - {MANIFEST_FILE}):
        if not path.startswith(_OF_THE_HUB):
            check.found("not in the manifest", path)
    if manifest.version in (withdrawn := _withdrawn(folder, check)):
        check.notes.append(f"version {manifest.version} was withdrawn: {withdrawn[manifest.version]}")
    check.looked_at = f"{len(listed):,} files, {sum(file.bytes for file in listed.values()) / 1e6:,.1f} MB"
    return check


def card_of(folder: Path) -> bytes:
    """The card as the build has made it: without the note about withdrawn versions that the branch may have since.

    Raises:
        OSError: if there is none.
    """
    content = (folder / CARD_FILE).read_bytes()
    if not (folder / YANKED_FILE).is_file():
        return content
    try:
        return without_note(content.decode("utf-8")).encode()
    except UnicodeDecodeError:
        return content


def _is(content: bytes, sha256: str) -> bool:
    return hashlib.sha256(content).hexdigest() == sha256


def _withdrawn(folder: Path, check: Check) -> dict[str, str]:
    """Withdrawn version -> why, as far as the folder tells."""
    try:
        found = parse_yanked((folder / YANKED_FILE).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, HubError) as error:
        check.found("cannot be read", f"{YANKED_FILE}: {error}")
        return {}
    return {version: entry.reason for version, entry in found.items()}
