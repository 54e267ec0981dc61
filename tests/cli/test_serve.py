"""``deepwriting serve``, as a scheduler would run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from deepwriting.engines.server.locks import alive
from tests.engines.programs import install


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """As much of a model as a server is started with: the test server brings its own."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


@pytest.fixture
def served_recipe(tmp_path: Path, model: Path) -> Callable[..., Path]:
    """Writes a recipe whose generator is a server to be started; keywords change it."""

    def write(**changes: Any) -> Path:
        generator = {"engine": "server", "model": str(model), "start": {"program": "vllm"}} | changes
        data = {
            "name": "served",
            "sources": [{"kind": "pairs", "path": "pairs.jsonl"}],
            "engines": {"generator": {key: value for key, value in generator.items() if value is not None}},
        }
        path = tmp_path / "served.yaml"
        path.write_text(yaml.safe_dump(data))
        return path

    return write


def test_served_until_the_job_ends(
    tmp_path: Path, model: Path, served_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, quick=True)
    folder = tmp_path / "endpoints"
    recipe = served_recipe(endpoints=str(folder))
    command = [sys.executable, "-m", "deepwriting", "serve", str(recipe), "--host", "127.0.0.1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        try:
            found = json.loads(job.stdout.readline())
            assert found["model"] == str(model)
            assert found["register"] == str(folder)
            [note] = [json.loads(path.read_text()) for path in folder.iterdir()]
            assert note["url"] == found["url"]
            listed = httpx2.get(f"{found['url']}/models", timeout=60).json()
            assert listed["data"][0]["id"] == str(model)
            server = json.loads((Path(found["log"]).parent / "state.json").read_text())["server"]
            assert alive(server)
            job.send_signal(signal.SIGTERM)
            _, said = job.communicate(timeout=60)
        finally:
            job.kill()
    assert job.returncode == 0
    assert said.splitlines()[-1] == "withdrawn and ended"
    assert not alive(server)
    assert list(folder.iterdir()) == []


def test_a_killed_job_takes_its_server_with_it(
    tmp_path: Path, served_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, quick=True)
    folder = tmp_path / "elsewhere"
    arguments = ["--register", str(folder), "--host", "127.0.0.1"]
    command = [sys.executable, "-m", "deepwriting", "serve", str(served_recipe()), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        try:
            assert f"announced in {folder}; its log is " in job.stdout.readline()
            [note] = [json.loads(path.read_text()) for path in folder.iterdir()]
            server = json.loads((Path(note["log"]).parent / "state.json").read_text())["server"]
        finally:
            job.kill()
    end = time.monotonic() + 60
    while alive(server):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert os.listdir(folder)  # nobody withdrew it: its beat stands still


@pytest.mark.parametrize(
    ("changes", "arguments", "code", "message"),
    [
        ({}, (), 2, "nobody would know of the server: name --register FOLDER, or endpoints in the recipe"),
        ({}, ("--role", "scorer"), 2, "--role scorer is not in this recipe; allowed: generator"),
        (
            {"start": None, "url": "http://a/v1"},
            (),
            1,
            "the generator has no start, so there is no server to sta",
        ),
        ({"endpoints": "file"}, (), 2, "file is a file; a server is announced in a folder: name one as --register"),
        ({}, ("--register", "file/below"), 2, "cannot announce a server in"),
        ({}, ("--host", "node7:8000"), 2, "--host node7:8000 is no name or address of a machine"),
        ({}, ("--register", "s3://bucket/e"), 2, "is an address; allowed: a folder that the other machines see"),
    ],
)
def test_what_cannot_be_served(
    changes: dict[str, Any],
    arguments: tuple[str, ...],
    code: int,
    message: str,
    call: Callable[..., int],
    served_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert call("serve", str(served_recipe(**changes)), *arguments) == code
    shown = capsys.readouterr()
    assert message in " ".join(shown.err.split())
    assert shown.out == ""


def test_a_model_in_this_process_is_no_server(
    call: Callable[..., int], served_recipe: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = served_recipe(engine="transformers", start=None)
    assert call("serve", str(recipe), "--register", str(tmp_path / "e")) == 1
    assert "the generator has engine 'transformers', so there is no server to start" in capsys.readouterr().err
    assert not (tmp_path / "e").exists()
