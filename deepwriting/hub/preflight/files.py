"""Checks of the folder's files: the manifest, their names, their checksums, their size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from deepwriting.builders.manifest import Manifest, check_inside, read_manifest
from deepwriting.builders.parquet import FileFacts, file_facts
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.errors import BuildError
from deepwriting.hub.preflight.base import Check, some
from deepwriting.hub.versions import parse_version

#: The Hub's limit for one file, and what it advises for a repository and a folder
#: (https://huggingface.co/docs/hub/storage-limits): bytes, bytes, files, files.
MAX_FILE_BYTES = 50 * 10**9
ADVISED_BYTES = 300 * 10**9
MAX_FILES = 100_000
MAX_FOLDER_FILES = 10_000
#: Characters that no file of a release has in its name, because some file system or address cannot carry them.
_BAD_CHARACTERS = frozenset('<>:"|?*\\\0') | {chr(code) for code in range(32)}
#: Files that the Hub or git keep for themselves.
_RESERVED = (".git", ".gitattributes", "yanked.json")


def check_manifest(folder: Path, version: str | None) -> tuple[Manifest | None, Check]:
    """Read the manifest, and compare its version with the one that is to be published."""
    try:
        manifest = read_manifest(folder)
    except BuildError as error:
        inside = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_FILE}"))
        repair = f"deepwriting publish {folder / inside[0]} …" if inside else _rebuild(folder, version)
        return None, Check("manifest", "refused", str(error), repair)
    if (wanted := version or manifest.version) != manifest.version:
        detail = f"the folder holds version {manifest.version}, and --version asks for {wanted}"
        return None, Check("manifest", "refused", detail, _rebuild(folder, wanted))
    if parse_version(manifest.version) is None:
        detail = f"its version is {manifest.version!r}; expected three numbers such as 1.2.0"
        return None, Check("manifest", "refused", detail, _rebuild(folder, "1.0.0"))
    return manifest, Check("manifest", "ok", f"{manifest.name} {manifest.version}, {len(manifest.configs)} configs")


def run_of(folder: Path) -> str:
    """The run that a dataset folder lies in, as commands name it."""
    parent = folder.absolute().parent
    return str(parent) if (parent / "recipe.yaml").is_file() else "RUN"


def _rebuild(folder: Path, version: str | None) -> str:
    return f"deepwriting build {run_of(folder)} {folder}" + (f" --version {version}" if version else "")


def listed_files(manifest: Manifest) -> list[str]:
    """Every file that belongs to the release: those that the manifest names, and the manifest."""
    return [*(file.path for file in manifest.files()), MANIFEST_FILE]


def check_names(folder: Path, manifest: Manifest) -> Check:
    """Refuse names that lead out of the folder, links, and names that differ only in case."""
    bad = [f"{path!r} {problem}" for path, problem in _bad_names(folder, listed_files(manifest))]
    repair = _rebuild(folder, None)
    if bad:
        return Check("names", "refused", some(bad), repair)
    extra = sorted(set(_files_in(folder)) - set(listed_files(manifest)))
    if extra:
        detail = f"not in the manifest, so not part of the release: {some(extra)}"
        return Check("names", "warning", detail, "leave it so, or delete them")
    return Check("names", "ok", f"{len(listed_files(manifest))} files, all inside of the folder")


def _bad_names(folder: Path, paths: list[str]) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        try:
            check_inside(path, MANIFEST_FILE)
        except BuildError:
            yield path, "leads out of the folder"
            continue
        if any(part in ("", ".") for part in parts) or _BAD_CHARACTERS & set(path):
            yield path, "is no name for a file of a release"
        elif parts[0] in _RESERVED:
            yield path, "is kept for the Hub and for withdrawn versions"
        elif (other := seen.setdefault(path.casefold(), path)) != path:
            yield path, f"is the same as {other!r} where case does not count"
        elif any((folder / "/".join(parts[: depth + 1])).is_symlink() for depth in range(len(parts))):
            yield path, "is a link"
        elif not (folder / path).is_file():
            yield path, "is missing"
        elif path == MANIFEST_FILE:
            continue
        elif paths.count(path) > 1:
            yield path, "stands twice in the manifest"


def _files_in(folder: Path) -> Iterator[str]:
    for root, _, names in os.walk(folder):
        for name in names:
            yield (Path(root) / name).relative_to(folder).as_posix()


def check_checksums(folder: Path, manifest: Manifest, watch: Callable[[int], None] | None = None) -> Check:
    """Compare every file with the size and the checksum that the manifest has for it.

    Args:
        folder: the dataset folder.
        manifest: its manifest.
        watch: told the bytes of each file that was read.
    """
    wrong = []
    for file in manifest.files():
        found = file_facts(folder / file.path, folder)
        if (found.sha256, found.bytes) != (file.sha256, file.bytes):
            wrong.append(file.path)
        if watch:
            watch(found.bytes)
    if wrong:
        detail = f"changed since the build: {some(wrong)}"
        return Check("checksums", "refused", detail, _rebuild(folder, manifest.version))
    return Check("checksums", "ok", "every file is the one that the manifest names")


def check_size(folder: Path, manifest: Manifest) -> Check:
    """Compare sizes with what the Hub takes."""
    files = list(manifest.files())
    total = sum(file.bytes for file in files)
    fewer = "set build.rows_per_shard in the recipe, then: " + _rebuild(folder, manifest.version)
    if too_large := [f"{file.path} ({_shown(file.bytes)})" for file in files if file.bytes > MAX_FILE_BYTES]:
        detail = f"larger than {_shown(MAX_FILE_BYTES)}, the most that the Hub takes: {some(too_large)}"
        return Check("size", "refused", detail, fewer)
    crowded = _most_in_a_folder(files)
    if len(files) > MAX_FILES or crowded > MAX_FOLDER_FILES:
        detail = f"{len(files)} files, {crowded} in one folder; the Hub takes {MAX_FILES} and {MAX_FOLDER_FILES}"
        return Check("size", "refused", detail, fewer)
    if total > ADVISED_BYTES:
        detail = f"{_shown(total)}; the Hub asks to be told about more than {_shown(ADVISED_BYTES)}"
        return Check("size", "warning", detail, "write to datasets@huggingface.co")
    return Check("size", "ok", f"{_shown(total)} in {len(files)} files")


def _most_in_a_folder(files: list[FileFacts]) -> int:
    folders: dict[str, int] = {}
    for file in files:
        parent = file.path.rpartition("/")[0]
        folders[parent] = folders.get(parent, 0) + 1
    return max(folders.values(), default=0)


def _shown(size: int) -> str:
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
