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
from deepwriting.builders.manifest import read_manifest
from deepwriting.builders.parquet import CHUNKING_KEY
from deepwriting.builders.selection import Choice
from deepwriting.errors import BuildError, NothingKeptError, SchemaError
from deepwriting.schema import CONFIG_COLUMNS
from deepwriting.sources import DeepWritingRelease

Maker = Callable[..., dict[str, Any]]
Writer = Callable[..., Path]

#: Runs in the parent folder of a dataset, in a process that never saw deepwriting.
LOADER = """
import json, sys
from datasets import disable_progress_bars, get_dataset_config_names, get_dataset_default_config_name, load_dataset

disable_progress_bars()
name = "deepwriting-20k"
found = {"configs": sorted(get_dataset_config_names(name)), "default": get_dataset_default_config_name(name)}
found["rows"], found["streamed"], found["first"], found["types"] = {}, {}, {}, {}


def ids(rows):
    return [row["row_id"] if "row_id" in row else row["extra_info"]["index"] for row in rows]


for config in found["configs"]:
    stream = load_dataset(name, config, streaming=True)
    found["streamed"][config] = {split: ids(rows) for split, rows in stream.items()}
    found["types"][config] = list(stream["train"].features)
    if config not in sys.argv[1:]:
        continue
    whole = load_dataset(name, config)
    assert whole["train"].features == stream["train"].features
    found["rows"][config] = {split: ids(rows) for split, rows in whole.items()}
    found["first"][config] = whole["train"][0]
found["no_config"] = len(load_dataset(name, split="train"))
print(json.dumps(found))
"""


def load_elsewhere(parent: Path, home: Path, *whole: str) -> Any:
    """Everything streamed, and the configs that are named loaded whole, which takes longer."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", LOADER, *whole], cwd=parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_dataset_loads_by_name_offline_in_every_config(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    documents = [document(n, keep=n % 3 > 0) for n in range(9)]
    documents[1]["metadata"] |= {"category": "Popular Science", "domain": "Knowledge & Media"}
    settings["search"] = {"prompts": "no-reflection"}
    folder = shards(tmp_path / "shards", documents)
    report = build_dataset(folder, tmp_path / "deepwriting-20k", version="1.0.0", settings=settings, rows_per_shard=4)
    whole = ("all", "steps", "preferences", "sft", "sft-reasoning", "verl", "initial", "default")
    found = load_elsewhere(tmp_path, tmp_path / "home", *whole)
    assert found["configs"] == sorted(CONFIG_COLUMNS)
    assert found["rows"].keys() == set(whole)
    assert found["default"] == "default"
    kept = dict.fromkeys(("default", "preferences", "sft", "sft-reasoning", "verl", "initial", "no-reflection"), 6)
    parts = {"short": report.rows["short"], "long": report.rows["long"], "no-literature": 1}
    assert report.rows == kept | parts | {"all": 9, "steps": 36}
    assert {config: len(splits["train"]) for config, splits in found["streamed"].items()} == report.rows
    assert found["no_config"] == 6
    assert found["streamed"] == found["streamed"] | found["rows"]
    # Odd numbers are of source `lanterns`, even ones of `letters`.
    order = [doc["metadata"]["row_id"] for doc in (*documents[1::2], *documents[0::2])]
    for config, splits in found["streamed"].items():
        assert splits["train"] == sorted(splits["train"], key=order.index)
        assert found["types"][config] == [column.name for column in CONFIG_COLUMNS[config]]
    first = found["first"]["default"]
    assert first["answer"] == documents[1]["text"]
    assert first["thinking_patterns"] == [{"pattern": "wait", "count": 2}]
    assert found["first"]["initial"]["thinking"] == documents[1]["metadata"]["initial_thinking"]


def test_configs_and_splits_without_rows_are_left_out_and_the_others_load(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    documents = [document(n, steps=0) for n in range(6)]
    folder = shards(tmp_path / "shards", documents)
    report = build_dataset(
        folder, tmp_path / "deepwriting-20k", version="1.0.0", settings=settings, choice=Choice(validation_rows=1)
    )
    left_out = {"steps", "preferences", "no-reflection", "no-literature"}
    assert report.rows.keys() == CONFIG_COLUMNS.keys() - left_out
    assert (report.kept, report.validation) == (6, 1)
    manifest = read_manifest(tmp_path / "deepwriting-20k")
    assert manifest.configs.keys() == manifest.schema.keys() == report.rows.keys()
    found = load_elsewhere(tmp_path, tmp_path / "home", "default", "short", "long")
    assert set(found["configs"]) == report.rows.keys()
    assert found["streamed"] == found["streamed"] | found["rows"]
    for config, splits in found["streamed"].items():
        published = manifest.configs[config].splits
        assert {split: len(ids) for split, ids in splits.items()} == {s: published[s].rows for s in published}
    assert [len(found["rows"]["default"][split]) for split in ("train", "validation")] == [5, 1]


def test_validation_shares_no_query_with_train_in_any_config(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    documents = []
    for number in range(40):
        for rollout in range(3):
            doc = document(number, keep=(number + rollout) % 3 > 0)
            meta = doc["metadata"]
            meta |= {"row_id": f"{meta['row_id'][:-2]}-{rollout}", "rollout": rollout}
            meta["query"] = meta["query"].upper() if rollout else meta["query"]
            documents.append(doc)
    out = tmp_path / "set"
    folder = shards(tmp_path / "in", documents)
    build_dataset(folder, out, version="1.0.0", settings=settings, choice=Choice(validation_share=0.2))
    for config, about in read_manifest(out).configs.items():
        assert list(about.splits) == ["train", "validation"]
        queries = {}
        for split in about.splits:
            files = [pq.read_table(out / file.path) for file in about.files if file.split == split]
            rows = [row for file in files for row in file.to_pylist()]
            assert len(rows) == about.splits[split].rows > 0
            pairs = [(row.get("row_id") or row["extra_info"]["index"]).rpartition("-")[0] for row in rows]
            queries[split] = set(pairs)
        assert not queries["train"] & queries["validation"], config


def test_rows_without_reflection_come_from_another_run_of_the_same_pairs(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    folder = shards(tmp_path / "in", [document(n, keep=n > 0) for n in range(8)])
    plain = [document(n, thinking=f"A plain plan for {n}.", keep=n != 3) for n in range(20)]
    other = shards(tmp_path / "plain", plain)
    out = tmp_path / "set"
    report = build_dataset(
        folder, out, version="1.0.0", settings=settings, no_reflection=other, choice=Choice(validation_rows=2)
    )
    assert report.rows["no-reflection"] == 6
    splits = {}
    for split in ("train", "validation"):
        tables = [
            pq.read_table(out / f"data/{config}/{split}-00000-of-00001.parquet").to_pylist()
            for config in ("default", "no-reflection")
        ]
        splits[split] = [{row["row_id"] for row in rows} for rows in tables]
        assert splits[split][1] <= splits[split][0]
        assert all(row["thinking"].startswith("A plain plan") for row in tables[1])
    unknown = shards(tmp_path / "unknown", [document(n) for n in range(30, 33)])
    with pytest.raises(BuildError, match="no kept row of the run without reflection belongs to a pair"):
        build_dataset(folder, out, version="1.0.0", settings=settings, no_reflection=unknown)


def test_the_verl_config_is_read_by_the_reader_of_the_original_release(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    documents = [document(n) for n in range(4)]
    out = tmp_path / "set"
    build_dataset(shards(tmp_path / "in", documents), out, version="1.0.0", settings=settings)
    for config in ("verl", "sft", "default"):
        read = list(DeepWritingRelease(str(out / "data" / config), name="old", license="L").run())
        assert {(doc.metadata["query"], doc.metadata["given_thinking"], doc.text) for doc in read} == {
            (doc["metadata"]["query"], doc["metadata"]["thinking"], doc["text"]) for doc in documents
        }
    verl = list(DeepWritingRelease(str(out / "data" / "verl"), name="old", license="L").run())
    known = {doc["metadata"]["row_id"]: doc["metadata"]["source"] for doc in documents}
    facts = [json.loads(doc.metadata["provenance"]) for doc in verl]
    assert {fact["index"]: fact["data_source"] for fact in facts} == known


def test_every_config_is_written_for_small_updates(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    settings["search"] = {"prompts": "no-reflection"}
    out = tmp_path / "set"
    documents = [document(n, category="Popular Science", domain="Knowledge & Media") for n in range(9)]
    build_dataset(shards(tmp_path / "in", documents), out, version="1.0.0", settings=settings)
    files = [file for config in read_manifest(out).configs.values() for file in config.files]
    assert len(files) == len(CONFIG_COLUMNS)
    for file in files:
        metadata = pq.read_metadata(out / file.path)
        assert metadata.num_row_groups == 1
        assert CHUNKING_KEY.encode() in metadata.metadata
        assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_same_rows_give_the_same_bytes_wherever_and_however_they_are_sharded(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    documents = [document(n, keep=n % 4 > 0) for n in range(12)]
    one = shards(tmp_path / "a", documents, shards=1)
    random.Random(1).shuffle(documents)
    three = shards(tmp_path / "b", documents, shards=3)
    for source, out in ((one, tmp_path / "x" / "data"), (three, tmp_path / "y" / "elsewhere" / "set")):
        shuffled = dict(reversed(settings.items()))
        build_dataset(
            source,
            out,
            version="1.0.0",
            settings=shuffled if source is three else settings,
            choice=Choice(validation_rows=2),
        )
    first, second = snapshot(tmp_path / "x" / "data"), snapshot(tmp_path / "y" / "elsewhere" / "set")
    assert {name.split("/")[1] for name in first if name.startswith("data/")} >= {"default", "steps", "verl", "short"}
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
    with pytest.raises(
        NothingKeptError, match=r"none of the 3 rows is kept \(dropped by reason: copying 3, language 1\)"
    ):
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
        ({"name": "..", "version": "1.0.0"}, "dataset name '..'"),
        ({"name": "a..b", "version": "1.0.0"}, "dataset name 'a..b'"),
        (
            {"version": "1.0.0", "configs": ["default", "all", "gold"]},
            "unknown config 'gold': allowed are default, all",
        ),
        ({"version": "1.0.0", "configs": ["default"]}, r"configs \['default'\] lack all, which every dataset has"),
        ({"version": "1.0.0", "settings": {"filters": {"repetition_n": 0}}}, "settings.filters of the run"),
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


def test_a_category_outside_the_taxonomy_stops_the_build_and_leaves_the_old_one(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    out = tmp_path / "set"
    build_dataset(shards(tmp_path / "good", [document(1)]), out, version="1.0.0", settings=settings)
    before = snapshot(out)
    folder = shards(tmp_path / "bad", [document(1), document(2, category="Horoscopes", keep=False)])
    with pytest.raises(SchemaError, match="category 'Horoscopes' is not in the taxonomy"):
        build_dataset(folder, out, version="1.1.0", settings=settings)
    assert snapshot(out) == before


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"validation_share": 0.6}, "validation_share 0.6: allowed are 0"),
        ({"validation_rows": -1}, "validation_rows -1: allowed are 0"),
        ({"validation_share": 0.1, "validation_rows": 3}, "contradict each other"),
        ({"downsample": 1.5}, "downsample 1.5: allowed are 0 to 1"),
    ],
)
def test_impossible_choices_are_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        Choice(**choice)


def test_a_validation_split_that_would_be_empty_or_take_all_is_refused(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    folder = shards(tmp_path / "in", [document(n) for n in range(3)])
    for choice, left in (
        (Choice(validation_share=1e-9), "validation: 0 of 3"),
        (Choice(validation_rows=5), "train: 3"),
    ):
        with pytest.raises(NothingKeptError, match=f"leaves no row for {left}"):
            build_dataset(folder, tmp_path / "set", version="1.0.0", settings=settings, choice=choice)
    assert not (tmp_path / "set").exists()


def test_only_the_wanted_configs_are_built(
    tmp_path: Path, document: Maker, shards: Writer, settings: dict[str, Any]
) -> None:
    folder, told = shards(tmp_path / "in", [document(1)]), []
    report = build_dataset(
        folder,
        tmp_path / "set",
        version="1.0.0",
        settings=settings,
        configs=["sft", "all", "default"],
        watch=told.append,
    )
    assert list(report.rows) == ["default", "all", "sft"]
    assert told == ["all", "default", "sft"]
