"""Large files in pieces: the genuine ``hf_xet`` writes and reads them, and clients without it read them too."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest

from deepwriting.hub.local.xet import hash_text, read_shard, unpack
from tests.hub_server.fixtures import HubProcess

PIECES = """
import hashlib, io, json, os, random, sys, urllib.request
import pyarrow as pa, pyarrow.parquet as pq
from huggingface_hub import CommitOperationAdd, HfApi, HfFileSystem, constants, hf_hub_download, snapshot_download
from datasets import Dataset, load_dataset

ESSAYS = {"repo_id": "tester/essays", "repo_type": "dataset"}
SHARD = "data/train-00000-of-00001.parquet"
rng = random.Random(0)
words = ["".join(rng.choices("abcdefghijklmnop", k=6)) for _ in range(5000)]
rows = [" ".join(rng.choices(words, k=60)) for _ in range(6000)]

def shard(texts):
    sink = io.BytesIO()
    table = pa.table({"text": texts, "number": list(range(len(texts)))})
    pq.write_table(table, sink, use_content_defined_chunking=True)
    return sink.getvalue()

def stored():
    return json.load(urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/-/stored"))

api = HfApi()
api.create_repo(**ESSAYS, private=True)
one = shard(rows)
oid = api.create_commit(**ESSAYS, operations=[CommitOperationAdd(SHARD, one)], commit_message="one").oid
api.create_tag(**ESSAYS, tag="v1", revision=oid)
before = stored()
assert before["large"] == 0 and 0 < before["xet"] <= 1.05 * len(one), (before, len(one))

two = shard(rows[:3000] + ["a row that is new"] + rows[3000:])
api.create_commit(**ESSAYS, operations=[CommitOperationAdd(SHARD, two)], commit_message="two")
new = (stored()["xet"] - before["xet"]) / len(two)
assert 0 < new < 0.5, new

[shown] = api.get_paths_info(**ESSAYS, paths=[SHARD])
assert len(shown.xet_hash) == 64 and shown.lfs.sha256 == hashlib.sha256(two).hexdigest()
with open(hf_hub_download(**ESSAYS, filename=SHARD, revision="v1"), "rb") as file:
    assert file.read() == one
assert len(load_dataset("tester/essays", split="train")) == 6001

# A part of a file, and a client without hf_xet.
with HfFileSystem().open(f"datasets/tester/essays@v1/{SHARD}") as file:
    file.seek(100_001)
    assert file.read(5000) == one[100_001:105_001]
folder = snapshot_download(**ESSAYS)
# What `datasets` does by itself takes the same way.
Dataset.from_dict({"text": rows[:50]}).push_to_hub("tester/plain", private=True, data_dir="texts")
assert load_dataset("tester/plain", split="train")["text"][:] == rows[:50]

constants.HF_HUB_DISABLE_XET = True
with open(hf_hub_download(**ESSAYS, filename=SHARD, revision="main", cache_dir=sys.argv[1]), "rb") as file:
    assert file.read() == two
# What is there in pieces is not sent whole.
same = CommitOperationAdd("copies/copy.parquet", two)
api.create_commit(**ESSAYS, operations=[same], commit_message="a copy")
assert stored()["large"] == 0
"""


def test_pieces(hub: HubProcess, tmp_path: object) -> None:
    done = hub.python(PIECES, f"{tmp_path}/plain", HF_HUB_DISABLE_XET="0")
    assert done.returncode == 0, done.stderr
    asked = [f"{line['method']} {line['path'].partition('?')[0]}" for line in hub.requests()]
    assert any("xet-write-token" in line for line in asked)
    assert any("xet-read-token" in line for line in asked)
    assert not any(line.startswith("PUT /large") for line in asked)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1000, 1003])
def test_unpack(size: int) -> None:
    chunk = bytes(index * 7 % 256 for index in range(size))
    grouped = b"".join(chunk[group::4] for group in range(4))
    assert unpack(chunk, 0, size) == chunk
    assert unpack(pa.compress(chunk, codec="lz4", asbytes=True), 1, size) == chunk
    assert unpack(pa.compress(grouped, codec="lz4", asbytes=True), 2, size) == chunk
    with pytest.raises(ValueError, match="unknown way 9"):
        unpack(chunk, 9, size)


def test_read_shard() -> None:
    def record(name: bytes, *numbers: int) -> bytes:
        return (name * 32)[:32] + struct.pack(f"<{len(numbers)}I", *numbers) + bytes(16 - 4 * len(numbers))

    plain = record(b"a", 0, 1) + record(b"b", 0, 10, 0, 2)
    flags = 1 << 31 | 1 << 30
    whole = (
        record(b"c", flags, 2) + record(b"d", 0, 20, 1, 2) + record(b"e", 0, 5, 0, 1) + 2 * record(b"v") + record(b"s")
    )
    files = read_shard(bytes(48) + plain + whole + b"\xff" * 32 + bytes(16))
    with pytest.raises(ValueError, match="ends in the middle"):
        read_shard(bytes(48) + plain)
    # A file without the hash of its contents cannot be found by it.
    assert list(files) == [hash_text(b"s" * 32)]
    [found] = files.values()
    assert (found.hash, found.size) == (hash_text(b"c" * 32), 25)
    assert [(term.block[:2], term.first, term.end) for term in found.terms] == [("64", 1, 2), ("65", 0, 1)]
