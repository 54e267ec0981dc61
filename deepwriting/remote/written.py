"""Which files this process writes below a folder, whoever's code it is.

Several tasks share one copy of a run on a machine. What one of them sends must be its own, finished files, and not what
its neighbour is writing; names do not tell (a signature file of MinHash is numbered in a way of its own). So Python is
asked: its audit events (PEP 578) tell of every file that is opened for writing and of every renaming. Files that a
library writes in C (DuckDB, Arrow) appear by a renaming of ours, as everything here does that has to be whole.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR
_watches: list[tuple[str, set[str]]] = []
_hooked = False


@contextmanager
def written_below(folder: Path) -> Iterator[set[str]]:
    """Collect the files that this process writes meanwhile.

    Args:
        folder: where they have to be.

    Returns:
        A set that grows: paths relative to the folder. A file may have been renamed or deleted since.
    """
    global _hooked
    if not _hooked:  # a hook stays for the life of the process; it costs a comparison where nobody collects
        sys.addaudithook(_heard)
        _hooked = True
    watch: tuple[str, set[str]] = (os.path.abspath(folder) + os.sep, set())
    _watches.append(watch)
    try:
        yield watch[1]
    finally:
        _watches[:] = [other for other in _watches if other[1] is not watch[1]]


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watches:
        return
    if event == "open":
        path, mode, flags = arguments
        if mode is not None and not any(letter in mode for letter in "wax+"):
            return
        if mode is None and not (isinstance(flags, int) and flags & _WRITING):
            return
    elif event == "os.rename":
        path = arguments[1]
    else:
        return
    if not isinstance(path, (str, bytes, os.PathLike)):  # a descriptor
        return
    whole = os.path.abspath(os.fsdecode(path))
    for top, found in _watches:
        if whole.startswith(top):
            found.add(whole[len(top) :])
