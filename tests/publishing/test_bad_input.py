"""Folders that must not be published: what the checks say, and what they advise. No Hub is asked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepwriting.builders.parquet import file_facts
from deepwriting.cleaning.pii import KINDS
from deepwriting.cli.publish import PERSONAL_DATA
from deepwriting.hub.preflight.base import Check, Permissions
from deepwriting.hub.preflight.folder import check_folder

TABLE = "data/default/train-00000-of-00001.parquet"


def found(folder: Path, name: str, **options: Any) -> Check:
    """The one check of that name."""
    checks, _ = check_folder(folder, **options)
    return next(check for check in checks if check.name == name)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def listed_again(folder: Path, path: str, rows: int | None = None) -> None:
    """Put a changed file's checksum into the manifest, as somebody would who means it."""
    facts = file_facts(folder / path, folder)

    def change(data: dict[str, Any]) -> None:
        for config in data["configs"].values():
            for file in config["files"]:
                if file["path"] == path:
                    file.update(sha256=facts.sha256, bytes=facts.bytes, rows=file["rows"] if rows is None else rows)
        for file in data["documents"]:
            if file["path"] == path:
                file.update(sha256=facts.sha256, bytes=facts.bytes)

    change_manifest(folder, change)


def rewrite_table(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(folder / TABLE)), folder / TABLE)
    listed_again(folder, TABLE)


def replaced(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, values)


def test_a_good_folder_passes(first: Path) -> None:
    checks, manifest = check_folder(first, "1.0.0")
    assert {check.verdict for check in checks} == {"ok"}, checks
    assert [check.name for check in checks] == [
        "manifest", "names", "checksums", "size", "card", "schema", "default config", "categories", "licences",
        "personal data", "secrets",
    ]  # fmt: skip
    assert manifest is not None


def test_no_dataset_and_another_version(first: Path, tmp_path: Path) -> None:
    check = found(tmp_path, "manifest")
    assert (check.verdict, check.repair) == ("refused", f"deepwriting build RUN {tmp_path}")
    assert found(first.parent, "manifest").repair == f"deepwriting publish {first} …", "a run holds its dataset"
    check = found(first, "manifest", version="1.2.0")
    assert check.detail == "the folder holds version 1.0.0, and --version asks for 1.2.0"
    assert check.repair.endswith("--version 1.2.0")


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "data/../../x", "a\\b", "C:/x"])
def test_a_name_that_leads_out_of_the_folder(folder: Path, name: str) -> None:
    change_manifest(folder, lambda data: data["documents"][0].update(path=name))
    checks, manifest = check_folder(folder)
    assert manifest is None
    assert checks[-1].verdict == "refused"
    assert "not inside of the dataset's folder" in checks[-1].detail
    assert repr(name) in checks[-1].detail


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("data//x.parquet", "is no name for a file"),
        ("assets/new\nline.png", "is no name for a file"),
        (".gitattributes", "is kept for the Hub"),
        ("yanked.json", "is kept for the Hub"),
        ("readme.MD", "is the same as 'README.md' where case does not count"),
        ("assets/none.png", "is missing"),
        ("README.md", "stands twice in the manifest"),
    ],
)
def test_a_name_that_no_release_may_have(folder: Path, name: str, problem: str) -> None:
    change_manifest(folder, lambda data: data["documents"].append({"path": name, "sha256": "0" * 64, "bytes": 1}))
    assert problem in found(folder, "names").detail


@pytest.mark.parametrize("linked", ["README.md", "data/default"])
def test_a_link_is_not_followed(folder: Path, tmp_path: Path, linked: str) -> None:
    shutil.move(folder / linked, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", folder / linked)
    check = found(folder, "names")
    assert (check.verdict, "is a link" in check.detail) == ("refused", True)


def test_a_file_beside_the_manifest_is_not_sent_and_told_of(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    check = found(folder, "names")
    assert (check.verdict, check.detail) == ("warning", "not in the manifest, so not part of the release: notes.txt")


def test_a_file_that_was_changed_after_the_build(folder: Path) -> None:
    card = folder / "README.md"
    card.write_text(card.read_text() + "One more line.\n")
    check = found(folder, "checksums")
    assert check.detail == "changed since the build: README.md"
    assert check.repair == f"deepwriting build RUN {folder} --version 1.0.0"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("pretty_name: ", "pretty_name: [", "YAML is not valid"),
        ("pretty_name: ", "license: mit\npretty_name: ", "stands twice"),
        ("data/all/train-*", "data/none/train-*", "no file in"),
        ("data/all/train-*", "data/*/train-*", "the card's files are not the manifest's"),
        ("num_examples: 3", "num_examples: 4", "the card says {'train': 4} rows, the manifest {'train': 3}"),
    ],
)
def test_a_card_that_the_hub_would_not_read_or_that_is_not_true(folder: Path, old: str, new: str, problem: str) -> None:
    card = folder / "README.md"
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new, 1))
    listed_again(folder, "README.md")
    check = found(folder, "card")
    assert (check.verdict, problem in check.detail) == ("refused", True), check.detail
    assert check.repair == f"deepwriting build RUN {folder} writes the card anew"


def test_rows_that_break_the_schema(folder: Path) -> None:
    rewrite_table(folder, lambda table: replaced(table, "steps", table["steps"].cast(pa.int64())))
    assert "steps is int64, not int32" in found(folder, "schema").detail
    rewrite_table(folder, lambda table: replaced(table, "steps", pa.array([1, None, 2], pa.int32())))
    assert "column steps has rows without a value" in found(folder, "schema").detail
    rewrite_table(folder, lambda table: table.drop_columns(["steps"]))
    assert "columns steps differ from the manifest's" in found(folder, "schema").detail
    (folder / TABLE).write_bytes(b"PAR1 no longer")
    listed_again(folder, TABLE)
    assert "cannot be read" in found(folder, "schema").detail


def test_another_number_of_rows(folder: Path) -> None:
    rewrite_table(folder, lambda table: table.slice(0, 2))
    check = found(folder, "schema")
    assert f"{TABLE} holds 2 rows, the manifest says 3" in check.detail


def test_an_empty_default_config(folder: Path) -> None:
    change_manifest(folder, lambda data: data["configs"].pop("default"))
    check = found(folder, "default config")
    assert (check.verdict, check.detail) == ("refused", "without rows: default")
    assert "--redo annotate" in check.repair


def test_a_category_that_is_not_in_the_taxonomy(folder: Path) -> None:
    rewrite_table(folder, lambda table: replaced(table, "category", pa.array(["Gossip"] * 3)))
    check = found(folder, "categories")
    assert check.detail == "not in the taxonomy: 'Gossip' (3 rows)"
    assert "--redo select" in check.repair
    rewrite_table(folder, lambda table: replaced(table, "category", pa.array(["Academic Paper"] * 3)))
    assert "'Academic Paper' in the domain 'Artistic (Literature & Arts)'" in found(folder, "categories").detail


def test_a_licence_that_forbids_redistribution_needs_a_word(build: Any) -> None:
    folder = build(document={"license": "CC-BY-ND-4.0"})
    check = found(folder, "licences")
    assert check.verdict == "refused"
    assert check.detail == "'CC-BY-ND-4.0' forbids passing on changed copies"
    assert '--allow-licence "CC-BY-ND-4.0"' in check.repair
    check = found(folder, "licences", permissions=Permissions(licences=("cc-by-nd-4.0",)))
    assert check.verdict == "warning"


def test_personal_data_is_told_by_kind_and_place_and_needs_a_word(build: Any) -> None:
    folder = build(document={"thinking": "I could write to ada@lovelace.name. Then the lantern.\n\nThat is all."})
    check = found(folder, "personal data")
    assert check.verdict == "refused"
    assert check.detail.startswith("email 1 (")
    assert "thinking" in check.detail
    assert "lovelace" not in check.detail
    assert "--redo source" in check.repair
    check = found(folder, "personal data", permissions=Permissions(personal_data=("email",)))
    assert check.verdict == "warning"


def test_the_kinds_that_can_be_answered_for_are_the_kinds_that_are_looked_for() -> None:
    assert PERSONAL_DATA == KINDS


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"text": "The key is hf_" + "aB3" * 12 + ".\n\nHe kept it."}, "Hugging Face token 1 (all dw-"),
        ({"thinking": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n\nNo."}, "private key 1"),
        ({"provenance": '{"url": "https://ada:geheim99@files.example"}'}, "password in an address 1"),
        ({"generator": "/home/ada/models/qwen"}, "local path 1"),
    ],
)
def test_a_secret_in_a_row(build: Any, changes: dict[str, Any], kind: str) -> None:
    check = found(build(rows=1, document=changes), "secrets")
    assert check.verdict == "refused"
    assert kind in check.detail
    assert "aB3" not in check.detail
    assert "geheim" not in check.detail
    assert "--redo source" in check.repair


@pytest.mark.parametrize(
    "value", ["/data/ada/pairs.jsonl", "~/pairs.jsonl", "C:\\Users\\ada\\x", "file:///srv/x", "see /home/ada/x"]
)
def test_a_local_path_in_the_manifest(folder: Path, value: str) -> None:
    change_manifest(folder, lambda data: data["settings"].update(dedupe={"earlier_release": ["runs/v1", value]}))
    check = found(folder, "secrets")
    assert (check.verdict, check.detail) == (
        "refused",
        "local path in the manifest, settings.dedupe.earlier_release[1]",
    )


def test_a_token_in_the_manifest_or_in_the_card(folder: Path) -> None:
    token = "sk-" + "a1B2" * 8
    change_manifest(folder, lambda data: data["settings"].update(note=token))
    card = folder / "README.md"
    card.write_text(card.read_text() + f"\n{token} and /Users/ada/notes\n")
    listed_again(folder, "README.md")
    check = found(folder, "secrets")
    assert check.detail == (
        "OpenAI or Anthropic key in README.md, local path in README.md, OpenAI or Anthropic key in manifest.json"
    )
    assert token not in check.detail
