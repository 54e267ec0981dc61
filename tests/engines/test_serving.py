"""Servers for others: started, announced, killed, started again, withdrawn; and several that a run starts itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.engines.server import announcement, serving, tending
from deepwriting.engines.server import trouble as server_trouble
from deepwriting.engines.server.engine import ServerEngine
from deepwriting.engines.server.locks import alive
from deepwriting.engines.server.process import ServerStart
from deepwriting.engines.server.serving import Serving, own_name
from deepwriting.errors import EngineError
from tests.engines.programs import install
from tests.engines.quick_server import byte_model

OPTIONS: dict[str, Any] = {
    "n": 1, "max_tokens": 8, "temperature": 0.9, "top_p": 0.95, "top_k": 20, "frequency_penalty": 0.0, "stop": (),
}  # fmt: skip
KEY = "sk-lamp-0123456789abcdef"
#: Nothing here takes this long (seconds): a test that waits longer fails.
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_model(tmp_path_factory.mktemp("bytes"))


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, quick=True)
    monkeypatch.setattr(server_trouble, "LONGEST_PAUSE_S", 0.5)
    monkeypatch.setattr(tending, "REFRESH_S", 0.1)
    monkeypatch.setattr(serving, "LOOK_S", 0.05)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def make(model: Path, folder: Path, start: ServerStart | None = None, **options: Any) -> Serving:
    defaults: dict[str, Any] = {"revision": None, "dtype": "unknown", "host": "127.0.0.1", "api_key_env": None}
    return Serving(start or ServerStart("vllm"), str(model), folder, **defaults | options)


class Running:
    """A serving in a thread of its own."""

    def __init__(self, what: Serving):
        self.serving, self.ready, self.stop = what, [], threading.Event()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.serving.run(self.stop, lambda url, _: self.ready.append(url))
        except EngineError as error:
            self.error = error
        finally:
            self.serving.close()

    def end(self) -> None:
        self.stop.set()
        self.thread.join()


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    opened: list[Running] = []

    def start(*arguments: Any, **options: Any) -> Running:
        opened.append(Running(make(*arguments, **options)))
        return opened[-1]

    yield start
    for one in opened:
        one.end()


def sample(engine: ServerEngine, count: int) -> list[str]:
    async def work() -> list[str]:
        found = await asyncio.gather(
            *(engine.sample(f"Prompt {at} of lamps under trees", seed=at, **OPTIONS) for at in range(count))
        )
        return [completion.text for [completion] in found]

    return asyncio.run(work())


def notes(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in folder.glob("*.json"):
        try:
            found.append(json.loads(path.read_text()))
        except FileNotFoundError:
            continue
    return found


def test_two_servers_in_a_folder_and_an_engine_that_uses_them(
    model: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcement, "BEAT_SECONDS", 0.2)
    folder = tmp_path / "endpoints"
    first = run(model, folder)
    engine = ServerEngine(str(model), endpoints=str(folder), start=ServerStart("vllm"), dtype="float32")
    try:
        assert engine._processes == []
        assert engine._learned.protocol == "sglang"
        members = engine._client.pool.members
        assert list(members) == first.ready == first.serving.urls
        expected = sample(engine, 12)

        second = run(model, folder)
        until(lambda: second.ready)
        assert second.ready != first.ready
        until(lambda: sample(engine, 1) and len(members) == 2 and all(member.usable for member in members.values()))
        assert sample(engine, 12) == expected
        [beat] = [note["beat"] for note in notes(folder) if note["url"] == first.ready[0]]
        until(lambda: [note["beat"] for note in notes(folder) if note["url"] == first.ready[0]] > [beat])

        [server] = first.serving.processes
        os.kill(server.state()["server"], signal.SIGKILL)
        assert sample(engine, 12) == expected
        until(lambda: [note["url"] for note in notes(folder)] == second.ready)
        until(lambda: len(first.ready) == 2)  # it was started again, on the same port
        assert first.ready[0] == first.ready[1]
        until(lambda: len(notes(folder)) == 2)

        pid = second.serving.processes[0].state()["server"]
        second.end()
        assert not alive(pid)
        assert [note["url"] for note in notes(folder)] == first.ready[:1]
        until(lambda: sample(engine, 1) and len(members) == 1)
        assert sample(engine, 12) == expected
    finally:
        engine.close()


def test_a_server_that_cannot_be_started_is_not_announced(model: Path, tmp_path: Path, run: Any) -> None:
    broken = run(model, tmp_path / "endpoints", ServerStart("sglang"))
    broken.thread.join()
    assert "ended with code 1 before it was ready" in str(broken.error)
    assert "no device of compute capability 9" in str(broken.error)
    assert list((tmp_path / "endpoints").iterdir()) == []


def environment(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def test_a_key_stands_nowhere_but_with_the_server(
    model: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMP_KEY", KEY)
    with pytest.raises(EngineError, match="sglang would show its key to every user of the machine"):
        make(model, tmp_path / "endpoints", ServerStart("sglang"), api_key_env="LAMP_KEY")
    one = run(model, tmp_path / "endpoints", api_key_env="LAMP_KEY")
    until(lambda: one.ready)
    [server] = one.serving.processes
    assert environment(server.state()["server"])["VLLM_API_KEY"] == KEY
    command = Path(f"/proc/{server.state()['server']}/cmdline").read_text()
    written = [path.read_text() for path in tmp_path.rglob("*.json") if path.is_file()]
    assert len(written) >= 3
    assert not [text for text in (command, *written) if KEY in text]


def test_several_servers_with_a_part_of_the_devices_each(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-5f2,6,7")  # what a scheduler gave this job
    start = ServerStart("vllm", devices=(0, 1, 3), copies=3)
    engine = ServerEngine(str(model), start=start, dtype="float32")
    try:
        states = [one.state() for one in engine._processes]
        assert [environment(state["server"])["CUDA_VISIBLE_DEVICES"] for state in states] == ["4", "GPU-5f2", "7"]
        assert [member.state for member in engine._client.pool.members.values()] == ["ready"] * 3
        expected = sample(engine, 15)
        os.kill(states[1]["server"], signal.SIGKILL)
        assert sample(engine, 15) == expected
        again = ServerEngine(str(model), start=start, dtype="float32")
        assert again._client.url == engine._client.url  # shared, one by one
        again.close()
    finally:
        engine.close()
    assert not [state for state in states if alive(state["server"])]
    with pytest.raises(EngineError, match="names device 4, but CUDA_VISIBLE_DEVICES='4,GPU-5f2,6,7' shows this"):
        ServerEngine(str(model), start=ServerStart("vllm", devices=(4,)))


def test_copies() -> None:
    start = ServerStart("vllm", devices=(0, 1, 2, 3), copies=2, port=8000)
    assert [(one.devices, one.port, one.copies) for one in start.each()] == [((0, 1), 8000, 1), ((2, 3), 8001, 1)]
    assert len({one.mark for one in start.each()}) == 2
    assert ServerStart("vllm", devices=(2, 3)).environment == {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert ServerStart("vllm").environment == {}
    assert ServerStart("vllm").each() == [ServerStart("vllm")]


def test_this_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_name()
    monkeypatch.setattr(serving.socket, "gethostname", lambda: "no-such-machine.invalid")
    with pytest.raises(EngineError, match=r"own name 'no-such-machine.invalid' leads nowhere .*; name an address"):
        own_name()


def test_every_server_on_a_machine_is_one_of_its_own(model: Path, tmp_path: Path) -> None:
    here, there = make(model, tmp_path / "e"), make(model, tmp_path / "e", host="node7")
    try:
        assert here.urls != there.urls
        assert here.urls[0].startswith("http://127.0.0.1:")
        assert there.urls[0].startswith("http://node7:")
        specs = [json.loads((one.folder / "spec.json").read_text()) for one in (*here.processes, *there.processes)]
        listening = [spec["command"][spec["command"].index("--host") + 1] for spec in specs]
        assert listening == ["127.0.0.1", "0.0.0.0"]
    finally:
        here.close()
        there.close()
