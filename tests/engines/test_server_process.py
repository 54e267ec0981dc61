"""A local server that is started, shared, killed, started again and ended, each with real processes.

What runs as ``python -m vllm...`` here is the test server under vLLM's name; tests/engines_vllm has the real one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.engines.models import resolve_model
from deepwriting.engines.server import process as server_process
from deepwriting.engines.server import trouble as server_trouble
from deepwriting.engines.server.engine import ServerEngine
from deepwriting.engines.server.locks import alive
from deepwriting.engines.server.process import ServerProcess, ServerStart
from deepwriting.errors import EngineError
from tests.engines.programs import install

OPTIONS: dict[str, Any] = {
    "n": 1, "max_tokens": 8, "temperature": 0.9, "top_p": 0.95, "top_k": 20, "frequency_penalty": 0.0, "stop": (),
    "seed": 1,
}  # fmt: skip
PROMPT = "Write a passage of a story in which lamps under trees"
#: Nothing here takes this long (seconds): a test that waits longer fails.
PATIENCE_S = 120.0


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the test server where Python looks for vLLM, and servers' state into the test's own folder."""
    install(tmp_path, monkeypatch)
    monkeypatch.setattr(server_trouble, "LONGEST_PAUSE_S", 0.5)


@pytest.fixture
def opened() -> Iterator[list[Any]]:
    """Engines and processes to close after the test, whatever happens."""
    found: list[Any] = []
    yield found
    for one in found:
        one.close()


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def process(pocket_model: Path, **options: Any) -> ServerProcess:
    return ServerProcess(ServerStart("vllm", **options), resolve_model(str(pocket_model)), dtype="unknown")


def test_the_command(pocket_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pocket_model.parent)
    local = resolve_model(f"./{pocket_model.name}")
    start = ServerStart("vllm", python="bin/python", arguments=["--max-model-len", "64"])  # type: ignore[arg-type]
    assert start.command(local, 8000, "float32") == [
        str(pocket_model.parent / "bin/python"), "-m", "vllm.entrypoints.openai.api_server", "--model",
        str(pocket_model), "--served-model-name", local.name, "--host", "127.0.0.1", "--port", "8000",
        "--uvicorn-log-level", "warning", "--dtype", "float32", "--max-model-len", "64",
    ]  # fmt: skip
    remote = resolve_model("Qwen/Qwen3-8B-Base", "abc")
    command = ServerStart("sglang").command(remote, 30000, "unknown")
    assert command[:5] == [sys.executable, "-m", "sglang.launch_server", "--model-path", "Qwen/Qwen3-8B-Base"]
    assert command[-4:] == ["--log-level-http", "warning", "--revision", "abc"]
    assert hash(start) == hash(ServerStart("vllm", ("--max-model-len", "64"), python="bin/python"))


@pytest.mark.model
def test_killed_and_started_again(pocket_model: Path, opened: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    engine = ServerEngine(str(pocket_model), start=ServerStart("vllm"), scoring="prompt_logprobs", dtype="float32")
    opened.append(engine)
    assert engine.info.revision == resolve_model(str(pocket_model)).revision
    state = engine._processes[0].state()
    assert (state["state"], state["restarts"]) == ("ready", 0)

    async def work() -> list[Any]:
        return await asyncio.gather(
            *(engine.sample(PROMPT, **OPTIONS | {"seed": seed, "max_tokens": 30}) for seed in range(6))
        )

    async def disturbed() -> list[Any]:
        running = asyncio.ensure_future(work())
        await asyncio.sleep(0.02)
        os.kill(state["server"], signal.SIGKILL)
        return await running

    expected = asyncio.run(work())
    assert asyncio.run(disturbed()) == expected
    until(lambda: engine._processes[0].state()["state"] == "ready")  # the supervisor looks a few times a second
    again = engine._processes[0].state()
    assert again["restarts"] == 1
    assert again["server"] != state["server"]
    assert "--- start 2" in engine._processes[0].log_file.read_text()
    engine.close()
    assert not alive(again["server"])
    assert not alive(again["supervisor"])
    engine.close()


def test_two_users_share_a_server(pocket_model: Path, opened: list[Any]) -> None:
    first = process(pocket_model)
    opened.append(first)
    first.wait_ready()
    second = process(pocket_model)
    opened.append(second)
    assert second.url == first.url
    second.wait_ready()
    other = process(pocket_model, arguments=("--max-model-len", "64"))
    opened.append(other)
    assert other.url != first.url
    first.close()
    time.sleep(1.0)  # long enough for the supervisor to look several times
    assert alive(second.state()["server"])
    server = second.state()["server"]
    second.close()
    assert not alive(server)
    third = process(pocket_model)
    opened.append(third)
    third.wait_ready()
    assert third.state()["server"] != server


HOLD = """
import sys, time
from deepwriting.engines.models import resolve_model
from deepwriting.engines.server.process import ServerProcess, ServerStart
process = ServerProcess(ServerStart("vllm"), resolve_model(sys.argv[1]), dtype="unknown")
process.wait_ready()
print(process.folder, flush=True)
time.sleep(600)
"""


def test_the_server_ends_with_a_user_that_is_killed(pocket_model: Path, opened: list[Any]) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(pocket_model)], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        folder = user.stdout.readline().strip()
        mine = process(pocket_model)  # comes while the other still has it
        opened.append(mine)
        assert str(mine.folder) == folder
        state = mine.state()
        user.kill()
    mine.close()
    assert not alive(state["server"])
    with subprocess.Popen([sys.executable, "-c", HOLD, str(pocket_model)], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        user.stdout.readline()
        state = server_process._read(Path(folder) / "state.json")
        assert alive(state["server"])
        user.kill()
    until(lambda: not alive(state["server"]) and not alive(state["supervisor"]))


def test_the_server_ends_with_its_supervisor(pocket_model: Path, opened: list[Any]) -> None:
    mine = process(pocket_model)
    opened.append(mine)
    mine.wait_ready()
    state = mine.state()
    os.kill(state["supervisor"], signal.SIGKILL)
    until(lambda: not alive(state["server"]))
    assert "the supervisor of the vllm server was killed" in (mine.failure() or "")


def test_what_cannot_be_started(pocket_model: Path, opened: list[Any], tmp_path: Path) -> None:
    broken = ServerProcess(ServerStart("sglang"), resolve_model(str(pocket_model)), dtype="unknown")
    opened.append(broken)
    with pytest.raises(EngineError, match=r"(?s)ended with code 1 before it was ready.*no device of compute capabi"):
        broken.wait_ready()
    missing = process(pocket_model, python="/nowhere/python")
    opened.append(missing)
    with pytest.raises(EngineError, match="/nowhere/python cannot be run"):
        missing.wait_ready()
    (tmp_path / "programs/vllm/entrypoints/openai/api_server.py").write_text("import time\ntime.sleep(600)\n")
    slow = process(pocket_model, ready_s=0.01)
    opened.append(slow)
    with pytest.raises(EngineError, match=r"it was not ready after 0.01 s \(ready_s\)"):
        slow.wait_ready()
    with pytest.raises(EngineError, match="before it was ready"):
        ServerEngine(str(pocket_model), start=ServerStart("sglang"), scoring="none")


@pytest.mark.slow
def test_a_server_that_dies_too_often(pocket_model: Path, opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "MAX_RESTARTS", 1)
    engine = ServerEngine(str(pocket_model), start=ServerStart("vllm"), scoring="none")
    opened.append(engine)
    [process] = engine._processes
    for restarts in (0, 1):
        until(lambda: process.state()["state"] == "ready" and process.state()["restarts"] == restarts)  # noqa: B023
        os.kill(process.state()["server"], signal.SIGKILL)
        until(lambda: process.state()["state"] != "ready")
    with pytest.raises(
        EngineError, match="the server is lost: the vllm server does not run: it was killed by signal 9"
    ):
        asyncio.run(engine.sample(PROMPT, **OPTIONS))


@pytest.mark.slow
def test_a_server_that_hangs(pocket_model: Path, opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "UNHEALTHY_S", 0.1)
    mine = process(pocket_model)
    opened.append(mine)
    mine.wait_ready()
    os.kill(mine.state()["server"], signal.SIGSTOP)
    until(lambda: mine.state()["restarts"] == 1 and mine.state()["state"] == "ready")
    assert mine.failure() is None
