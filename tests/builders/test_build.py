from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deepwriting import __version__
from deepwriting.builders.build import build_dataset
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS

Maker = Callable[..., dict[str, Any]]
Writer = Callable[..., Path]

#: Runs in the parent folder of a dataset, in a process that never saw deepwriting.
LOADER = """
import json
from datasets import disable_progress_bars, get_dataset_config_names, get_dataset_default_config_name, load_dataset

disable_progress_bars()
name = "deepwriting-20k"
found = {"configs": sorted(get_dataset_config_names(name)), "default": get_dataset_default_config_name(name)}
found["rows"], found["streamed"], found["first"], found["types"], found["refused"] = {}, {}, {}, {}, {}
for config in found["configs"]:
    stream = load_dataset(name, config, split="train", streaming=True)
    found["streamed"][config] = [row["row_id"] for row in stream]
    found["types"][config] = list(stream.features)
    try:
        rows = load_dataset(name, config, split="train")
    except ValueError as error:
        found["refused"][config] = str(error)
        continue
    assert rows.features == stream.features
    found["rows"][config] = rows["row_id"][:]
    found["first"][config] = rows[0]
found["no_config"] = len(load_dataset(name, split="train"))
print(json.dumps(found))
"""


def load_elsewhere(parent: Path, home: Path) -> Any:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", LOADER], cwd=parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_dataset_loads_by_name_offline_in_every_config(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    documents = [document(n, keep=n % 3 > 0) for n in range(9)]
    folder = shards(tmp_path / "shards", documents)
    report = build_dataset(folder, tmp_path / "deepwriting-20k", version="1.0.0", settings=settings, rows_per_shard=4)
    found = load_elsewhere(tmp_path, tmp_path / "home")
    assert found["configs"] == sorted(CONFIG_COLUMNS)
    assert found["default"] == "default"
    assert report.rows == {"default": 6, "all": 9, "steps": 36, "sft": 6}
    assert {config: len(rows) for config, rows in found["rows"].items()} == report.rows
    assert found["no_config"] == 6
    assert found["refused"] == {}
    for config, rows in found["rows"].items():
        assert rows == sorted(rows)
        assert found["streamed"][config] == rows
        assert found["types"][config] == [column.name for column in CONFIG_COLUMNS[config]]
    kept = {doc["metadata"]["row_id"]: doc for doc in documents if doc["metadata"]["keep"]}
    first = found["first"]["default"]
    assert first["answer"] == kept[min(kept)]["text"]
    assert first["thinking_patterns"] == [{"pattern": "wait", "count": 2}]


def test_config_without_rows_streams_and_the_others_load(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    folder = shards(tmp_path / "shards", [document(1, steps=0)])
    build_dataset(folder, tmp_path / "deepwriting-20k", version="1.0.0", settings=settings)
    found = load_elsewhere(tmp_path, tmp_path / "home")
    assert found["streamed"]["steps"] == []
    assert found["types"]["steps"] == [column.name for column in CONFIG_COLUMNS["steps"]]
    assert found["rows"]["default"] == found["streamed"]["default"] != []
    # datasets 5.2 refuses any split without rows unless it is streamed; the card says so.
    assert found["refused"] == {"steps": 'Instruction "train" corresponds to no data!'}
    assert "with `streaming=True` only: `steps`." in (tmp_path / "deepwriting-20k" / "README.md").read_text("utf-8")


def test_same_rows_give_the_same_bytes_wherever_and_however_they_are_sharded(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    documents = [document(n, keep=n % 4 > 0) for n in range(12)]
    one = shards(tmp_path / "a", documents, shards=1)
    random.Random(1).shuffle(documents)
    three = shards(tmp_path / "b", documents, shards=3)
    for source, out in ((one, tmp_path / "x" / "data"), (three, tmp_path / "y" / "elsewhere" / "set")):
        shuffled = dict(reversed(settings.items()))
        build_dataset(source, out, version="1.0.0", settings=shuffled if source is three else settings)
    first, second = snapshot(tmp_path / "x" / "data"), snapshot(tmp_path / "y" / "elsewhere" / "set")
    assert len(first) == 9
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert not any(str(tmp_path).encode() in content for content in first.values())


def test_manifest_checksums_counts_and_schema(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    documents = [document(1), document(2), document(3, keep=False, drop_reasons=["copying", "repetition"])]
    documents.append(document(4, keep=False))
    out = tmp_path / "set"
    report = build_dataset(shards(tmp_path / "in", documents), out, name="my-set", version="2.1.0", settings=settings)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["version"]) == ("my-set", "2.1.0")
    assert manifest["deepwriting_version"] == __version__
    assert manifest["settings"] == settings
    assert manifest["counts"] == {
        "rows": 4,
        "kept": 2,
        "dropped": 2,
        "dropped_by_reason": {"copying": 1, "repetition": 2},
    }
    assert report.kept == 2
    assert report.dropped_by_reason == {"repetition": 2, "copying": 1}
    assert [column["name"] for column in manifest["schema"]["sft"]] == [c.name for c in CONFIG_COLUMNS["sft"]]
    listed = [file for config in manifest["configs"].values() for file in config["files"]] + manifest["documents"]
    for file in listed:
        content = (out / file["path"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
    assert {file["path"] for file in listed} | {"manifest.json"} == set(snapshot(out))
    assert report.bytes == sum(f["bytes"] for c in manifest["configs"].values() for f in c["files"])


def test_no_kept_row_is_an_error_with_reasons_and_leaves_the_old_build(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    out = tmp_path / "set"
    build_dataset(shards(tmp_path / "good", [document(1)]), out, version="1.0.0", settings=settings)
    before = snapshot(out)
    bad = [document(n, keep=False, drop_reasons=["copying"] if n else ["copying", "language"]) for n in range(3)]
    with pytest.raises(BuildError, match=r"none of the 3 rows is kept \(dropped by reason: copying 3, language 1\)"):
        build_dataset(shards(tmp_path / "bad", bad), out, version="1.1.0", settings=settings)
    assert snapshot(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "good", "set"]


def test_shards_without_rows_are_an_error(tmp_path: Path, shards: Writer) -> None:
    with pytest.raises(BuildError, match="hold no row at all"):
        build_dataset(shards(tmp_path / "in", []), tmp_path / "set", version="1.0.0", settings={})
    assert not (tmp_path / "set").exists()


def test_shards_inside_of_the_target_are_protected(tmp_path: Path, document: Maker, shards: Writer) -> None:
    folder = shards(tmp_path / "set" / "shards", [document(1)])
    with pytest.raises(BuildError, match="the shards lie inside"):
        build_dataset(folder, tmp_path / "set", version="1.0.0", settings={})
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "a/b", "version": "1.0.0"}, "dataset name 'a/b'"),
        ({"version": "v1"}, "dataset version 'v1': expected three numbers"),
        ({"version": "1.0.0", "settings": {"when": object()}}, "cannot be written as JSON"),
        ({"version": "1.0.0", "settings": {"rate": float("nan")}}, "cannot be written as JSON"),
    ],
)
def test_bad_arguments_are_named_before_any_work(
    tmp_path: Path, document: Maker, shards: Writer, arguments: dict[str, Any], message: str
) -> None:
    folder = shards(tmp_path / "in", [document(1)])
    with pytest.raises(BuildError, match=message):
        build_dataset(folder, tmp_path / "set", **({"settings": {}} | arguments))
    assert not (tmp_path / "set").exists()


def test_card_numbers_come_from_the_published_files(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    out = tmp_path / "set"
    documents = [document(n, perplexity_after=3.0 + n) for n in range(5)]
    build_dataset(shards(tmp_path / "in", documents), out, version="1.0.0", settings=settings)
    column = pq.read_table(out / "data/default/train-00000-of-00001.parquet")["perplexity_after"].to_pylist()
    median = sorted(column)[2]
    assert f"{median:.3f} after it" in (out / "README.md").read_text(encoding="utf-8")
