"""Genuine clients against the local Hub: few processes that do much each, since starting one takes seconds."""

from __future__ import annotations

import subprocess

from tests.hub_server.fixtures import HubProcess

WRITING = """
import io
import pyarrow as pa, pyarrow.parquet as pq
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

ESSAYS = {"repo_id": "tester/essays", "repo_type": "dataset"}
SHARD = "data/train-00000-of-00001.parquet"
api = HfApi()

def refused(status, call, *args, kind=HfHubHTTPError, **kwargs):
    try:
        call(*args, **kwargs)
    except kind as error:
        assert error.response.status_code == status, error
    else:
        raise SystemExit(f"{call.__name__} {args} {kwargs} was not refused")

def shard(rows):
    sink = io.BytesIO()
    pq.write_table(pa.table({"query": [f"q{i}" for i in range(rows)], "rank": list(range(rows))}), sink)
    return CommitOperationAdd(SHARD, sink.getvalue())

# Who asks, and repositories.
me = api.whoami()
assert me["name"] == "tester" and me["auth"]["accessToken"]["role"] == "write", me
assert [org["name"] for org in me["orgs"]] == ["writers"]
url = api.create_repo(**ESSAYS, private=True)
assert url.repo_id == "tester/essays" and url.repo_type == "dataset", url
assert api.create_repo(**ESSAYS, exist_ok=True).repo_id == "tester/essays"
refused(409, api.create_repo, **ESSAYS)
refused(403, api.create_repo, "strangers/short", repo_type="dataset")

# Commits.
card = b"---\\nlicense: cc-by-4.0\\nconfigs:\\n- config_name: default\\n  data_files: data/train-*\\n---\\n# Essays\\n"
old = [CommitOperationAdd("README.md", card), shard(30), CommitOperationAdd("notes/old.txt", b"old")]
first = api.create_commit(**ESSAYS, operations=old, commit_message="first", commit_description="all of it")
api.create_tag(**ESSAYS, tag="v1.0.0", revision=first.oid, tag_message="the first")
new = [shard(40), CommitOperationDelete("notes/")]
second = api.create_commit(**ESSAYS, operations=new, commit_message="second", parent_commit=first.oid)
api.create_tag(**ESSAYS, tag="v1.1.0", revision=second.oid)
late = {"operations": [shard(50)], "commit_message": "late", "parent_commit": first.oid}
refused(412, api.create_commit, **ESSAYS, **late)
assert api.create_commit(**ESSAYS, operations=[shard(40)], commit_message="again").oid == second.oid
wrong = CommitOperationAdd("README.md", b"---\\ntags: [\\n---\\n")
try:
    api.create_commit(**ESSAYS, operations=[wrong, shard(9)], commit_message="checked before anything is sent")
    raise SystemExit("a card that YAML cannot read")
except ValueError as error:
    assert "Invalid metadata in README.md" in str(error), error

# Branches, tags, history.
refs = api.list_repo_refs(**ESSAYS)
assert {tag.name: tag.target_commit for tag in refs.tags} == {"v1.0.0": first.oid, "v1.1.0": second.oid}
assert [(branch.name, branch.target_commit) for branch in refs.branches] == [("main", second.oid)]
assert [commit.title for commit in api.list_repo_commits(**ESSAYS)] == ["second", "first", "initial commit"]
refused(409, api.create_tag, **ESSAYS, tag="v1.0.0", revision=second.oid)
api.create_tag(**ESSAYS, tag="v1.0.0", revision=second.oid, exist_ok=True)
assert api.dataset_info("tester/essays", revision="v1.0.0").sha == first.oid
api.create_branch(**ESSAYS, branch="next", revision="v1.0.0")
api.create_commit(**ESSAYS, operations=[shard(31)], commit_message="elsewhere", revision="next")
assert api.dataset_info("tester/essays").sha == second.oid
api.delete_branch(**ESSAYS, branch="next")
refused(403, api.delete_branch, **ESSAYS, branch="main")
api.create_tag(**ESSAYS, tag="v9", revision="main")
api.delete_tag(**ESSAYS, tag="v9")
refused(404, api.dataset_info, "tester/essays", revision="v9", kind=RevisionNotFoundError)
refused(404, api.create_tag, **ESSAYS, tag="v10", revision="nowhere", kind=RevisionNotFoundError)

# Descriptions and listings.
info = api.dataset_info("tester/essays", files_metadata=True)
assert info.private and info.card_data["license"] == "cc-by-4.0"
sizes = {sibling.rfilename: sibling.size for sibling in info.siblings}
assert sorted(sizes) == [".gitattributes", "README.md", SHARD] and sizes["README.md"] == len(card), sizes
tree = {item.path: item for item in api.list_repo_tree(**ESSAYS, recursive=True, expand=True)}
assert sorted(tree) == [".gitattributes", "README.md", "data", SHARD]
assert tree[SHARD].last_commit.title == "second" and tree[SHARD].lfs.size == shard(40).upload_info.size
assert tree["README.md"].last_commit.title == "first" and tree["README.md"].lfs is None
assert [item.path for item in api.list_repo_tree(**ESSAYS)] == [".gitattributes", "README.md", "data"]
assert [item.path for item in api.get_paths_info(**ESSAYS, paths=["README.md", "nothing"])] == ["README.md"]
refused(404, list, api.list_repo_tree(**ESSAYS, path_in_repo="nothing"), kind=EntryNotFoundError)

# Private and public.
anybody = HfApi(token=False)
refused(401, anybody.dataset_info, "tester/essays", kind=RepositoryNotFoundError)
api.update_repo_settings(**ESSAYS, private=False)
assert anybody.dataset_info("tester/essays").private is False
refused(401, anybody.create_tag, **ESSAYS, tag="v3", kind=HfHubHTTPError)
assert [item.id for item in anybody.list_datasets(author="tester")] == ["tester/essays"]
api.create_repo("writers/short", repo_type="dataset")
api.delete_repo("writers/short", repo_type="dataset")
assert not api.repo_exists("writers/short", repo_type="dataset")
api.update_repo_settings(**ESSAYS, private=True)
print(first.oid, second.oid)
"""

READING = """
import os, sys
import duckdb, pandas, polars
from datasets import load_dataset
from huggingface_hub import HfFileSystem, hf_hub_download, snapshot_download

first, second = sys.argv[1:]
old = load_dataset("tester/essays", revision="v1.0.0", split="train")
new = load_dataset("tester/essays", revision="v1.1.0", split="train")
assert (len(old), len(new), len(load_dataset("tester/essays", split="train"))) == (30, 40, 40)
stream = load_dataset("tester/essays", revision="v1.0.0", split="train", streaming=True)
assert [row["rank"] for row in stream] == list(range(30))

folder = snapshot_download("tester/essays", repo_type="dataset", revision="v1.0.0")
assert os.path.basename(folder) == first and open(f"{folder}/notes/old.txt").read() == "old"
assert second in hf_hub_download("tester/essays", "README.md", repo_type="dataset", revision=second)

files = HfFileSystem()
assert [os.path.basename(path) for path in files.glob("datasets/tester/essays@v1.0.0/notes/*")] == ["old.txt"]
with files.open("datasets/tester/essays@v1.0.0/data/train-00000-of-00001.parquet") as file:
    file.seek(-4, 2)
    assert file.read() == b"PAR1"
duckdb.register_filesystem(files)
rows = duckdb.sql("select count(*), max(rank) from 'hf://datasets/tester/essays@v1.0.0/data/*.parquet'").fetchall()
assert rows == [(30, 29)], rows
assert len(pandas.read_parquet("hf://datasets/tester/essays@v1.1.0/data/train-00000-of-00001.parquet")) == 40
with files.open("datasets/tester/essays/data/train-00000-of-00001.parquet") as file:
    assert polars.read_parquet(file).height == 40
"""

#: Git itself is asked whether what the Hub keeps is a repository, and what happened in it.
HISTORY = ["initial commit", "first", "second"]


def test_writing_reading_and_a_restart(hub: HubProcess) -> None:
    written = hub.python(WRITING)
    assert written.returncode == 0, written.stderr
    hub.restart()
    read = hub.python(READING, *written.stdout.split())
    assert read.returncode == 0, read.stderr

    repository = hub.data / "datasets" / "tester" / "essays.git"
    git = ["git", f"--git-dir={repository}"]
    checked = subprocess.run([*git, "fsck", "--full", "--strict"], capture_output=True, text=True, check=True)
    assert "error" not in checked.stderr
    log = subprocess.run([*git, "log", "--format=%s", "--reverse", "main"], capture_output=True, text=True, check=True)
    assert log.stdout.splitlines() == HISTORY
    tag = subprocess.run([*git, "cat-file", "tag", "v1.0.0"], capture_output=True, text=True, check=True)
    assert tag.stdout.endswith("the first\n")
