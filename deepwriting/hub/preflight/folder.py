"""All checks of a dataset folder, which need no Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepwriting.builders.manifest import Manifest
from deepwriting.hub.preflight.base import Check, Permissions
from deepwriting.hub.preflight.card import check_the_card
from deepwriting.hub.preflight.files import check_checksums, check_manifest, check_names, check_size
from deepwriting.hub.preflight.tables import check_rows, read_rows
from deepwriting.hub.preflight.texts import check_personal_data, check_secrets


def check_folder(
    folder: Path,
    version: str | None = None,
    permissions: Permissions = Permissions(),  # noqa: B008  (frozen)
    watch: Callable[[str], None] | None = None,
) -> tuple[list[Check], Manifest | None]:
    """Look at everything in a dataset folder that would be published.

    Args:
        folder: the dataset folder.
        version: the version that is to be published; the manifest's if it is left out.
        permissions: what somebody answers for.
        watch: told what is being looked at.

    Returns:
        The verdicts, cheap checks first, and the manifest. It is None where the files cannot be trusted far enough to
        open them; the checks that would have opened them are left out then.
    """
    manifest, check = check_manifest(folder, version)
    checks = [check]
    if manifest is None:
        return checks, None
    checks.append(check_names(folder, manifest))
    if checks[-1].verdict == "refused":
        return checks, None
    steps: tuple[tuple[str, Callable[[Manifest], list[Check]]], ...] = (
        ("checksums", lambda found: [check_checksums(folder, found), check_size(folder, found)]),
        ("card", lambda found: [check_the_card(folder, found)]),
        ("rows and texts", lambda found: _row_checks(folder, found, permissions)),
    )
    for name, step in steps:
        if watch:
            watch(name)
        checks += step(manifest)
    return checks, manifest


def _row_checks(folder: Path, manifest: Manifest, permissions: Permissions) -> list[Check]:
    rows = read_rows(folder, manifest)
    return [
        *check_rows(folder, manifest, rows, permissions.licences),
        check_personal_data(folder, rows.scan, permissions.personal_data),
        check_secrets(folder, manifest, rows.scan),
    ]
