from __future__ import annotations

from pathlib import Path

import pytest

from deepwriting.errors import DatasetNotFoundError
from deepwriting.hub.location import Place, locate, parse_place


def test_folders_and_repositories_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me/set").mkdir(parents=True)
    (tmp_path / "at@home").mkdir()
    assert parse_place("me/set") == Place(Path("me/set"))
    assert parse_place("me/set@1.0.0") == Place(Path("me/set"), revision="1.0.0")
    assert parse_place("at@home") == Place(Path("at@home"))
    assert parse_place("you/set") == Place(None, "you/set")
    assert parse_place("you/set@v2.1.0") == Place(None, "you/set", "v2.1.0")
    assert parse_place("you/set@1.0.0", "main") == Place(None, "you/set", "main")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere", "no folder 'nowhere', and it is no repository"),
        ("./you/set", "no folder './you/set'"),
        ("a/b/c", "no folder 'a/b/c'"),
        ("you/set@", "names no version behind the @"),
        ("file.txt", "'file.txt' is a file"),
        ("", "no folder ''"),
        ("@1.0.0", "no folder '@1.0.0'"),
    ],
)
def test_what_is_neither_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").touch()
    with pytest.raises(DatasetNotFoundError, match=message):
        parse_place(text)


def test_a_folder_has_to_hold_the_version_that_was_asked_for(dataset: Path, tmp_path: Path) -> None:
    assert locate(str(dataset)) == dataset
    assert locate(f"{dataset}@1.0.0") == dataset
    assert locate(str(dataset), revision="v1.0.0") == dataset
    with pytest.raises(DatasetNotFoundError, match=r"holds version 1\.0\.0, not 2\.0\.0"):
        locate(f"{dataset}@2.0.0")
    with pytest.raises(DatasetNotFoundError, match=r"no manifest\.json"):
        locate(str(tmp_path))
