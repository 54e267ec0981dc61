"""Runs that are submitted as a whole: each job is run when its turn comes, by a process that knows nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import dill
import pytest

from deepwriting import executors
from deepwriting.errors import ExecutorError, RunLockedError
from deepwriting.executors import PhaseJob, Runner
from deepwriting.executors.local import QuietExecutor
from deepwriting.holder import NOTE
from deepwriting.lease import FileNote
from deepwriting.pipeline import describe_run, run_recipe, submit_recipe
from deepwriting.recipe import Recipe
from deepwriting.rundir import RunFolder
from deepwriting.stages import STAGE_NAMES
from deepwriting.stages.rows import stage_documents

pytestmark = pytest.mark.usefixtures("closing_engines")

RUN_JOBS = """
import sys, dill
from pathlib import Path
for file in sorted(Path(sys.argv[1]).glob("*.pik")):
    with file.open("rb") as pickled:
        dill.load(pickled).run()
"""


class QueueRunner(Runner):
    """Keeps what it is given; ``work`` runs it."""

    name = "queue"
    detached = True
    folder: ClassVar[Path]
    left: ClassVar[list[str]] = []

    def submit(self, jobs: Sequence[PhaseJob]) -> dict[str, Any]:
        ids = [str(100 + index) for index in range(len(jobs))]
        for id_, job in zip(ids, jobs, strict=True):
            executor = QuietExecutor(pipeline=job.phase.steps, tasks=job.phase.tasks, logging_dir=str(job.logs))
            executor.place = job.place(self.name)
            (self.folder / f"{id_}.pik").write_bytes(dill.dumps(executor))
        type(self).left = ids
        return {"jobs": ids}

    @classmethod
    def jobs_left(cls, jobs: Sequence[str]) -> list[str]:
        return [job for job in jobs if job in cls.left]

    @classmethod
    def work(cls) -> subprocess.CompletedProcess[str]:
        """Run all jobs in order, in a process of its own that stops where one fails."""
        done = subprocess.run(
            [sys.executable, "-c", RUN_JOBS, str(cls.folder)], capture_output=True, text=True, check=False
        )
        cls.left = []
        for file in cls.folder.glob("*.pik"):
            file.unlink()
        return done


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[QueueRunner]:
    """An executor that keeps jobs in a folder."""
    QueueRunner.folder, QueueRunner.left = tmp_path / "queue", []
    QueueRunner.folder.mkdir()
    monkeypatch.setitem(executors.RUNNERS, "queue", (__name__, "QueueRunner"))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[QueueRunner.__module__])
    return QueueRunner


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, pocket_model: Path, own_pairs: Any, write_lines: Any, recipe_for: Any
) -> Callable[..., tuple[Recipe, str]]:
    """The recipe of this module's runs; keywords change it."""
    path = tmp_path_factory.mktemp("in") / "pairs.jsonl"
    write_lines(path, *own_pairs(4))

    def make(**changes: Any) -> tuple[Recipe, str]:
        found: tuple[Recipe, str] = recipe_for(path, pocket_model, **{"build": {"drop_flags": ["copying"]}, **changes})
        return found

    return make


def results(folder: Path) -> dict[str, Any]:
    """Rows of every stage in order, without scores: these differ by the noise of float32 from process to process."""
    run = RunFolder(folder)
    return {
        f"{name}/{kind}": [
            (row["id"], row["text"], row["metadata"].get("thinking"), row["metadata"].get("reject"))
            for row in stage_documents(run, name, kind)
        ]
        for name in STAGE_NAMES
        for kind in ("shards", "rejects")
    }


def test_a_submitted_run_equals_one_that_was_waited_for(queue: type[QueueRunner], made: Any, tmp_path: Path) -> None:
    spread = {"execution": {"tasks": 2, "stages": {"search": {"tasks": 3}}}}
    recipe, text = made(**spread)
    folder = tmp_path / "submitted"
    jobs = submit_recipe(recipe, text, folder, executor="queue")
    assert [job["id"] for job in jobs] == queue.left
    assert [job["name"].rsplit("-", 1)[1] for job in jobs].count("settle") == len(STAGE_NAMES)
    assert not (folder / "source" / "shards").exists(), "nothing has run"
    holder = RunFolder(folder).holder()
    assert holder is not None
    assert (holder.executor, list(holder.jobs)) == ("queue", queue.left)
    with pytest.raises(RunLockedError, match=r"jobs of .*submitted are queued or running on queue: 100, 101"):
        submit_recipe(recipe, text, folder, executor="queue")
    with pytest.raises(RunLockedError, match="are queued or running"):
        run_recipe(recipe, text, folder)

    done = queue.work()
    assert done.returncode == 0, done.stderr
    run = RunFolder(folder)
    assert [record.state for name in STAGE_NAMES if (record := run.stage(name).record())] == ["finished"] * 6
    assert run.holder() is None
    assert not (folder / NOTE).exists()
    assert submit_recipe(recipe, text, folder, executor="queue") == [], "there is nothing left to do"

    waited = tmp_path / "waited"
    run_recipe(recipe, text, waited)
    assert results(folder) == results(waited)
    assert len(list((waited / "select" / "shards").iterdir())) == 3, "a shard for every task of the search"


def test_a_refused_submission_leaves_no_stage_begun(
    queue: type[QueueRunner], made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: QueueRunner, jobs: Sequence[PhaseJob]) -> dict[str, Any]:
        raise ExecutorError("no room")

    run = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(queue, "submit", refuse)
        with pytest.raises(ExecutorError, match="no room"):
            submit_recipe(*made(), run.path, executor="queue")
    assert [run.stage(name).record() for name in STAGE_NAMES] == [None] * len(STAGE_NAMES)
    run_recipe(*made(), run.path, until="source")
    with monkeypatch.context() as patch:
        patch.setattr(queue, "submit", refuse)
        with pytest.raises(ExecutorError, match="no room"):
            submit_recipe(*made(), run.path, executor="queue")
    assert [run.stage(name).record() is not None for name in STAGE_NAMES] == [True] + [False] * (len(STAGE_NAMES) - 1)


def test_what_fails_is_followed_by_nothing_and_goes_on_later(
    queue: type[QueueRunner], made: Any, tmp_path: Path
) -> None:
    recipe, text = made()
    folder = tmp_path / "run"
    submit_recipe(recipe, text, folder, executor="queue", until="search")
    blocked = folder / "select" / "work"
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("no folder")
    failed = queue.work()
    assert failed.returncode == 1
    run = RunFolder(folder)
    assert run.holder() is None, "no job is left"
    note = FileNote(folder / "select" / "tasks" / "classify" / "00000.json").read()
    assert note is not None
    assert note["state"] == "failed"
    assert "Error" in note["error"]
    record = run.stage("select").record()
    assert record is not None
    assert record.state == "running"
    blocked.unlink()
    jobs = submit_recipe(recipe, text, folder, executor="queue", until="search")
    assert {job["name"].split("-")[1] for job in jobs} == {"select", "search"}
    assert queue.work().returncode == 0
    assert (run.stage("search").record() or record).state == "finished"


def test_a_run_is_described_without_being_touched(made: Any, tmp_path: Path, queue: type[QueueRunner]) -> None:
    recipe, text = made(execution={"tasks": 2, "workers": 4})
    stages = describe_run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert [(stage["stage"], stage["action"]) for stage in stages] == [(name, "run") for name in STAGE_NAMES]
    jobs = {job["name"]: job for stage in stages for job in stage["jobs"]}
    assert jobs["short-select-choose"] == {"name": "short-select-choose", "tasks": 1, "workers": 1}
    assert jobs["short-search"] == {"name": "short-search", "tasks": 2, "workers": 2}
    queued = describe_run(recipe, tmp_path / "run", executor="queue", until="source")
    assert [job["name"] for job in queued[0]["jobs"]] == ["short-source", "short-source-settle"]
    run_recipe(recipe, text, tmp_path / "run", until="source")
    after = describe_run(recipe, tmp_path / "run", until="dedupe")
    assert [(stage["action"], bool(stage["jobs"])) for stage in after] == [("skip", False), ("run", True)]
    assert json.loads(json.dumps(after)) == after
