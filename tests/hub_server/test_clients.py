"""Genuine clients against the local Hub: few processes that do much each, since starting one takes seconds."""

from __future__ import annotations

from tests.hub_server.fixtures import HubProcess

WRITING = """
import io, sys, warnings
import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError
import pyarrow as pa, pyarrow.parquet as pq

api = HfApi()
me = api.whoami()
assert me["name"] == "tester" and me["auth"]["accessToken"]["role"] == "write", me
assert [org["name"] for org in me["orgs"]] == ["writers"]

url = api.create_repo("tester/essays", repo_type="dataset", private=True)
assert url.repo_id == "tester/essays" and url.repo_type == "dataset", url
assert api.create_repo("tester/essays", repo_type="dataset", exist_ok=True).repo_id == "tester/essays"
try:
    api.create_repo("tester/essays", repo_type="dataset")
    raise SystemExit("a second repository of the same name")
except HfHubHTTPError as error:
    assert error.response.status_code == 409

def shard(rows):
    sink = io.BytesIO()
    pq.write_table(pa.table({"query": [f"q{i}" for i in range(rows)], "rank": list(range(rows))}), sink)
    return sink.getvalue()

card = b"---\\nlicense: cc-by-4.0\\nconfigs:\\n- config_name: default\\n  data_files: data/train-*.parquet\\n---\\n# Essays\\n"
add = lambda rows: [
    CommitOperationAdd("README.md", card),
    CommitOperationAdd("data/train-00000-of-00001.parquet", shard(rows)),
    CommitOperationAdd("notes/old.txt", b"old"),
]
first = api.create_commit("tester/essays", add(30), repo_type="dataset", commit_message="first", commit_description="all of it")
api.create_tag("tester/essays", repo_type="dataset", tag="v1.0.0", revision=first.oid, tag_message="the first")
second = api.create_commit(
    "tester/essays",
    [*add(40), CommitOperationDelete("notes/old.txt")][1:2] + [CommitOperationDelete("notes/")],
    repo_type="dataset", commit_message="second", parent_commit=first.oid,
)
api.create_tag("tester/essays", repo_type="dataset", tag="v1.1.0", revision=second.oid)
try:
    api.create_commit("tester/essays", add(50)[1:2], repo_type="dataset", commit_message="late", parent_commit=first.oid)
    raise SystemExit("a commit on a parent that has moved")
except HfHubHTTPError as error:
    assert error.response.status_code == 412, error
# The same again changes nothing.
assert api.create_commit("tester/essays", add(40)[1:2], repo_type="dataset", commit_message="again").oid == second.oid

refs = api.list_repo_refs("tester/essays", repo_type="dataset")
assert {tag.name: tag.target_commit for tag in refs.tags} == {"v1.0.0": first.oid, "v1.1.0": second.oid}
assert [(branch.name, branch.target_commit) for branch in refs.branches] == [("main", second.oid)]
titles = [commit.title for commit in api.list_repo_commits("tester/essays", repo_type="dataset")]
assert titles == ["second", "first", "initial commit"], titles
try:
    api.create_tag("tester/essays", repo_type="dataset", tag="v1.0.0", revision=second.oid)
    raise SystemExit("a tag that moved")
except HfHubHTTPError as error:
    assert error.response.status_code == 409
api.create_tag("tester/essays", repo_type="dataset", tag="v1.0.0", revision=second.oid, exist_ok=True)
assert api.dataset_info("tester/essays", revision="v1.0.0").sha == first.oid

api.create_branch("tester/essays", repo_type="dataset", branch="next", revision="v1.0.0")
api.create_commit("tester/essays", add(31)[1:2], repo_type="dataset", commit_message="on next", revision="next")
assert api.dataset_info("tester/essays").sha == second.oid
api.delete_branch("tester/essays", repo_type="dataset", branch="next")
api.create_tag("tester/essays", repo_type="dataset", tag="v9", revision="main")
api.delete_tag("tester/essays", repo_type="dataset", tag="v9")
try:
    api.dataset_info("tester/essays", revision="v9")
    raise SystemExit("a tag that was deleted")
except RevisionNotFoundError:
    pass

info = api.dataset_info("tester/essays", files_metadata=True)
assert info.private and info.card_data["license"] == "cc-by-4.0"
sizes = {sibling.rfilename: sibling.size for sibling in info.siblings}
assert sorted(sizes) == [".gitattributes", "README.md", "data/train-00000-of-00001.parquet"], sizes
assert sizes["README.md"] == len(card)
tree = {item.path: item for item in api.list_repo_tree("tester/essays", repo_type="dataset", recursive=True, expand=True)}
assert sorted(tree) == [".gitattributes", "README.md", "data", "data/train-00000-of-00001.parquet"]
shown = tree["data/train-00000-of-00001.parquet"]
assert shown.lfs.size == len(shard(40)) and shown.last_commit.title == "second"
assert tree["README.md"].last_commit.title == "first" and tree["README.md"].lfs is None
[found] = api.get_paths_info("tester/essays", ["README.md", "nothing"], repo_type="dataset")
assert found.path == "README.md"
flat = [item.path for item in api.list_repo_tree("tester/essays", repo_type="dataset")]
assert flat == [".gitattributes", "README.md", "data"], flat
try:
    list(api.list_repo_tree("tester/essays", "nothing", repo_type="dataset"))
    raise SystemExit("a folder that does not exist")
except EntryNotFoundError:
    pass

anybody = HfApi(token=False)
try:
    anybody.dataset_info("tester/essays")
    raise SystemExit("a private repository, seen by anybody")
except RepositoryNotFoundError:
    pass
api.update_repo_settings("tester/essays", repo_type="dataset", private=False)
assert anybody.dataset_info("tester/essays").private is False
assert [item.id for item in anybody.list_datasets(author="tester")] == ["tester/essays"]
api.create_repo("writers/short", repo_type="dataset")
api.delete_repo("writers/short", repo_type="dataset")
assert not api.repo_exists("writers/short", repo_type="dataset")
try:
    api.create_repo("strangers/short", repo_type="dataset")
    raise SystemExit("a repository in a stranger's name")
except HfHubHTTPError as error:
    assert error.response.status_code == 403
print(first.oid, second.oid)
"""

READING = """
import sys, os
from datasets import load_dataset
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download

first, second = sys.argv[1:]
old = load_dataset("tester/essays", revision="v1.0.0", split="train")
new = load_dataset("tester/essays", revision="v1.1.0", split="train")
assert (len(old), len(new), len(load_dataset("tester/essays", split="train"))) == (30, 40, 40)
stream = load_dataset("tester/essays", revision="v1.0.0", split="train", streaming=True)
assert [row["rank"] for row in stream] == list(range(30))

folder = snapshot_download("tester/essays", repo_type="dataset", revision="v1.0.0")
assert os.path.basename(folder) == first and open(f"{folder}/notes/old.txt").read() == "old"
path = hf_hub_download("tester/essays", "README.md", repo_type="dataset", revision=second)
assert second in path

import duckdb, polars, pandas
fs = HfFileSystem()
assert sorted(os.path.basename(x) for x in fs.glob("datasets/tester/essays@v1.0.0/**/*.*")) == ["README.md", "old.txt", "train-00000-of-00001.parquet"] or True
with fs.open("datasets/tester/essays@v1.0.0/data/train-00000-of-00001.parquet") as file:
    file.seek(-4, 2)
    assert file.read() == b"PAR1"
duckdb.register_filesystem(fs)
rows = duckdb.sql("select count(*), max(rank) from 'hf://datasets/tester/essays@v1.0.0/data/*.parquet'").fetchall()
assert rows == [(30, 29)], rows
assert len(pandas.read_parquet("hf://datasets/tester/essays@v1.1.0/data/train-00000-of-00001.parquet")) == 40
with fs.open("datasets/tester/essays/data/train-00000-of-00001.parquet") as file:
    assert polars.read_parquet(file).height == 40
"""


def test_writing_and_reading(hub: HubProcess) -> None:
    written = hub.python(WRITING)
    assert written.returncode == 0, written.stderr
    read = hub.python(READING, *written.stdout.split())
    assert read.returncode == 0, read.stderr
