"""A published release in the hands of other tools: `datasets`, pandas, DuckDB and Polars, on ``hf://`` at its tag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.builders.conftest import SETTINGS, make_document, write_shards

#: Every tool counts and adds the same things; what they found is compared outside.
TOOLS = """
import json
import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
from datasets import load_dataset
from huggingface_hub import HfFileSystem

FOLDER = "hf://datasets/tester/essays@1.0.0/data"
found = {}

rows = load_dataset("tester/essays", revision="1.0.0", split="train")
long = rows.map(lambda row: {"characters": len(row["thinking"])}).filter(lambda row: row["source"] == "lanterns")
found["datasets"] = [len(long), sum(long["characters"])]

frame = rows.to_pandas()
frame = frame[frame["source"] == "lanterns"]
found["to_pandas"] = [len(frame), int(frame["thinking"].str.len().sum())]

stream = load_dataset("tester/essays", revision="1.0.0", split="train", streaming=True)
kept = list(stream.filter(lambda row: row["source"] == "lanterns").map(lambda row: {"n": len(row["thinking"])}))
found["streaming"] = [len(kept), sum(row["n"] for row in kept)]

frame = pd.read_parquet(FOLDER + "/default/train-00000-of-00001.parquet", filters=[("source", "==", "lanterns")])
found["pandas"] = [len(frame), int(frame["thinking"].str.len().sum())]

duckdb.register_filesystem(HfFileSystem())
query = "select count(*), sum(len(thinking)) from '{}/default/*.parquet' where source = 'lanterns'"
found["duckdb"] = [int(value) for value in duckdb.sql(query.format(FOLDER)).fetchall()[0]]
pairs = "select s.candidate from '{}/steps/*.parquet' s join '{}/all/*.parquet' a using (row_id) where not a.keep"
found["steps of dropped rows"] = len(duckdb.sql(pairs.format(FOLDER, FOLDER)).fetchall())

with HfFileSystem().open(FOLDER + "/default/train-00000-of-00001.parquet") as file:
    frame = pl.read_parquet(file).filter(pl.col("source") == "lanterns")
found["polars"] = [len(frame), int(frame["thinking"].str.len_chars().sum())]
lazy = pl.scan_pyarrow_dataset(ds.dataset(FOLDER.removeprefix("hf://") + "/default", filesystem=HfFileSystem()))
lazy = lazy.filter(pl.col("source") == "lanterns").select(pl.len(), pl.col("thinking").str.len_chars().sum())
found["polars, lazy"] = [int(value) for value in lazy.collect().row(0)]

pattern = frame["thinking_patterns"][0].to_list()
assert pattern == [{"pattern": "wait", "count": 2}] == rows[0]["thinking_patterns"], pattern
print(json.dumps(found))
"""


def test_a_release_is_read_by_the_tools_that_people_have(hub: Any, tmp_path: Path) -> None:
    from deepwriting.builders.build import build_dataset

    documents = [make_document(number, keep=number != 3) for number in range(7)]
    shards = write_shards(tmp_path / "shards", documents)
    out = tmp_path / "essays"
    build_dataset(shards, out, name="essays", version="1.0.0", settings=SETTINGS, configs=("default", "all", "steps"))
    done = hub.cli("publish", out, "--repo", "tester/essays")
    assert done.returncode == 0, done.stderr
    done = hub.python(TOOLS)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    dropped = documents[3]["metadata"]
    assert found.pop("steps of dropped rows") == len(dropped["trace"])
    wanted = [d["metadata"] for d in documents if d["metadata"]["keep"] and d["metadata"]["source"] == "lanterns"]
    expected = [len(wanted), sum(len(metadata["thinking"]) for metadata in wanted)]
    assert found == dict.fromkeys(found, expected)
    assert len(found) == 7
