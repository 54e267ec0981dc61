from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepwriting.errors import RemoteError
from deepwriting.remote.mirror import Mirror
from deepwriting.remote.places import working_copy


@pytest.fixture
def machines(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Mirror, Mirror]:
    """The copies of two machines."""
    copies = []
    for name in ("one", "two"):
        monkeypatch.setenv("DEEPWRITING_COPIES", str(tmp_path / name))
        copies.append(working_copy(bucket))
        copies[-1].mkdir(parents=True)
    return Mirror(copies[0]), Mirror(copies[1])


def put(mirror: Mirror, path: str, text: str) -> None:
    file = mirror.copy / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_what_one_sends_the_other_fetches_once(machines: tuple[Mirror, Mirror]) -> None:
    one, two = machines
    put(one, "stage/shards/0", "rows")
    put(one, "stage/.half-written", "no")
    assert one.push(one.files()) == ["stage/shards/0"]
    assert one.push(one.files()) == []
    assert list(two.pull("stage")) == ["stage/shards/0"]
    assert (two.copy / "stage/shards/0").read_text() == "rows"
    # As it is there: a second look fetches nothing.
    (two.copy / "stage/shards/0").write_text("changed here")
    two.pull("stage")
    assert (two.copy / "stage/shards/0").read_text() == "changed here"
    # Changed on both sides: what was sent counts.
    put(one, "stage/shards/0", "new rows")
    one.push(one.files())
    two.pull("stage")
    assert (two.copy / "stage/shards/0").read_text() == "new rows"


def test_what_is_deleted_there_vanishes_here(machines: tuple[Mirror, Mirror]) -> None:
    one, two = machines
    put(one, "s/a", "1")
    put(one, "s/b", "2")
    one.push(one.files())
    two.pull("s")
    put(two, "s/own", "never sent")
    one.remove("s/a")
    assert not (one.copy / "s/a").exists()
    two.pull("s")
    assert list(two.files()) == ["s/b", "s/own"]
    two.pull("s", exact=True)
    assert list(two.files()) == ["s/b"]


def test_a_tree_becomes_what_it_is_here(machines: tuple[Mirror, Mirror]) -> None:
    one, two = machines
    put(one, "data/old", "1")
    put(one, "data/same", "2")
    one.push_tree("data")
    os.unlink(one.copy / "data/old")
    put(one, "data/new", "3")
    one.push_tree("data")
    assert list(two.pull("data")) == ["data/new", "data/same"]


def test_wanted_files_alone(machines: tuple[Mirror, Mirror]) -> None:
    one, two = machines
    put(one, "s/large", "x" * 100)
    put(one, "s/small", "x")
    one.push(one.files())
    assert list(two.pull("", wanted=lambda path, entry: entry.size < 10)) == ["s/small"]
    assert list(two.files()) == ["s/small"]


def test_other_folders_have_no_mirror(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="no copy of a remote folder"):
        Mirror(tmp_path)
