"""A run in Google Storage, as its emulator speaks it; skipped where gcsfs and the emulator are not installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.pipeline import run_recipe
from deepwriting.rundir import RunFolder
from tests.remote.s3_server import free_port
from tests.remote.test_run import PATIENCE, rows

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("closing_engines")]


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty folder."""
    for package in ("gcsfs", "gcp_storage_emulator"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install gcsfs gcp-storage-emulator")
    address = f"http://127.0.0.1:{(port := free_port())}"
    server = subprocess.Popen(
        [sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", f"--port={port}", "--in-memory",
         "--default-bucket=runs"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(f"{address}/storage/v1/b/runs", timeout=5).close()
            break
        except (urllib.error.URLError, OSError):
            assert server.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    yield "gs://runs/mine"
    server.kill()
    server.wait()


def test_a_lost_machine(
    google: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    pocket_model: Path, own_pairs: Any, recipe_for: Any, write_lines: Any,
) -> None:  # fmt: skip
    pairs = write_lines(tmp_path / "pairs.jsonl", *own_pairs(6))
    recipe, text = recipe_for(
        pairs, pocket_model, execution={"tasks": 2}, dedupe={"near_duplicate_queries": False},
        search={"concurrency": 2},
    )  # fmt: skip
    (file := tmp_path / "recipe.yaml").write_text(text)
    lost = tmp_path / "lost-machine"

    def start(copies: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "deepwriting", "run", str(file), "--run-dir", google, "--until", "search"],
            env=os.environ | {"DEEPWRITING_COPIES": str(copies)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    process, end = start(lost), time.monotonic() + PATIENCE
    while not any(file.stat().st_size > 2000 for file in lost.glob("runs/*/search/journal/*.jsonl")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    shutil.rmtree(lost)
    assert start(tmp_path / "new-machine").wait(PATIENCE) == 0

    here = tmp_path / "here"
    run_recipe(recipe, text, here, until="search")
    monkeypatch.setenv("DEEPWRITING_COPIES", str(tmp_path / "elsewhere"))
    assert rows(RunFolder.existing(google)) == rows(RunFolder(here))
