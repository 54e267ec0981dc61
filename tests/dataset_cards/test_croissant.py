from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deepwriting.builders.features import features
from deepwriting.dataset_cards.croissant import _field
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS

#: Reads the metadata with MLCommons' own reader, in a process whose network is shut and that lets warnings pass.
READER = """
import json, socket, sys
def refuse(*args, **kwargs): raise OSError("no network in this test")
socket.socket.connect = refuse
import mlcroissant

found = mlcroissant.Dataset(jsonld=sys.argv[1])
issues = found.metadata.ctx.issues
records = {
    table.id: [{key.split("/", 1)[1]: value for key, value in record.items()} for record in found.records(table.id)]
    for table in found.metadata.record_sets
}
print(json.dumps({"errors": list(issues.errors), "warnings": list(issues.warnings), "records": records,
                  "license": found.metadata.license, "version": found.metadata.version}, default=lambda v:
                  v.decode() if isinstance(v, bytes) else v.item() if hasattr(v, "item") else str(v)))
"""


def test_mlcroissant_validates_it_and_reads_every_row(built: Path) -> None:
    pytest.importorskip("mlcroissant")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, str(built / "croissant.json")],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["errors"], found["warnings"]) == ([], [])
    assert found["version"] == "1.1.0"
    records = found["records"]
    assert {config: len(rows) for config, rows in records.items()} == {"default": 7, "all": 8, "sft": 7}
    assert sorted(row["split"] for row in records["all"]) == ["train"] * 6 + ["validation"] * 2
    first = min(records["all"], key=lambda row: row["row_id"])
    assert first["query"] == "Write about lantern 0."
    assert first["segments"][0]["all/segments/final"] == "Okay, wait."
    assert first["perplexity_after"] == 6.0


def test_checksums_sizes_and_columns_are_those_of_the_files(built: Path) -> None:
    content = json.loads((built / "croissant.json").read_text("utf-8"))
    files = [entry for entry in content["distribution"] if entry["@type"] == "cr:FileObject"]
    assert {file["contentUrl"] for file in files} == {p.relative_to(built).as_posix() for p in built.rglob("*.parquet")}
    for file in files:
        data = (built / file["contentUrl"]).read_bytes()
        assert (file["sha256"], file["contentSize"]) == (hashlib.sha256(data).hexdigest(), f"{len(data)} B")
    for records in content["recordSet"]:
        columns = [field["name"] for field in records["field"]]
        assert columns == ["split", *(column.name for column in CONFIG_COLUMNS[records["name"]])]
        assert all(field["description"] for field in records["field"])
    assert content["creator"] == [{"@type": "sc:Person", "name": "Ada Lovelace"}]
    assert content["datePublished"] == "2026-11-26"
    assert content["license"] == [f"https://spdx.org/licenses/{name}.html" for name in ("CC-BY-SA-4.0", "MIT")]


@pytest.mark.parametrize("config", list(CONFIG_COLUMNS))
def test_every_column_of_the_schema_has_a_type(config: str) -> None:
    for name, feature in features(config).items():
        field = _field(config, name, feature, "")
        assert "dataType" in field or all("dataType" in part for part in field["subField"])


def test_a_type_that_croissant_lacks_is_named() -> None:
    from datasets import Value

    unknown: Any = Value("duration[s]")
    with pytest.raises(BuildError, match="config all, column when: Croissant has no type for"):
        _field("all", "when", unknown, "")
