"""The Ray executor on a real cluster of two nodes on this machine, whose workers and nodes are killed."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deepwriting.errors import ExecutorError, TasksFailedError
from deepwriting.executors.task import TaskPlace, task_note
from deepwriting.lease import FileNote, machine

HERE = Path(__file__).parent

#: Steps for other processes; pickled as wholes, because the nodes do not have the module.
STEPS = """
import logging, os, signal, time
from pathlib import Path
from datatrove.pipeline.base import PipelineStep

class Step(PipelineStep):
    name = "Step"

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def run(self, data=None, rank=0, world_size=1):
        lives = Path(self.folder, f"lives-{rank}")
        with lives.open("a") as file:
            file.write(f"{os.getpid()}\\n")
        self.stat_update("seen")
        self.work(rank, len(lives.read_text().split()))
        yield from ()

    def work(self, rank, life):
        logging.getLogger("deepwriting.test").info("task %d sees %s", rank, os.environ.get("DEEPWRITING_TEST_NAME"))

class Fails(Step):
    def work(self, rank, life):
        if rank == 1:
            raise ValueError("no such luck")

class Dies(Step):
    def work(self, rank, life):
        if rank == 0:
            os.kill(os.getpid(), signal.SIGKILL)

class Lands(Step):
    def __setstate__(self, state):
        self.__dict__.update(state)
        self.unpickled_in = os.getcwd()

    def work(self, rank, life):
        Path(self.folder, f"landed-{rank}").write_text(self.unpickled_in)

class Hangs(Step):
    def work(self, rank, life):
        if life == 1:
            time.sleep(600)
"""


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


clusters = _load("ray_cluster", HERE.parent / "clusters" / "ray_cluster.py")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    if (why := clusters.why_not()) is not None:
        pytest.skip(f"no Ray cluster here: {why}")
    import ray

    from deepwriting.executors.ray_cluster import connect

    with clusters.RayCluster(clusters.short_folder()) as started:
        try:
            started.start(2)
        except RuntimeError as error:
            pytest.skip(f"no Ray cluster here: {error}")
        connect(started.address)
        yield started
        ray.shutdown()


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory, cluster: Any) -> Iterator[Any]:
    import ray

    folder = tmp_path_factory.mktemp("steps")
    (folder / "ray_steps.py").write_text(STEPS, encoding="utf-8")
    sys.path.insert(0, str(folder))
    module = importlib.import_module("ray_steps")
    ray.cloudpickle.register_pickle_by_value(module)
    yield module
    ray.cloudpickle.unregister_pickle_by_value(module)
    sys.path.remove(str(folder))


def executor(step: type, folder: Path, **options: Any) -> Any:
    from deepwriting.executors.ray import RayExecutor

    options = {"tasks": 2, "workers": 2, "mem_per_cpu_gb": 0.1} | options
    extra = {name: options.pop(name) for name in ("retries", "variables", "place") if name in options}
    folder.mkdir(exist_ok=True)
    made = RayExecutor(pipeline=[step(str(folder))], logging_dir=str(folder / "logs"), **options)
    for name, value in extra.items():
        setattr(made, name, value)
    return made


def lives(folder: Path, rank: int) -> list[str]:
    return (folder / f"lives-{rank}").read_text().split()


def test_without_ray_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepwriting.executors.ray_cluster import connect

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExecutorError, match="needs the package ray, which is not installed"):
        connect("auto")


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_at_which_nobody_answers(scheme: str) -> None:
    pytest.importorskip("ray")
    from deepwriting.executors.ray_cluster import _knock

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        address = f"{scheme}127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ExecutorError, match=rf"^there is no Ray cluster at execution.ray.address '{address}': "):
            _knock(address)


def test_tasks_are_unpickled_where_the_run_was_started(steps: Any, tmp_path: Path) -> None:
    """Relative folders of a run count from there, and the nodes were started elsewhere."""
    place = TaskPlace(
        run=str(tmp_path), stage="search", phase="", executor="ray", cwd=str(tmp_path), logs="logs",
    )  # fmt: skip
    executor(steps.Lands, tmp_path, place=place).run()
    assert [(tmp_path / f"landed-{rank}").read_text() for rank in range(2)] == [str(tmp_path)] * 2


def test_tasks_run_once_and_workers_stay_for_the_next_task(
    steps: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEEPWRITING_TEST_NAME", "a name")
    made = executor(steps.Step, tmp_path, tasks=4, workers=3, variables=("DEEPWRITING_TEST_NAME",))
    stats = made.run()
    assert stats.stats[0].stats["seen"].total == 4
    assert made.run() is None
    pids = {pid for rank in range(4) for pid in lives(tmp_path, rank)}
    assert len(pids) <= 2, "two nodes of one processor have no room for a third worker"
    log = (tmp_path / "logs" / "deepwriting" / "task_00002.log").read_text()
    assert "INFO deepwriting.test: task 2 sees a name" in log
    assert (tmp_path / "logs" / "logs" / "task_00002.log").is_file()
    assert capfd.readouterr() == ("", "")


def test_a_failing_task_leaves_the_others_alone(steps: Any, tmp_path: Path) -> None:
    with pytest.raises(TasksFailedError, match=r"1 of 3 tasks failed; task 1: ValueError: no such luck"):
        executor(steps.Fails, tmp_path, tasks=3).run()
    assert sorted(file.name for file in (tmp_path / "logs" / "completions").iterdir()) == ["00000", "00002"]
    assert len(lives(tmp_path, 1)) == 1


def test_a_task_that_kills_its_workers_is_given_up(steps: Any, tmp_path: Path) -> None:
    with pytest.raises(
        TasksFailedError, match=r"task 0: lost 3 workers, the last because worker process \d+ on \S+ died"
    ):
        executor(steps.Dies, tmp_path, retries=2).run()
    assert len(set(lives(tmp_path, 0))) == 3
    assert (tmp_path / "logs" / "completions" / "00001").is_file()


def test_a_task_beyond_its_time_limit_goes_to_another_worker(steps: Any, tmp_path: Path) -> None:
    executor(steps.Hangs, tmp_path, time=2).run()
    assert [len(lives(tmp_path, rank)) for rank in range(2)] == [2, 2]


def test_a_task_that_somebody_else_works_on_is_waited_for(steps: Any, tmp_path: Path) -> None:
    place = TaskPlace(
        run=str(tmp_path), stage="search", phase="", executor="ray", cwd=str(tmp_path), logs="logs",
    )  # fmt: skip
    note = FileNote(task_note(tmp_path / "search", "", 0))
    held = {"owner": "other", "machine": machine(), "host": "here", "pid": os.getpid(), "state": "running", "beat": 0}
    note.write(held)
    ended: list[float] = []

    def end() -> None:
        ended.append(time.time())
        note.write(held | {"state": "finished"})

    timer = threading.Timer(4, end)
    timer.start()
    executor(steps.Step, tmp_path, place=place).run()
    timer.join()
    assert (tmp_path / "lives-0").stat().st_mtime > ended[0]
    assert note.read()["state"] == "finished"  # type: ignore[index]
    assert len(lives(tmp_path, 0)) == 1


def test_what_no_node_can_hold_is_refused(cluster: Any, tmp_path: Path) -> None:
    from deepwriting.executors.ray_cluster import Needs, check_nodes

    small = Needs(1, 0, 1 << 20)
    with pytest.raises(ExecutorError, match=r"'search' needs 1 CPUs, 2 GPUs and 0.0 GB, more than any node"):
        check_nodes(tmp_path, {"source": small, "search": Needs(1, 2, 1 << 20)})
    check_nodes(tmp_path, {"source": small})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_the_nodes_do_not_see_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepwriting.executors.ray_cluster import Needs, check_nodes

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExecutorError, match=r"does not see the run's folder /proc/self/cwd; and 1 more"):
        check_nodes(Path("/proc/self/cwd"), {"source": Needs(1, 0, 1)})  # each process has its own


def _wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def test_a_run_whose_worker_and_node_die_ends_as_a_local_one(
    cluster: Any, tmp_path: Path, pocket_model: Path, own_pairs: Any, recipe_for: Any, write_lines: Any,
    closing_engines: None, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from deepwriting.pipeline import run_recipe

    pairs = write_lines(tmp_path / "pairs.jsonl", *own_pairs(10))
    dedupe = {"near_duplicate_answers": False, "near_duplicate_queries": False, "max_answers_per_query": None}
    execution = {"tasks": 2, "memory_gb": 0.1, "ray": {"address": cluster.address}}
    both = {"search": {"max_steps": 3}, "dedupe": dedupe}
    recipe, text = recipe_for(pairs, pocket_model, **both, execution=execution)
    runs = [tmp_path / "local", tmp_path / "ray"]
    run_recipe(recipe, text, runs[0], until="dedupe")
    shutil.copytree(runs[0], runs[1])
    run_recipe(recipe, text, runs[0], until="search")

    recipe, text = recipe_for(pairs, pocket_model, **both, execution=execution | {"workers": 2, "executor": "ray"})
    killed = threading.Thread(target=_kill_worker_and_node, args=(cluster, runs[1]), daemon=True)
    killed.start()
    capfd.readouterr()
    run_recipe(recipe, text, runs[1], until="search")
    assert capfd.readouterr() == ("", "")
    killed.join(5)
    assert not killed.is_alive(), "the run ended before both had died"

    notes = [FileNote(task_note(runs[1] / "search", "", rank)).read() for rank in range(2)]
    assert all(note is not None and note["state"] == "finished" and note["executor"] == "ray" for note in notes)
    assert sum(note["attempt"] for note in notes if note is not None) >= 4
    local, ray = ([_lines(gzip.decompress(file.read_bytes())) for file in _files(run, "shards")] for run in runs)
    _compare(ray, local)
    local, ray = ([_lines(file.read_bytes()) for file in _files(run, "journal")] for run in runs)
    _compare(ray, local)
    cluster.add_node()


def _kill_worker_and_node(cluster: Any, run: Path) -> None:
    journals = run / "search" / "journal"

    def events() -> int:
        return sum(file.read_bytes().count(b"\n") for file in journals.glob("*.jsonl"))

    _wait_for(lambda: events() > 4)
    os.kill(cluster.workers(0)[0], signal.SIGKILL)
    _wait_for(lambda: cluster.workers(1))
    cluster.kill_node(1)


def _files(run: Path, folder: str) -> list[Path]:
    files = sorted((run / "search" / folder).iterdir())
    assert len(files) == 2
    return files


def _lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines()]


def _compare(found: Any, expected: Any) -> None:
    """Everything is equal, but for the last digits of scores: a task that went on computes them in other pieces."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            _compare(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _compare(one, other)
    else:
        assert found == (pytest.approx(expected, abs=1e-5) if isinstance(expected, float) else expected)
