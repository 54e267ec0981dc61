"""Replacing a dataset folder as a whole: built beside it, then swapped in, so nobody ever sees half a dataset.

    parent/.deepwriting-20k.building    the new folder while it grows; removed when the build fails
    parent/.deepwriting-20k.previous    the old folder for the instant between two renames; put back after a crash
    parent/deepwriting-20k              the dataset

One build at a time for one folder: the run's lock sees to that.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepwriting.errors import BuildError

#: The file that marks a folder as a built dataset, and so as one that a build may replace.
MANIFEST_FILE = "manifest.json"


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise BuildError(f"{out} is a file; expected a folder or nothing")
    if any(out.iterdir()) and not (out / MANIFEST_FILE).is_file():
        raise BuildError(
            f"{out} holds files but no {MANIFEST_FILE}, so it is not a built dataset and will not be replaced; "
            "choose an empty or a new folder"
        )


def _swap(new: Path, out: Path, previous: Path) -> None:
    if not out.exists():
        new.rename(out)
        return
    out.rename(previous)
    try:
        new.rename(out)
    except BaseException:
        previous.rename(out)
        raise
    shutil.rmtree(previous)


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder to build in that becomes ``out`` when the block ends without an error.

    Args:
        out: where the dataset belongs; an earlier build there stays until the new one is complete.

    Yields:
        An empty folder on the same file system.

    Raises:
        BuildError: if ``out`` holds something that is not a built dataset.
    """
    out = out.resolve()
    building = out.parent / f".{out.name}.building"
    previous = out.parent / f".{out.name}.previous"
    if previous.exists():
        # A build was killed inside the swap: either only the old folder was moved, or only its removal is left.
        if out.exists():
            shutil.rmtree(previous)
        else:
            previous.rename(out)
    _check_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    if building.exists():
        shutil.rmtree(building)
    building.mkdir()
    try:
        yield building
        _swap(building, out, previous)
    finally:
        if building.exists():
            shutil.rmtree(building)
