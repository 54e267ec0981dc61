"""The Slurm executor against a real cluster of three nodes on this machine."""

from __future__ import annotations

import gzip
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.errors import ExecutorError, RunLockedError
from deepwriting.executors import PhaseJob, jobs_left, runner
from deepwriting.executors import slurm_queue as queue
from deepwriting.lease import FileNote, machine
from deepwriting.pipeline import run_recipe, submit_recipe
from deepwriting.recipe import Recipe
from deepwriting.rundir import RunFolder
from deepwriting.stages import STAGE_NAMES, Phase
from tests.clusters.slurm_cluster import SlurmCluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SlurmCluster.why_not() is not None, reason=SlurmCluster.why_not() or ""),
]

#: A step for tasks on the nodes, which import it from a module. It keeps a journal as the search does: what is in there
#: is not done again. Between two entries it waits for files that the test writes.
STEPS = """
import os, socket, time
from pathlib import Path
from datatrove.pipeline.base import PipelineStep

class Work(PipelineStep):
    name = "Work"

    def __init__(self, journal, entries, seconds=0.0, fails=(), gate=None):
        super().__init__()
        self.journal, self.entries, self.seconds, self.fails, self.gate = Path(journal), entries, seconds, fails, gate

    def run(self, data=None, rank=0, world_size=1):
        self.journal.mkdir(parents=True, exist_ok=True)
        file = self.journal / f"{rank:05d}.jsonl"
        done = len(file.read_text().splitlines()) if file.exists() else 0
        for entry in range(done, self.entries):
            end = time.monotonic() + self.seconds
            while time.monotonic() < end:
                time.sleep(0.02)
            with file.open("a") as out:
                out.write(f"{rank} {entry} {time.time()} {os.environ['SLURMD_NODENAME']}\\n")
            while self.gate and not Path(self.gate).exists():
                time.sleep(0.02)
        if rank in self.fails and not (self.journal / "mended").exists():
            raise ValueError(f"task {rank} has no luck")
        yield from ()
"""


#: Name of each run's folder; what is in it would mean something to Slurm.
FOLDER = "100% a run"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """The cluster; whatever is submitted goes there."""
    # Not in pytest's folder: a socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, pytest.MonkeyPatch.context() as patch:
        steps = tmp_path_factory.mktemp("steps")
        (steps / "slurm_steps.py").write_text(STEPS, encoding="utf-8")
        patch.syspath_prepend(str(steps))
        patch.setenv("PYTHONPATH", str(steps))
        patch.setenv("OMP_NUM_THREADS", "1")
        with SlurmCluster(Path(folder), nodes=3, cpus=4) as cluster:
            for key, value in cluster.environment.items():
                patch.setenv(key, value)
            yield cluster


@pytest.fixture
def work(
    cluster: SlurmCluster, tmp_path: Path, recipe_for: Callable[..., tuple[Recipe, str]]
) -> Iterator[Callable[..., PhaseJob]]:
    """Makes phases of ``Work``: ``work("first", tasks=2, entries=3, time="2m")``; their jobs end with the test."""
    yield lambda *args, **kwargs: phase_of(tmp_path, recipe_for, *args, **kwargs)
    queue.cancel(queue.of_run(f"deepwriting {tmp_path / FOLDER}"))


def phase_of(
    folder: Path,
    recipe_for: Callable[..., tuple[Recipe, str]],
    name: str,
    *,
    tasks: int = 1,
    slurm: dict[str, Any] | None = None,
    time: str | None = None,
    workers: int | None = None,
    partition: str | None = None,
    **about: Any,
) -> PhaseJob:
    import slurm_steps  # type: ignore[import-not-found]

    execution = {
        "executor": "slurm", "tasks": tasks, "workers": workers or tasks, "memory_gb": 0.5, "time": time,
        "partition": partition, "slurm": slurm or {},
    }  # fmt: skip
    recipe, _ = recipe_for(folder / "none.jsonl", execution=execution)
    run = folder / FOLDER
    step = slurm_steps.Work(str(run / name / "journal"), **{"entries": 1} | about)
    return PhaseJob(recipe, run, name, Phase("", [step], tasks), run / name / "logs", recipe.execution.of("search"))


def entries(job: PhaseJob) -> list[tuple[int, int, float, str]]:
    """Entries of all journals in order: task, number, time, node."""
    lines = [
        line.split()
        for file in sorted((job.run / job.stage / "journal").glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return [(int(rank), int(number), float(when), node) for rank, number, when, node in lines]


def note(job: PhaseJob, rank: int = 0) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((job.run / job.stage / "tasks" / "main" / f"{rank:05d}.json").read_text())
    except OSError:
        return {}
    return found


def finished(job: PhaseJob) -> list[str]:
    return sorted(file.name for file in (job.logs / "completions").glob("*"))


def submit(*jobs: PhaseJob) -> list[str]:
    ids: list[str] = runner(jobs[0].recipe).submit(jobs)["jobs"]
    return ids


def until(what: str, condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)


def left(ids: list[str]) -> list[str]:
    found = jobs_left("slurm", ids)
    assert found is not None
    return found


def hastened(cluster: SlurmCluster, ids: list[str]) -> bool:
    cluster.hasten()
    return not left(ids)


def content(file: Path) -> bytes:
    """What a file holds; the head of a gzip file tells when it was written."""
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


@pytest.fixture(scope="module")
def long_search(
    cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory, recipe_for: Callable[..., tuple[Recipe, str]]
) -> tuple[PhaseJob, list[str]]:
    """Work of more than a minute under a limit of one minute; it goes on while the other tests run."""
    folder = tmp_path_factory.mktemp("long")
    job = phase_of(
        folder, recipe_for, "search", entries=75, seconds=0.6, time="1m",
        slurm={"warning_s": 20, "options": {"nodelist": "n3"}},
    )  # fmt: skip
    return job, submit(job)


def test_each_phase_waits_for_all_tasks_of_the_one_before(
    long_search: object, work: Callable[..., PhaseJob], cluster: SlurmCluster
) -> None:
    first = work("source", tasks=5, workers=2, slurm={"max_array": 2}, seconds=0.2)
    second = work("search", tasks=1)
    ids = submit(first, second)
    assert len(ids[0].split("+")) == 3, "five tasks need three arrays of two"
    assert left(ids) == ids
    until("all jobs are done", lambda: not left(ids))
    assert finished(first) == [f"{rank:05d}" for rank in range(5)]
    assert finished(second) == ["00000"]
    assert max(when for _, _, when, _ in entries(first)) < entries(second)[0][2]
    assert note(first, 4)["state"] == "finished"
    assert note(first, 4)["job"].startswith(ids[0].split("+")[2])
    assert submit(first, second) == ["", ""], "nothing is left to do"


def test_a_task_that_fails_ends_what_waits_for_it_and_only_it_is_run_again(
    work: Callable[..., PhaseJob], cluster: SlurmCluster
) -> None:
    first, second = work("source", tasks=3, fails=(1,)), work("search")
    ids = submit(first, second)
    until("the queue is empty", lambda: not left(ids))
    assert finished(first) == ["00000", "00002"]
    assert entries(second) == []
    assert (note(first, 1)["state"], note(first, 1)["error"]) == ("failed", "ValueError: task 1 has no luck")
    (first.run / "source" / "journal" / "mended").touch()
    again = submit(first, second)
    until("the queue is empty", lambda: not left(again))
    assert finished(first) == ["00000", "00001", "00002"]
    assert [note(first, rank)["attempt"] for rank in range(3)] == [1, 2, 1]
    assert finished(second) == ["00000"]


def test_a_killed_task_is_queued_again_alone_and_goes_on(
    work: Callable[..., PhaseJob], cluster: SlurmCluster, tmp_path: Path
) -> None:
    job = work("search", tasks=2, entries=2, gate=tmp_path / "gate")
    ids = submit(job)
    until("both have begun", lambda: len(entries(job)) == 2)
    # The last task of an array has the array's own id: `scontrol requeue $SLURM_JOB_ID` would take the other one along.
    last = next(each for each in (0, 1) if note(job, each)["job"] == f"{ids[0]}_1")
    os.kill(note(job, last)["pid"], signal.SIGKILL)
    until("it waits", lambda: any(each["reason"] == "BeginTime" for each in cluster.jobs()))
    other = next(each for each in cluster.jobs() if each["id"] == f"{ids[0]}_0")
    assert other["state"] == "RUNNING"
    (tmp_path / "gate").touch()
    until("all is done", lambda: hastened(cluster, ids))
    assert finished(job) == ["00000", "00001"]
    assert [entry[:2] for entry in entries(job)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [note(job, rank)["attempt"] for rank in (0, 1)] == [1, 2]


def test_a_task_that_never_gets_anywhere_is_given_up(work: Callable[..., PhaseJob], cluster: SlurmCluster) -> None:
    job = work("search", seconds=60.0, slurm={"retries": 1})
    behind = work("annotate")
    ids = submit(job, behind)
    for attempt in (1, 2):

        def begun(attempt: int = attempt) -> bool:
            cluster.hasten()
            return note(job).get("attempt") == attempt and note(job)["state"] == "running"

        until(f"attempt {attempt} runs", begun)
        os.kill(note(job)["pid"], signal.SIGKILL)
    until("nothing is left", lambda: not left(ids))
    (output,) = (job.logs / "slurm").glob("*.out")
    assert "ended by signal 9 2 times without finishing a step; not queued again" in output.read_text()
    assert entries(behind) == []


def test_a_task_that_somebody_requeues_goes_on(
    work: Callable[..., PhaseJob], cluster: SlurmCluster, tmp_path: Path
) -> None:
    job = work("search", entries=2, gate=tmp_path / "gate")
    ids = submit(job)
    until("it has begun", lambda: len(entries(job)) == 1)
    cluster.run("scontrol", "requeue", f"{ids[0]}_0")
    until("it has stopped in order", lambda: note(job)["state"] == "stopped")
    (tmp_path / "gate").touch()
    until("it is done", lambda: hastened(cluster, ids))
    assert finished(job) == ["00000"]
    assert [entry[:2] for entry in entries(job)] == [(0, 0), (0, 1)]


def test_a_task_that_somebody_else_works_on_is_tried_again_later(
    work: Callable[..., PhaseJob], cluster: SlurmCluster
) -> None:
    job = work("search")
    theirs = FileNote(job.place("slurm").note(0))
    held = {"host": "elsewhere", "pid": os.getpid(), "machine": machine(), "owner": "x", "beat": 1, "state": "running"}

    def refused() -> bool:
        theirs.write(held)  # as an owner does that lives
        return any(each["reason"] == "BeginTime" for each in cluster.jobs())

    ids = submit(job)
    until("it waits", refused)
    assert entries(job) == []
    theirs.remove()
    until("it is done", lambda: hastened(cluster, ids))
    assert finished(job) == ["00000"]


def test_a_lost_node_loses_nothing(work: Callable[..., PhaseJob], cluster: SlurmCluster, tmp_path: Path) -> None:
    job = work("search", entries=2, gate=tmp_path / "gate", slurm={"options": {"nodelist": "n2"}})
    ids = submit(job)
    until("it has begun", lambda: len(entries(job)) == 1)
    cluster.kill_node("n2")
    (tmp_path / "gate").touch()
    # Slurm finds out by itself, after some ten seconds.
    cluster.run("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=lost")
    cluster.start_node("n2")
    until("it is done", lambda: hastened(cluster, ids))
    assert finished(job) == ["00000"]
    assert [entry[:2] for entry in entries(job)] == [(0, 0), (0, 1)]
    assert note(job)["attempt"] == 2


def test_cancelled_jobs_are_not_queued_again(
    work: Callable[..., PhaseJob], cluster: SlurmCluster, tmp_path: Path
) -> None:
    job, behind = work("search", gate=tmp_path / "gate"), work("annotate")
    ids = submit(job, behind)
    until("it has begun", lambda: len(entries(job)) == 1)
    with pytest.raises(RunLockedError, match=rf"^jobs of .*100% a run are still in the queue: {ids[0]} {ids[1]}$"):
        runner(job.recipe).check(job.run)
    queue.cancel(ids[:1])
    until("the queue is empty", lambda: not left(ids))
    assert note(job)["state"] == "stopped"
    assert not [each for each in cluster.jobs() if each["id"].startswith(ids[0])]
    runner(job.recipe).check(job.run)


def test_all_or_nothing_is_submitted(work: Callable[..., PhaseJob], cluster: SlurmCluster) -> None:
    before = {each["id"] for each in cluster.jobs()}
    jobs = [work("source"), work("search", partition="moon")]
    with pytest.raises(ExecutorError, match=r"^short-search: sbatch refuses the job: .*[Ii]nvalid partition"):
        runner(jobs[1].recipe).submit(jobs)
    strange = work("search", slurm={"options": {"nosuchoption": "x"}})
    with pytest.raises(ExecutorError, match=r"sbatch refuses the job: .*nosuchoption"):
        runner(strange.recipe).submit([strange])
    until("the queue is as before", lambda: {each["id"] for each in cluster.jobs()} <= before)


def test_the_queue_is_asked_by_whatever_is_there(
    work: Callable[..., PhaseJob], cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = work("search", gate=tmp_path / "gate")
    ids = submit(job)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("scontrol", "sacct", "scancel"):
        (programs / name).symlink_to(Path(cluster.run("which", name).strip()))
    monkeypatch.setenv("PATH", str(programs))
    assert left(ids) == ids, "scontrol tells"
    assert left(["999999"]) == []
    (programs / "scontrol").unlink()
    assert jobs_left("slurm", ids) is None, "this cluster keeps no accounts, so sacct does not tell"
    (programs / "sacct").unlink()
    assert jobs_left("slurm", ids) is None
    assert jobs_left("slurm", [""]) == []
    with pytest.raises(ExecutorError, match=r"^sbatch is not on this machine; submit from one that belongs to a Slurm"):
        runner(job.recipe).check(job.run)
    queue.cancel(ids)


def test_a_time_limit_is_outlived(long_search: tuple[PhaseJob, list[str]], cluster: SlurmCluster) -> None:
    job, ids = long_search
    until("the work is done", lambda: hastened(cluster, ids), 240.0)
    assert finished(job) == ["00000"]
    assert [entry[1] for entry in entries(job)] == list(range(75)), "nothing twice, nothing lost"
    assert note(job)["attempt"] > 1, "the minute was not enough"


def test_a_whole_run_on_the_cluster_is_the_same_as_on_this_machine(
    cluster: SlurmCluster,
    pocket_model: Path,
    own_pairs: Callable[[int], list[dict[str, str]]],
    write_lines: Callable[..., Path],
    recipe_for: Callable[..., tuple[Recipe, str]],
    tmp_path: Path,
) -> None:
    pairs = write_lines(tmp_path / "pairs.jsonl", *own_pairs(8))
    execution = {"tasks": 2, "workers": 2, "memory_gb": 1.0, "stages": {"search": {"time": "1h"}}}
    recipe, text = recipe_for(pairs, pocket_model, search={"max_steps": 16}, execution=execution)
    here, there = RunFolder(tmp_path / "here"), RunFolder(tmp_path / "there")
    jobs = submit_recipe(recipe, text, there.path, executor="slurm")
    ids = [job["id"] for job in jobs]
    assert [job["name"] for job in jobs][-3:] == ["short-annotate-settle", "short-build", "short-build-settle"]
    with pytest.raises(RunLockedError, match=rf"^jobs of {there.path} are queued or running on slurm: {ids[0]}, "):
        submit_recipe(recipe, text, there.path, executor="slurm")

    journal = there.path / "search" / "journal" / "00001.jsonl"
    until("the search has begun", lambda: journal.exists() and journal.read_bytes().count(b"step") > 1, 300.0)
    task = there.path / "search" / "tasks" / "main" / "00001.json"
    os.kill(json.loads(task.read_text())["pid"], signal.SIGKILL)
    run_recipe(recipe, text, here.path, executor="local")
    until("the run is done", lambda: hastened(cluster, ids), 300.0)

    assert json.loads(task.read_text())["attempt"] == 2
    assert there.holder() is None
    for name in STAGE_NAMES:
        expected, record = here.stage(name).record(), there.stage(name).record()
        assert expected is not None
        assert record is not None
        assert (record.state, record.counts) == ("finished", expected.counts)
    for pattern in ("*/shards/*", "*/rejects/*", "search/journal/*", "deepwriting-20k/**/*.*"):
        files = [file.relative_to(here.path) for file in sorted(here.path.glob(pattern))]
        assert files == [file.relative_to(there.path) for file in sorted(there.path.glob(pattern))]
        for file in files:
            assert content(here.path / file) == content(there.path / file), file
    assert submit_recipe(recipe, text, there.path, executor="slurm") == []
