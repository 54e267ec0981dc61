"""Versions of a release, and the rule by which they grow.

    schema changed (configs, splits, columns, types)    major   1.2.3 → 2.0.0
    rows changed (added, removed, other values)         minor   1.2.3 → 1.3.0
    anything else (card, plots, settings, sharding)     patch   1.2.3 → 1.2.4

The rule is a minimum: a version may grow by more. It counts from 0.x on. A version is published when its tag exists,
and its tag is the version itself: ``revision="1.2.0"``. A tag with a ``v`` before it counts too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from deepwriting.builders.manifest import Manifest

_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")

Bump = Literal["major", "minor", "patch", "none"]
#: From least to most.
BUMPS: tuple[Bump, ...] = ("none", "patch", "minor", "major")


class Version(NamedTuple):
    """A version, in order of precedence."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def grown(self, bump: Bump) -> Version:
        """The next version after a change of that kind."""
        if bump == "major":
            return Version(self.major + 1, 0, 0)
        if bump == "minor":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)


def parse_version(text: str) -> Version | None:
    """A version such as ``1.2.0``; None for anything else."""
    found = _VERSION.fullmatch(text)
    return Version(*map(int, found.groups())) if found else None


def published(tags: Iterable[str]) -> dict[Version, str]:
    """The published versions among a repository's tags, each with the tag's own spelling, lowest first."""
    versions: dict[Version, str] = {}
    for tag in tags:
        version = parse_version(tag.removeprefix("v"))
        # Our own spelling wins where somebody has made both.
        if version is not None and (version not in versions or tag == str(version)):
            versions[version] = tag
    return dict(sorted(versions.items()))


def bump_between(old: Version, new: Version) -> Bump:
    """Which part of a version has grown.

    Args:
        old: the earlier version.
        new: the later one, which is higher.
    """
    return "major" if new.major > old.major else "minor" if new.minor > old.minor else "patch"


def is_enough(given: Bump, required: Bump) -> bool:
    """Whether a version has grown by as much as the change asks for."""
    return BUMPS.index(given) >= BUMPS.index(required)


def least_bump(old: Manifest, new: Manifest) -> tuple[Bump, bool]:
    """What two manifests alone tell about the change.

    Returns:
        The bump that it asks for at least, and whether that is certain: where data files differ, their rows may still
        be equal, and only a comparison of the rows tells ``minor`` from ``patch``.
    """
    if _schema(old) != _schema(new):
        return "major", True
    if _data(old) != _data(new):
        return "minor", False
    return ("patch" if _documents(old) != _documents(new) or old.settings != new.settings else "none"), True


def _schema(manifest: Manifest) -> dict[str, object]:
    columns = {
        config: [(column.name, column.kind, column.nullable) for column in found]
        for config, found in manifest.schema.items()
        if config in manifest.configs
    }
    return {config: (columns.get(config), sorted(found.splits)) for config, found in manifest.configs.items()}


def _data(manifest: Manifest) -> dict[str, list[tuple[str, str]]]:
    return {config: [(file.split, file.sha256) for file in found.files] for config, found in manifest.configs.items()}


def _documents(manifest: Manifest) -> dict[str, str]:
    return {file.path: file.sha256 for file in manifest.documents}
