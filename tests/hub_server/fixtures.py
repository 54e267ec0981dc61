"""A local Hub in a process of its own, and genuine clients in theirs.

``HF_ENDPOINT`` is read when ``huggingface_hub`` is imported, and a cut connection should meet the client as it is, so
every client runs in a fresh process:

    def test_something(hub):
        hub.fault("POST .*/commit/", 1, "cut-after")
        done = hub.python("from huggingface_hub import HfApi; print(HfApi().whoami()['name'])")
        assert done.stdout == "tester\\n"
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: The user of the local Hub, and an organisation that it may write for.
USER, ORGANISATION = "tester", "writers"
#: What a client may take (seconds); starting one takes a few.
_LIMIT = 240


class HubProcess:
    """A local Hub that runs in another process.

    Attributes:
        endpoint: its address.
        data: its folder.
        user: the name whose tokens these are.
        token: one that may write; ``read_token`` may only read, ``expired_token`` has expired.
        home: where clients keep their cache and settings; another folder for every test.
    """

    def __init__(self, data: Path, home: Path, port: int = 0):
        self.data, self.home = data, home
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "deepwriting", "hub", "--local", "--testing", "--json"),
                *("--port", str(port), "--data", str(data), "--user", USER, "--namespace", ORGANISATION),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        said = json.loads(self.process.stdout.readline())
        self.endpoint: str = said["endpoint"]
        self.user: str = said["user"]
        self.token: str = said["tokens"]["write"]
        self.read_token: str = said["tokens"]["read"]
        self.expired_token: str = said["tokens"]["expired"]

    @property
    def env(self) -> dict[str, str]:
        """Environment variables for a client."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        return kept | {
            "HF_ENDPOINT": self.endpoint,
            "HF_TOKEN": self.token,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def python(self, code: str, *args: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in a fresh process; ``sys.argv[1:]`` are the arguments, keywords change its environment."""
        return self._run([sys.executable, "-c", code, *map(str, args)], env)

    def cli(self, *args: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run ``deepwriting ARGS…`` in a fresh process."""
        return self._run([sys.executable, "-m", "deepwriting", *map(str, args)], env)

    def _run(self, command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.env | env, capture_output=True, text=True, timeout=_LIMIT, check=False)

    def fault(self, match: str, nth: int, kind: str, **options: Any) -> None:
        """Let something fail.

        Args:
            match: regular expression, searched for in "METHOD /path?query".
            nth: which of the requests that fit, from 1, counted from now.
            kind: ``cut``, ``cut-body``, ``cut-after``, ``cut-half``, ``slow``, ``expired`` or an HTTP status from 400.
            options: ``times`` (None for ever), ``seconds``, ``retry_after``.
        """
        self._call("POST", "/-/faults", {"match": match, "nth": nth, "kind": kind, **options})

    def requests(self) -> list[dict[str, Any]]:
        """Every request so far: method, path, user, status (None: cut), fault, seconds, received (bytes)."""
        found: list[dict[str, Any]] = self._call("GET", "/-/requests")
        return found

    def stored(self) -> dict[str, int]:
        """Bytes on the Hub's disk: git, large, xet, total."""
        found: dict[str, int] = self._call("GET", "/-/stored")
        return found

    def forget(self) -> None:
        """Forget faults and requests; repositories stay."""
        self._call("POST", "/-/forget", {})

    def reset(self) -> None:
        """Forget faults and requests, and delete every repository."""
        self._call("POST", "/-/forget", {"repositories": True})

    def restart(self) -> None:
        """Kill the server and start it again on the same port and folder."""
        port = int(self.endpoint.rpartition(":")[2])
        self.stop()
        self.__init__(self.data, self.home, port)  # type: ignore[misc]

    def stop(self) -> None:
        """Kill the server."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.endpoint + path, data, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)


@pytest.fixture(scope="session")
def hub_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """The one server of a test run; starting one takes half a second."""
    hub = HubProcess(tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("home"))
    yield hub
    hub.stop()


@pytest.fixture
def hub(hub_process: HubProcess, tmp_path: Path) -> HubProcess:
    """A local Hub without repositories, and clients without a cache."""
    hub_process.reset()
    hub_process.home = tmp_path / "hf-home"
    return hub_process
