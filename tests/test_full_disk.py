"""A disk that fills up under a run: a clear stop, and the same command goes on from there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from deepwriting.cli.repairs import explain
from deepwriting.errors import DiskFullError, FolderError
from deepwriting.journal import JournalFile
from deepwriting.pipeline import _writable, run_recipe
from deepwriting.recipe import parse_recipe
from deepwriting.rundir import RunFolder
from deepwriting.stages.rows import stage_documents

ROWS = 60
#: In the order of the files, each of which has every second row.
IDS = [f"n{number}" for half in (0, 1) for number in range(half, ROWS, 2)]
#: Room that is left: enough for the notes of a stage, too little for its rows, whose 60 answers take 90 kB compressed.
ROOM = 24_000


class Scarce(NamedTuple):
    """A folder, and how to have hardly any room in it for a while."""

    folder: Path
    full: Callable[[], AbstractContextManager[None]]


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """Files of this process cannot grow beyond ``ROOM``: needs no rights, and the system says "File too large"."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(params=["disk", "file size"])
def scarce(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scarce]:
    """A real file system of 2 MB where this user may mount one; and a limit on the size of files."""
    if request.param == "file size":
        yield Scarce(tmp_path, small_files)
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")

    @contextlib.contextmanager
    def filled() -> Iterator[None]:
        filler = disk / "filler"
        free = os.statvfs(disk)
        filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - ROOM))
        try:
            yield
        finally:
            filler.unlink()

    try:
        yield Scarce(disk, filled)
    finally:
        # Lazily: what a failed stage had open is closed when its traceback is gone.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def recipe(tmp_path: Path, write_lines: Any) -> str:
    rows = [
        # Hexadecimal digits shrink to a half at best.
        {"id": f"n{n}", "query": f"Write note {n}.", "answer": "".join(_digits(n, part) for part in range(48))}
        for n in range(ROWS)
    ]
    paths = [str(write_lines(tmp_path / f"in{half}.jsonl", *rows[half::2])) for half in (0, 1)]
    off = ("fix_text", "quality", "repetition", "refusals", "language", "harm", "pii")
    return yaml.safe_dump(
        {
            "name": "full",
            "sources": [{"kind": "pairs", "path": path, "name": f"s{at}"} for at, path in enumerate(paths)],
            "engines": {"generator": {"model": "no-such-model"}},
            "cleaning": dict.fromkeys(off, False),
            "dedupe": {"near_duplicate_queries": False},
        }
    )


def _digits(*seed: int) -> str:
    return hashlib.sha256(repr(seed).encode()).hexdigest()


def rows(run: Path, stage: str) -> list[dict[str, Any]]:
    return list(stage_documents(RunFolder(run), stage))


@pytest.mark.parametrize("stage", ["source", "dedupe"])
def test_a_full_disk_stops_the_stage_and_the_same_command_goes_on(
    scarce: Scarce, tmp_path: Path, write_lines: Any, stage: str
) -> None:
    text = recipe(tmp_path, write_lines)
    parsed = parse_recipe(text)
    run = scarce.folder / "run"
    if stage == "dedupe":
        run_recipe(parsed, text, run, until="source")
    with (
        scarce.full(),
        pytest.raises(DiskFullError, match=r"cannot be written: (No space left|File too large)") as told,
    ):
        run_recipe(parsed, text, run, until=stage)
    assert "make room and run the same command again" in explain(told.value)
    records = run_recipe(parsed, text, run, until="dedupe")
    assert [(record.counts.rows_in, record.counts.rows_out) for record in records] == [(ROWS, ROWS)] * 2
    assert [document["metadata"]["source_id"] for document in rows(run, "dedupe")] == IDS
    assert (run / "recipe.yaml").read_text() == text


@pytest.mark.parametrize("given", ["run", "absolute"])
def test_a_file_that_may_not_be_written_is_one_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "run" / "source" / "stage.json"  # tasks name files so, however the folder was given
    with (
        pytest.raises(FolderError, match=r"stage\.json cannot be written: Permission denied"),
        _writable(tmp_path / "run" if given == "absolute" else Path("run")),
    ):
        raise PermissionError(errno.EACCES, "Permission denied", str(file))


def test_no_part_of_a_line_stays_in_a_journal_that_found_no_room(scarce: Scarce) -> None:
    path, found = scarce.folder / "journal.jsonl", list[int]()
    journal = JournalFile(path, "s", belongs=lambda _: True, noted=lambda event, *_: found.append(event["n"]))
    journal.append({"n": 1})
    with scarce.full(), pytest.raises(OSError, match=r"No space left|File too large"):
        journal.append({"n": 2, "text": "x" * 50_000})
    at = journal.append({"n": 3})
    assert journal.read(*at) == {"n": 3}
    journal.close()
    JournalFile(path, "s", belongs=lambda _: True, noted=lambda event, *_: found.append(event["n"])).close()
    assert found == [1, 3]
