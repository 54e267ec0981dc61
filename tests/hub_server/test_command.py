"""``deepwriting hub``: what it prints, and what it refuses."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path

from click.testing import CliRunner

from deepwriting.cli.main import cli
from deepwriting.hub.local.server import LocalHub


def test_prints_what_clients_need_and_stops_when_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deepwriting", "hub", "--local", "--port", "0", "--data", str(tmp_path / "data")]
    # Tests that a shell started in the background ignore SIGINT, and so would what they start.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, preexec_fn=listen) as process:
        assert process.stdout
        lines = [process.stdout.readline().strip() for _ in range(3)]
        variables = dict(line.removeprefix("export ").split("=") for line in lines)
        assert list(variables) == ["HF_ENDPOINT", "HF_TOKEN", "HF_HUB_DISABLE_XET"]
        request = urllib.request.Request(
            variables["HF_ENDPOINT"] + "/api/whoami-v2", headers={"Authorization": f"Bearer {variables['HF_TOKEN']}"}
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            assert b'"name": "local"' in response.read()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "publish as local/NAME" in said
        assert said.endswith("keeps everything\n")


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(cli, ["hub", "--local", "--port", str(port), "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "choose another --port" in done.stderr


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    def said(data: Path) -> str:
        done = CliRunner().invoke(cli, ["hub", "--local", "--port", "0", "--data", str(data)])
        assert done.exit_code == 2
        return done.stderr

    with LocalHub(tmp_path / "busy").running():
        assert f"another local Hub serves {tmp_path / 'busy'}; stop it" in said(tmp_path / "busy")
    (tmp_path / "file").write_text("in the way")
    assert "cannot use" in said(tmp_path / "file" / "below")
    (tmp_path / "tokens.json").write_text("[{")
    assert "tokens.json cannot be read" in said(tmp_path)


def test_only_a_local_hub_can_be_started() -> None:
    done = CliRunner().invoke(cli, ["hub"])
    assert done.exit_code == 2
    assert "--local" in done.stderr
