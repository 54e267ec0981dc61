"""Files against the manifest: all there, nothing else there, every byte the same."""

from __future__ import annotations

from pathlib import Path

from deepwriting.builders.manifest import Manifest
from deepwriting.builders.parquet import file_facts
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.hub.verify.report import Check

#: What the Hub and its client add to a folder on their own.
_OF_THE_HUB = (".gitattributes", ".cache/")


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
        if found.bytes != facts.bytes:
            check.found("changed", f"{path}: {found.bytes:,} bytes, the manifest says {facts.bytes:,}")
        elif found.sha256 != facts.sha256:
            check.found("changed", f"{path}: SHA-256 {found.sha256[:16]}…, the manifest says {facts.sha256[:16]}…")
    for path in sorted(present - listed.keys() - {MANIFEST_FILE}):
        if not path.startswith(_OF_THE_HUB):
            check.found("not in the manifest", path)
    check.looked_at = f"{len(listed):,} files, {sum(file.bytes for file in listed.values()) / 1e6:,.1f} MB"
    return check
