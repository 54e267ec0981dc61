from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deepwriting import __version__
from deepwriting.builders.manifest import Manifest, ManifestSplit, manifest, parse_manifest, read_manifest
from deepwriting.builders.parquet import FileFacts, SplitFacts, TableFacts
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS

COUNTS = {"rows": 5, "kept": 4, "dropped": 1, "dropped_by_reason": {"copying": 1}}
TRAIN = FileFacts("data/default/train-00000-of-00001.parquet", "ab", 120, 3, "train")
HELD = FileFacts("data/default/validation-00000-of-00001.parquet", "cd", 80, 1, "validation")
CARD = FileFacts("README.md", "ef", 12)


def text(**changes: Any) -> str:
    splits = (SplitFacts("train", 3, 99, (TRAIN,)), SplitFacts("validation", 1, 33, (HELD,)))
    made = manifest(
        name="lanterns", version="1.2.0", settings={"seed": 7, "models": ("a", "b")},
        tables=[TableFacts("default", splits)], documents=[CARD], counts=COUNTS,
    )  # fmt: skip
    return json.dumps(json.loads(made) | changes)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text())
    found = read_manifest(tmp_path)
    assert (found.name, found.version, found.deepwriting_version) == ("lanterns", "1.2.0", __version__)
    assert found.settings == {"seed": 7, "models": ["a", "b"]}
    assert found.configs["default"].rows == 4
    assert found.configs["default"].splits == {"train": ManifestSplit(3, 99), "validation": ManifestSplit(1, 33)}
    assert list(found.files()) == [TRAIN, HELD, CARD]
    assert found.counts.dropped_by_reason == {"copying": 1}
    columns = CONFIG_COLUMNS["default"]
    assert [(c.name, c.kind, c.doc, c.nullable) for c in found.schema["default"]] == [
        (c.name, c.kind, c.doc, c.nullable) for c in columns
    ]


def test_a_later_version_may_say_more() -> None:
    assert parse_manifest(text(mood="calm")).name == "lanterns"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged: the file: Invalid JSON"),
        ("[]", "is damaged: the file"),
        (text(version=1), "is damaged: version: Input should be a valid string"),
        (text(configs={"default": {"rows": "4"}}), r"is damaged: configs\.default\.rows"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(BuildError, match=message):
        read_manifest(tmp_path)


@pytest.mark.parametrize("path", ["../passwords", "/etc/passwd", "data/../../x", "data\\x", "c:/x", ""])
def test_a_name_that_escapes_the_folder_is_refused(path: str) -> None:
    with pytest.raises(BuildError, match="which is not inside of the dataset's folder"):
        parse_manifest(text(documents=[{"path": path, "sha256": "", "bytes": 1}]))


def test_a_folder_without_manifest_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no manifest\.json in .*: it is not a built dataset"):
        read_manifest(tmp_path)


def test_a_manifest_cannot_be_changed() -> None:
    found = parse_manifest(text())
    assert isinstance(found, Manifest)
    with pytest.raises(AttributeError):
        found.name = "other"  # type: ignore[misc]
