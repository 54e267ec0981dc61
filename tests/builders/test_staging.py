from __future__ import annotations

from pathlib import Path

import pytest

from deepwriting.builders.staging import MANIFEST_FILE, staged
from deepwriting.errors import BuildError


def build(out: Path, text: str) -> None:
    with staged(out) as folder:
        (folder / MANIFEST_FILE).write_text(text)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_build_replaces_the_old_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "data"
    build(out, "one")
    (out / "old-file").write_text("x")
    build(out, "two")
    assert (out / MANIFEST_FILE).read_text() == "two"
    assert visible(out) == [MANIFEST_FILE]
    assert visible(out.parent) == ["data"]


def test_failed_build_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "data"
    build(out, "one")

    def fail() -> None:
        with staged(out) as folder:
            (folder / MANIFEST_FILE).write_text("two")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (out / MANIFEST_FILE).read_text() == "one"
    assert visible(tmp_path) == ["data"]


def test_old_build_is_readable_until_the_swap(tmp_path: Path) -> None:
    out = tmp_path / "data"
    build(out, "one")
    with staged(out) as folder:
        (folder / MANIFEST_FILE).write_text("two")
        assert (out / MANIFEST_FILE).read_text() == "one"


def test_build_killed_inside_the_swap_is_put_back(tmp_path: Path) -> None:
    out = tmp_path / "data"
    build(out, "one")
    out.rename(tmp_path / ".data.previous")
    (tmp_path / ".data.building").mkdir()
    with staged(out) as folder:
        assert (out / MANIFEST_FILE).read_text() == "one"
        (folder / MANIFEST_FILE).write_text("two")
    assert (out / MANIFEST_FILE).read_text() == "two"
    assert visible(tmp_path) == ["data"]


def test_build_killed_after_the_swap_is_tidied(tmp_path: Path) -> None:
    out = tmp_path / "data"
    build(out, "new")
    (tmp_path / ".data.previous").mkdir()
    (tmp_path / ".data.previous" / MANIFEST_FILE).write_text("old")
    build(out, "newer")
    assert (out / MANIFEST_FILE).read_text() == "newer"
    assert visible(tmp_path) == ["data"]


def test_folder_with_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BuildError, match="is not a built dataset and will not be replaced"):
        build(tmp_path, "new")
    with pytest.raises(BuildError, match="is a file"):
        build(tmp_path / "thesis.txt", "new")
    assert visible(tmp_path) == ["thesis.txt"]


def test_empty_folder_and_link_are_fine(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.mkdir()
    link.symlink_to(target)
    build(link, "new")
    assert link.is_symlink()
    assert (target / MANIFEST_FILE).read_text() == "new"
