"""Audit and comparison of releases on a Hub: the genuine client against the local server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.hub_server.fixtures import HubProcess, hub, hub_process

__all__ = ["hub", "hub_process"]

UPLOAD = """
import sys
from huggingface_hub import HfApi

api = HfApi()
repo, first, second = sys.argv[1:]
api.create_repo(repo, repo_type="dataset", private=True)
for folder, tag in ((first, "1.0.0"), (second, "v1.1.0")):
    commit = api.upload_folder(folder_path=folder, repo_id=repo, repo_type="dataset")
    api.create_tag(repo, tag=tag, revision=commit.oid, repo_type="dataset")
api.create_repo("tester/other", repo_type="dataset")
api.upload_file(path_or_fileobj=b"x", path_in_repo="big.bin", repo_id="tester/other", repo_type="dataset")
"""


def test_releases_are_fetched_by_version(
    hub: HubProcess, built: Path, dataset: Path, edit: Callable[..., str], reseal: Callable[[Path], None]
) -> None:
    row = edit(dataset, "all", license="MIT")
    reseal(dataset)
    done = hub.python(UPLOAD, "tester/small", built, dataset)
    assert done.returncode == 0, done.stderr

    done = hub.cli("publish", "--repo", "tester/small", "--version", "1.0.0", "--yank", "--reason", "Too short.")
    assert done.returncode == 0, done.stderr

    done = hub.cli("verify", "tester/small@1.0.0", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["version"], told["withdrawn"]) == ("passed", "1.0.0", "Too short.")
    assert "snapshots" in told["folder"]
    assert "warning: version 1.0.0 was withdrawn: Too short." in done.stderr

    # The main branch has a note about it in its card, which is no finding.
    done = hub.cli("verify", "tester/small", "--json")
    files = json.loads(done.stdout)["checks"][0]
    assert (files["name"], files["state"]) == ("files", "passed")
    assert any("README.md has a note about withdrawn versions" in note for note in files["notes"])

    # The tag v1.1.0, by the version alone.
    done = hub.cli("diff", "tester/small@1.0.0", "tester/small@1.1.0", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["configs"]["all"]["rows"]
    assert (rows["changed"], rows["columns"], rows["examples"]["changed"]) == (1, {"license": 1}, [row])

    for place, message in (
        ("tester/small@3.0.0", "has no version '3.0.0'"),
        ("tester/nothing", "no dataset tester/nothing on the Hub, or it is private"),
        ("tester/other", "tester/other holds no manifest.json"),
    ):
        done = hub.cli("verify", place)
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr
        assert "Traceback" not in done.stderr
    assert not any("big.bin" in request["path"] for request in hub.requests() if request["method"] == "GET")
