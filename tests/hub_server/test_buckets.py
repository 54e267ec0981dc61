"""Buckets with the genuine client: ``hf://buckets`` as a place for runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.hub_server.fixtures import HubProcess

FOLDER = """
import json, sys
from pathlib import Path
from huggingface_hub import HfApi
from deepwriting.remote.folder import RemoteFolder

HfApi().create_bucket("tester/runs", exist_ok=True)
HfApi().create_bucket("tester/runs", exist_ok=True)
folder, here = RemoteFolder("hf://buckets/tester/runs/mine", patience=5), Path(sys.argv[1])
found = {"before": [*folder.list()], "none": folder.entry("a")}
folder.write("deep/a.txt", b"one")
first = folder.entry("deep/a.txt")
folder.write("deep/a.txt", b"two")
found["changes"] = first.version != folder.entry("deep/a.txt").version
(here / "large").write_bytes(bytes(range(256)) * 1000)
found["size"] = folder.upload(here / "large", "large").size
folder.write("empty", b"")
found["claims"] = [folder.create("claim", text) for text in (b"mine", b"yours", b"mine")]
found["listed"] = {path: entry.size for path, entry in folder.list().items()}
found["below"] = [*folder.list("deep")]
folder.download("large", here / "again")
found["same"] = (here / "again").read_bytes() == (here / "large").read_bytes()
found["read"] = folder.read("deep/a.txt").decode() + folder.read("empty").decode()
folder.delete(["claim", "never", "empty"])
found["left"] = [*folder.list()]
print(json.dumps(found))
"""


def test_a_bucket_is_a_folder(hub: HubProcess, tmp_path: Path) -> None:
    done = hub.python(FOLDER, tmp_path, HF_HUB_DISABLE_XET="0")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "before": [], "none": None, "changes": True, "size": 256_000, "claims": [True, False, True],
        "listed": {"claim": 4, "deep/a.txt": 3, "empty": 0, "large": 256_000}, "below": ["deep/a.txt"], "same": True,
        "read": "two", "left": ["deep/a.txt", "large"],
    }  # fmt: skip
    assert done.stderr == "", "progress bars"


REFUSED = """
import sys
from deepwriting.errors import RemoteError
from deepwriting.remote.folder import RemoteFolder
for url in ("hf://buckets/tester/never/mine", "hf://buckets/tester/hidden/mine"):
    try:
        RemoteFolder(url, patience=60).write("a", b"one")
    except RemoteError as error:
        print(error)
"""


def test_what_is_refused_is_told_at_once(hub: HubProcess) -> None:
    made = hub.python("from huggingface_hub import HfApi; HfApi().create_bucket('tester/hidden', private=True)")
    assert made.returncode == 0, made.stderr
    done = hub.python(REFUSED, HF_TOKEN=hub.read_token, HF_HUB_DISABLE_XET="0")
    assert done.returncode == 0, done.stderr
    never, hidden = done.stdout.splitlines()
    assert never == "hf://buckets/tester/never/mine/a: there is no such bucket"
    assert hidden.startswith("cannot write hf://buckets/tester/hidden/mine/a: ")


def test_a_run_in_a_bucket(hub: HubProcess, tmp_path: Path, own_pairs: Any, write_lines: Any, recipe_for: Any) -> None:
    hub.python("from huggingface_hub import HfApi; HfApi().create_bucket('tester/runs')")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_for(write_lines(tmp_path / "pairs.jsonl", *own_pairs(3)))[1])
    url, copies = "hf://buckets/tester/runs/mine", {"HF_HUB_DISABLE_XET": "0", "DEEPWRITING_COPIES": str(tmp_path)}
    done = hub.cli("run", recipe, "--run-dir", url, "--until", "source", **copies)
    assert done.returncode == 0, done.stderr
    shown = hub.cli("status", url, "--json", **copies)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["stages"]["source"]["counts"]["rows_out"] == 3
    assert json.loads(shown.stdout)["running"] is None
