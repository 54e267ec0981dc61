from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.errors import BuildError
from deepwriting.hub.diff import compare

Documents = list[dict[str, Any]]
Make = Callable[..., Path]


def test_equal_folders_need_no_version(built: Path, dataset: Path) -> None:
    diff = compare(built, dataset)
    assert (diff.schema_changed, diff.rows_changed, diff.required_bump) == (False, False, "none")
    assert diff.files == ()
    assert diff.settings == {}
    assert all(figure.old == figure.new for figure in diff.statistics)


def test_rows_added_removed_and_changed(
    tmp_path: Path, unsplit: Path, make_dataset: Make, documents: Documents
) -> None:
    later = copy.deepcopy(documents[1:])
    later[0]["metadata"]["thinking"] += " And one more thought."
    later[0]["metadata"]["repetition"] = 0.25
    fresh = copy.deepcopy(documents[0])
    fresh["metadata"]["row_id"] = "dw-0000000000000000-0"
    diff = compare(unsplit, make_dataset(tmp_path / "new", [*later, fresh], version="1.1.0"))
    rows = diff.config("all").rows
    assert (rows.added, rows.removed, rows.changed) == (1, 1, 1)
    assert dict(rows.columns) == {"repetition": 1, "thinking": 1}
    assert rows.examples["added"] == ["dw-0000000000000000-0"]
    assert rows.examples["removed"] == [documents[0]["metadata"]["row_id"]]
    assert rows.examples["changed"] == [documents[1]["metadata"]["row_id"]]
    assert diff.config("steps").rows.changed == 0
    assert diff.config("steps").rows.removed > 0
    assert dict(diff.config("verl").rows.columns) == {"solution": 1}
    assert (diff.schema_changed, diff.required_bump) == (False, "minor")
    figures = {(figure.kind, figure.name): (figure.old, figure.new) for figure in diff.statistics}
    assert figures["rows", "all"] == (len(documents), len(documents))
    assert ("mean", "repetition") in figures


def test_other_shards_of_the_same_rows_are_a_patch(
    tmp_path: Path, unsplit: Path, make_dataset: Make, documents: Documents
) -> None:
    new = make_dataset(tmp_path / "new", documents, version="1.0.1", rows_per_shard=3, recipe="another")
    assert len(list((new / "data/all").iterdir())) > 1
    diff = compare(unsplit, new)
    assert (diff.schema_changed, diff.rows_changed, diff.required_bump) == (False, False, "patch")
    assert diff.settings == {"recipe": ("short", "another")}
    assert "README.md" in diff.files


def test_a_new_split_is_a_new_schema_and_says_which_rows_moved(unsplit: Path, built: Path) -> None:
    diff = compare(unsplit, built)
    assert diff.required_bump == "major"
    change = diff.config("default")
    assert change.new_splits["validation"] == 1
    assert change.old_splits.keys() == {"train"}
    assert dict(change.rows.columns) == {"(split)": 1}


def test_columns_added_removed_and_retyped(dataset: Path, built: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = next((dataset / "data/default").glob("train-*"))
    table = pq.read_table(file).drop_columns(["rollout"])
    table = table.set_column(table.column_names.index("steps"), "steps", table["steps"].cast(pa.int64()))
    pq.write_table(table.append_column("mood", pa.array(["calm"] * len(table))), file)
    edited = (dataset / "manifest.json").read_text(encoding="utf-8")
    (dataset / "manifest.json").write_text(edited.replace(_sha(built, file.name), "0" * 64), encoding="utf-8")
    change = compare(built, dataset).config("default")
    assert (change.added, change.removed) == (("mood",), ("rollout",))
    assert change.retyped == {"steps": ("int32", "int64")}
    assert not change.rows.any


def _sha(folder: Path, name: str) -> str:
    from deepwriting.builders.manifest import read_manifest

    return next(f.sha256 for f in read_manifest(folder).files() if f.path == f"data/default/{name}")


def test_what_is_no_dataset_is_refused(tmp_path: Path, dataset: Path) -> None:
    with pytest.raises(BuildError, match=r"no manifest\.json"):
        compare(tmp_path, dataset)
    shard = next((dataset / "data/all").glob("train-*"))
    shard.write_bytes(b"PAR1 not really")
    with pytest.raises(BuildError, match=r"data/all/train-00000-of-00001\.parquet in .* cannot be read"):
        compare(dataset, dataset)
