from __future__ import annotations

from pathlib import Path

import pytest

from deepwriting.errors import RemoteError
from deepwriting.remote.places import is_remote, local_path, shown, url_of, view_copy, working_copy


@pytest.mark.parametrize(
    ("place", "remote"),
    [
        ("s3://bucket/run", True), ("gs://b/run", True), ("hf://buckets/me/b/run", True), ("runs/mine", False),
        ("/srv/s3/run", False), ("file:///srv/run", False), (Path("runs") / "mine", False),
    ],
)  # fmt: skip
def test_is_remote(place: str | Path, remote: bool) -> None:
    assert is_remote(place) is remote


def test_memory_is_no_place_for_a_run() -> None:
    with pytest.raises(RemoteError, match="this process's memory"):
        is_remote("memory://run")


@pytest.mark.parametrize("place", ["s3://", "gs:///runs/mine"])
def test_a_place_without_a_bucket_is_refused(place: str) -> None:
    with pytest.raises(RemoteError, match=rf"^{place} names no bucket; expected \w+://BUCKET/…$"):
        is_remote(place)


def test_files_by_url_are_files() -> None:
    assert local_path("file:///srv/my%20run") == Path("/srv/my run")
    assert local_path("runs/mine") == Path("runs/mine")


@pytest.mark.parametrize("url", ["s3://bucket/runs/mine", "hf://buckets/me/b/run", "gs://b/späte runs/%41"])
def test_a_copy_names_its_original(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEPWRITING_COPIES", str(tmp_path))
    for copy in (working_copy(url + "/"), view_copy(url)):
        assert copy.is_relative_to(tmp_path)
        assert url_of(copy) == shown(copy) == url
    assert url_of(working_copy(url).parent) is None
    assert working_copy(url) != view_copy(url)


def test_other_folders_are_no_copies() -> None:
    assert url_of(Path("runs/mine")) is None
    assert shown(Path("runs/mine")) == "runs/mine"


def test_too_long_for_a_name() -> None:
    with pytest.raises(RemoteError, match="too long for the name of a folder"):
        working_copy("s3://bucket/" + "deep/" * 60)
