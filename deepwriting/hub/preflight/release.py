"""The check of the version: higher than all before, and by enough for what has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from deepwriting.builders.manifest import Manifest, parse_manifest
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.errors import BuildError
from deepwriting.hub.diff import compare
from deepwriting.hub.location import locate
from deepwriting.hub.preflight.base import Check, some
from deepwriting.hub.preflight.files import run_of
from deepwriting.hub.repository import Repository
from deepwriting.hub.versions import Bump, Version, bump_between, is_enough, least_bump, parse_version
from deepwriting.hub.yanked import Yank

#: Bump -> what has changed, in words.
_CHANGED: Mapping[Bump, str] = {
    "major": "the schema has changed",
    "minor": "rows have changed",
    "patch": "the card has",
}


def check_version(
    folder: Path,
    manifest: Manifest,
    repository: Repository | None,
    versions: Mapping[Version, str],
    different: list[str],
    yanked: Mapping[str, Yank],
    watch: Callable[[str], None],
) -> Check:
    """Whether the version may be published.

    Args:
        folder: the dataset folder.
        manifest: its manifest.
        repository: where the release goes; None if it does not exist yet.
        versions: the published versions and their tags, lowest first.
        different: where the version is published: the files that differ.
        yanked: the versions that were withdrawn.
        watch: told what is being done.
    """
    version = parse_version(manifest.version)
    assert version is not None, "check_manifest has read it"
    if repository is None or not versions:
        return Check("version", "ok", f"{version}, the first one")
    highest = max(versions)
    if version in versions:
        withdrawn = f"; it was withdrawn: {yanked[str(version)].reason}" if str(version) in yanked else ""
        if different:
            detail = f"{version} is published with another content: {some(different)} differ{withdrawn}"
            return Check(
                "version", "refused", detail, _rebuild(folder, highest.grown(_needed(repository, versions, manifest)))
            )
        return Check("version", "ok", f"{version} is published already, with this very content{withdrawn}")
    if version < highest:
        detail = f"{version} is lower than {highest}, which is published; a new version is higher than all before"
        return Check(
            "version", "refused", detail, _rebuild(folder, highest.grown(_needed(repository, versions, manifest)))
        )
    return _check_bump(folder, manifest, version, highest, repository, versions[highest], watch)


def _check_bump(
    folder: Path,
    manifest: Manifest,
    version: Version,
    before: Version,
    repository: Repository,
    tag: str,
    watch: Callable[[str], None],
) -> Check:
    old = _old_manifest(repository, tag)
    if old is None:
        detail = f"{version}, after {before}, which has no manifest: what has changed cannot be told"
        return Check("version", "warning", detail, "make sure yourself that the version has grown by enough")
    required, certain = least_bump(old, manifest)
    given = bump_between(before, version)
    if not certain and not is_enough(given, required):
        # Only now the rows matter: files differ, and it was said that rows do not.
        watch(f"comparing the rows with those of {before}")
        try:
            required = compare(locate(f"{repository.name}@{tag}"), folder).required_bump
        except BuildError as error:
            return Check("version", "refused", f"the rows cannot be compared with those of {before}: {error}")
    if is_enough(given, required):
        return Check("version", "ok", f"{version} after {before}: {given}; the change asks for {required}")
    detail = f"{version} after {before} is {given}, but {_CHANGED[required]}, which asks for {required}"
    return Check("version", "refused", detail, _rebuild(folder, before.grown(required)))


def _old_manifest(repository: Repository, tag: str) -> Manifest | None:
    text = repository.read(MANIFEST_FILE, tag)
    try:
        return parse_manifest(text) if text is not None else None
    except BuildError:
        return None


def _needed(repository: Repository, versions: Mapping[Version, str], manifest: Manifest) -> Bump:
    """The bump to advise after the highest version, from the manifests alone."""
    old = _old_manifest(repository, versions[max(versions)])
    return least_bump(old, manifest)[0] if old else "minor"


def _rebuild(folder: Path, version: Version) -> str:
    return f"deepwriting build {run_of(folder)} {folder} --version {version}, then publish --version {version}"
