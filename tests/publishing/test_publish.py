"""Publishing against a local Hub, with the genuine client in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.publishing.client import PRELUDE
from tests.publishing.conftest import edited

LOAD = """
import sys
from datasets import load_dataset
for version in ("1.0.0", "1.1.0", "main"):
    rows = load_dataset("tester/essays", split="train", revision=version)
    streamed = list(load_dataset("tester/essays", split="train", revision=version, streaming=True))
    print(version, len(rows), len(streamed), rows[0] == streamed[0])
"""


def answer(done: Any) -> Any:
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return json.loads(done.stdout)


def test_two_versions_from_the_command_line(hub: Any, first: Path, second: Path) -> None:
    plan = answer(hub.cli("publish", first, "--repo", "tester/essays", "--version", "1.0.0", "--dry-run", "--json"))
    assert plan["state"] == "planned"
    assert {check["verdict"] for check in plan["checks"]} == {"ok"}
    assert plan["plan"]["new_bytes"] == plan["plan"]["bytes"] > 0
    assert not [line for line in hub.requests() if line["method"] not in ("GET", "HEAD")], "a dry run writes nothing"

    done = hub.cli("publish", first, "--repo", "tester/essays", "--version", "1.0.0")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "tester/essays 1.0.0 published" in done.stdout
    assert 'load_dataset("tester/essays", revision="1.0.0")' in done.stderr
    assert hub.token not in done.stdout + done.stderr
    created = [line["path"] for line in hub.requests() if line["method"] == "POST" and "create" in line["path"]]
    assert created == ["/api/repos/create"]

    done = answer(hub.cli("publish", second, "--repo", "tester/essays", "--json"))
    assert (done["state"], done["version"], done["private"]) == ("published", "1.1.0", True)
    assert 0 < done["plan"]["new_bytes"] < done["plan"]["bytes"], "some plots are the same"
    assert hub.python(LOAD).stdout.splitlines() == ["1.0.0 3 3 True", "1.1.0 4 4 True", "main 4 4 True"]


def test_what_a_repository_may_become(hub: Any, first: Path, second: Path, tmp_path: Path) -> None:
    """One process, one story: starting a client takes longer than publishing."""
    patch_with_rows = edited(second, tmp_path / "1", lambda data: data.update(version="1.0.1"))
    other_first = edited(first, tmp_path / "2", lambda data: data["settings"].update(seed=8))
    nullable = edited(second, tmp_path / "3", lambda data: data["schema"]["default"][1].update(nullable=True))
    lower = edited(second, tmp_path / "4", lambda data: data.update(version="0.9.0"))
    done = hub.python(
        PRELUDE
        + """
first, second, patch_with_rows, other_first, nullable, lower = folders

def version_of(folder, **options):
    prepared = prepare(folder, REPO, **options)
    found = {check.name: check for check in prepared.checks}["version"]
    return found.verdict, found.detail, found.repair

private = publish(first, REPO)
assert Repository(REPO).private() is True
assert publish(first, REPO).outcome == "already published"
assert publish(first, REPO).commit == private.commit
for folder in (other_first, patch_with_rows, nullable, lower):
    print(*version_of(folder), sep=" | ")
try:
    publish(other_first, REPO)
except RefusedError as error:
    print("refused", "published with another content" in str(error))

# Files that no release has put there stay; files in a release's folders that are not part of it go.
api = Repository(REPO).api
for path in ("notes/why.txt", "data/default/train-00007-of-00008.parquet"):
    api.upload_file(path_or_fileobj=b"x", path_in_repo=path, repo_id=REPO, repo_type="dataset")
prepared = prepare(second, REPO)
print(prepared.plan.deleted, prepared.plan.kept, [c.detail for c in prepared.checks if c.name == "branch"])
send(prepared)
tree = set(Repository(REPO).tree("1.1.0"))
assert "notes/why.txt" in tree and "data/default/train-00007-of-00008.parquet" not in tree
assert len(commits("1.1.0")) == 5  # initial, 1.0.0, two of somebody, 1.1.0
""",
        first, second, patch_with_rows, other_first, nullable, lower,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    same, patch, schema, low, refused, plan = done.stdout.splitlines()
    assert same.startswith("refused | 1.0.0 is published with another content: manifest.json differ")
    assert "--version 1.0.1" in same.split(" | ")[2], "only a setting differs"
    assert patch.startswith("refused | 1.0.1 after 1.0.0 is patch, but rows have changed, which asks for minor | ")
    assert schema.startswith(
        "refused | 1.1.0 after 1.0.0 is minor, but the schema has changed, which asks for major | "
    )
    assert "--version 2.0.0" in schema
    assert low.startswith("refused | 0.9.0 is lower than 1.0.0")
    assert refused == "refused True"
    assert plan.startswith(
        "('data/default/train-00007-of-00008.parquet',) ('notes/why.txt',) ['main is not 1.0.0 any more"
    )


def test_the_same_rows_in_other_files_are_a_patch(hub: Any, first: Path, tmp_path: Path) -> None:
    """Only a comparison of the rows can tell; it is made when a patch is asked for and data files differ."""
    from deepwriting.builders.build import build_dataset
    from tests.builders.conftest import SETTINGS, make_document, write_shards

    shards = write_shards(tmp_path / "shards", [make_document(n) for n in range(3)])
    out = tmp_path / "essays"
    build_dataset(
        shards, out, name="essays", version="1.0.1", settings=SETTINGS, configs=("default", "all"), rows_per_shard=2
    )
    done = hub.python(
        PRELUDE + "publish(folders[0], REPO); done = publish(folders[1], REPO); print(done.outcome, done.tag)\n"
        "tree = Repository(REPO).tree('1.0.1')\n"
        "print(sorted(path for path in tree if 'default' in path))",
        first,
        out,
    )
    assert done.stdout.splitlines() == [
        "published 1.0.1",
        "['data/default/train-00000-of-00002.parquet', 'data/default/train-00001-of-00002.parquet']",
    ], done.stderr[-3000:]


def test_branches_visibility_and_organisations(hub: Any, first: Path, second: Path) -> None:
    done = hub.python(
        PRELUDE
        + """
first, second = folders
publish(first, "writers/essays", private=False)
assert Repository("writers/essays").private() is False
before = Repository("writers/essays").refs().branches["main"]
publish(second, "writers/essays", branch="next")
refs = Repository("writers/essays").refs()
assert refs.branches["main"] == before and refs.tags["1.1.0"] == refs.branches["next"]
for repo, options in (("writers/essays", {"private": True}), ("strangers/essays", {})):
    check = {check.name: check for check in prepare(second, repo, **options).checks}["repository"]
    print(check.verdict, check.detail, "|", check.repair)
""",
        first,
        second,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    public, stranger = done.stdout.splitlines()
    assert public == (
        "refused writers/essays is public, and publishing does not change who sees it | "
        "hf repos settings writers/essays --type dataset --private"
    )
    assert stranger.startswith("refused strangers/essays is not there, and tester is not in 'strangers'")


def test_a_withdrawn_version_is_told_of_and_still_loads(hub: Any, first: Path, second: Path) -> None:
    done = hub.python(
        PRELUDE
        + """
first, second = folders
publish(first, REPO)
tag = Repository(REPO).refs().tags["1.0.0"]
for reason in ("", "see /home/ada/notes.txt", "x" * 501):
    try:
        yank(REPO, "1.0.0", reason)
    except RefusedError as error:
        print(error)
try:
    yank(REPO, "3.0.0", "never made")
except RefusedError as error:
    print(error)
fault("POST .*/commit/", 1, "cut-after")
done = yank(REPO, "1.0.0", "The | lanterns\\nwere wrong.")
assert done.tag == "1.0.0" and len(commits()) == 3
assert yank(REPO, "1.0.0", "The | lanterns were wrong.").commit is None
repository = Repository(REPO)
assert repository.refs().tags["1.0.0"] == tag
card = repository.read("README.md", "main").decode()
print([line for line in card.splitlines() if "lanterns were" in line])
from deepwriting.hub.yanked import without_note
assert without_note(card) == repository.read("README.md", "1.0.0").decode()
prepared = prepare(first, REPO)
print(prepared.done, prepared.yanked["1.0.0"].reason, [c.detail for c in prepared.checks if c.name == "version"])
publish(second, REPO)
assert "1.0.0" in json.loads(repository.read("yanked.json", "main"))
assert b"withdrawn" not in repository.read("README.md", "main").lower()
""",
        first,
        second,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    empty, path, long, unknown, note, told = done.stdout.splitlines()
    assert empty.startswith("the reason is empty")
    assert path == "the reason holds a local path, and it would be public"
    assert "501 characters; allowed are 500" in long
    assert unknown == "tester/essays has no version '3.0.0'; published are 1.0.0"
    assert note == r"['> - **1.0.0**: The \\| lanterns were wrong.']"
    assert told.startswith("True The | lanterns were wrong. ['1.0.0 is published already, with this very content; it")


def test_large_files_go_through_xet_where_the_hub_has_it(hub: Any, first: Path) -> None:
    done = hub.python(
        PRELUDE
        + """
start = prepare(folders[0], REPO)
fault("xet-write-token", 1, "cut", times=None)
try:
    send(start)
except HubError as error:
    print(error)
print(commits())
forget()
print(publish(folders[0], REPO).outcome, any("xet-write-token" in line["path"] for line in requests()))
print(publish(folders[0], REPO).outcome)
""",
        first,
        HF_HUB_DISABLE_XET="0",
        HF_XET_CLIENT_RETRY_MAX_DURATION="1s",
        HF_XET_CLIENT_RETRY_MAX_ATTEMPTS="1",
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    lost, nothing, published, again = done.stdout.splitlines()
    assert lost.startswith("tester/essays: committing to main: ")
    assert nothing == "['initial commit']"
    assert (published, again) == ("published True", "already published")
