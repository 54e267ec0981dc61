"""A model server that notes every text it has written, so that work that is done twice can be counted.

    servers = Servers(folder, model, count=2)
    servers.start(); servers.kill(0); servers.start_one(0); servers.stop()
    before = servers.written(); ...; servers.written()[len(before):]

As a program (what ``Servers`` starts): python benchmarks/fault_server.py --model FOLDER --port 8000 --log FILE

It is the tests' server: one request at a time, with the request's seed, so that the same request has the same answer
whenever, and after whatever, it is asked.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

_TESTS = Path(__file__).parents[1] / "tests"
#: How long a server may take to load the model (seconds).
_START_S = 120.0


def from_tests(path: str) -> ModuleType:
    """A module of the tests, by its path below ``tests/``."""
    name = "deepwriting_" + Path(path).stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _TESTS / path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


class Servers:
    """Some servers of one model, on ports that stay theirs.

    Args:
        folder: where their logs go.
        model: folder of the model.
        count: how many.
    """

    def __init__(self, folder: Path, model: Path, count: int):
        folder.mkdir(parents=True)
        self.folder, self.model = folder, model
        self.ports = _free_ports(count)
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count

    @property
    def urls(self) -> list[str]:
        """Where they are."""
        return [f"http://127.0.0.1:{port}/v1" for port in self.ports]

    @property
    def setting(self) -> dict[str, Any]:
        """How a recipe's engine names them: one server, or several that share the work."""
        return {"url": self.urls[0]} if len(self.urls) == 1 else {"urls": self.urls}

    def start(self) -> None:
        """Start those that do not run, and wait until all answer."""
        for number in range(len(self.ports)):
            self.start_one(number)
        end = time.monotonic() + _START_S
        for url in self.urls:
            while not _answers(url):
                if time.monotonic() > end:
                    raise SystemExit(f"the server at {url} does not start; see {self.folder}")
                time.sleep(0.1)

    def start_one(self, number: int) -> None:
        """Start one if it does not run."""
        running = self._processes[number]
        if running is not None and running.poll() is None:
            return
        command = [
            sys.executable, __file__, "--model", str(self.model), "--port", str(self.ports[number]),
            "--log", str(self.folder / f"server{number}.jsonl"),
        ]  # fmt: skip
        with (self.folder / f"server{number}.txt").open("ab") as output:
            # One thread: the model is tiny, and threads that wait for each other take a busy machine's whole time.
            self._processes[number] = subprocess.Popen(
                command,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self, number: int) -> bool:
        """Kill -9 one; whether it was alive."""
        process = self._processes[number]
        if process is None or process.poll() is not None:
            return False
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True

    def stop(self) -> None:
        """Kill all."""
        for number in range(len(self.ports)):
            self.kill(number)

    def amount(self) -> int:
        """How much was written so far, in bytes of the logs."""
        return sum(log.stat().st_size for log in self.folder.glob("*.jsonl"))

    def written(self) -> list[dict[str, Any]]:
        """Every text that was written and sent off so far: hash of its prompt, seed, and when."""
        found = []
        for log in sorted(self.folder.glob("*.jsonl")):
            for line in log.read_bytes().splitlines():
                with contextlib.suppress(ValueError):  # it was killed in the middle of a line
                    found.append(json.loads(line))
        return sorted(found, key=lambda text: float(text["at"]))


def repeated_steps(texts: list[dict[str, Any]], undisturbed: list[dict[str, Any]]) -> int:
    """How many steps were done more than once, beyond what a run does that nobody touches.

    All candidates of a step have one prompt, and each a seed of its own.
    """
    usual = Counter((text["prompt"], text["seed"]) for text in undisturbed)
    again: dict[str, int] = {}
    for (prompt, seed), times in Counter((text["prompt"], text["seed"]) for text in texts).items():
        extra = times - max(usual[prompt, seed], 1)
        again[prompt] = max(again.get(prompt, 0), extra)
    return sum(again.values())


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/models", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    log = options.log.open("ab", buffering=0)

    class NotingServer(from_tests("engines/openai_server.py").OpenAIServer):  # type: ignore[misc]
        async def _work(self, path: str, headers: Any, body: dict[str, Any], gone: Any) -> Any:
            answer = await super()._work(path, headers, body, gone)
            if path == "/v1/completions" and body.get("max_tokens", 0) > 1:
                prompt = hashlib.sha256(json.dumps(body["prompt"]).encode()).hexdigest()[:16]
                text = {"at": time.time(), "prompt": prompt, "seed": body.get("seed")}
                log.write(json.dumps(text).encode() + b"\n")
            return answer

    NotingServer(options.model, port=options.port)
    threading.Event().wait()


if __name__ == "__main__":
    main()
