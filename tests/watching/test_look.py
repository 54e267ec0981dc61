from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.errors import NotFoundError, RunError
from deepwriting.executors import settle
from deepwriting.files import write_json
from deepwriting.holder import NOTE
from deepwriting.rundir import RunFolder
from deepwriting.stages import STAGE_NAMES
from deepwriting.watching import RunView, RunWatch, stages
from deepwriting.watching.look import STAGES


@pytest.fixture
def look() -> Callable[[Any], RunView]:
    """Looks at a run once."""
    return lambda run: RunWatch(lambda: RunFolder.existing(run.folder.path)).look()


def test_the_stages_are_those_that_run() -> None:
    assert STAGES == STAGE_NAMES
    assert stages.SETTLE == settle.SETTLE


def test_a_run_that_was_never_begun(made: Any, look: Any) -> None:
    view = look(made())
    assert (view.condition, view.going, view.current, view.driver, view.search) == ("waiting", False, None, None, None)
    assert {stage.condition for stage in view.stages.values()} == {"waiting"}


def test_a_driver_between_two_stages(made: Any, look: Any) -> None:
    run = made()
    run.stage("dedupe", "finished")
    with run.folder.locked("ray"):
        view = look(run)
    assert (view.condition, view.going, view.current) == ("running", True, None)
    assert view.driver is not None
    assert (view.driver.pid, view.driver.executor, view.driver.alive) == (os.getpid(), "ray", True)
    assert look(run).condition == "stopped"


def test_a_finished_run_is_not_looked_into(made: Any, look: Any, dead_pid: int) -> None:
    run = made()
    run.stage("build", "finished", tasks=3)
    run.note("build", "", 0, pid=dead_pid)
    view = look(run)
    assert (view.condition, view.troubles) == ("finished", [])
    build = view.stages["build"]
    assert (build.rows_done, build.phase.tasks["done"], build.phase.total) == (10, 3, 3)


def test_a_killed_run_is_interrupted(made: Any, look: Any, dead_pid: int) -> None:
    run = made()
    run.stage("annotate", tasks=2)
    run.note("annotate", "", 0, pid=dead_pid)
    with run.folder.locked():
        note = json.loads((run.folder.path / NOTE).read_text())
    write_json(run.folder.path / NOTE, note | {"pid": dead_pid})
    view = look(run)
    assert (view.condition, view.current.condition, view.certain) == ("interrupted", "interrupted", True)
    assert [task.state for task in view.troubles] == ["stalled"]
    run.stage("annotate", "finished")
    assert look(run).condition == "interrupted"  # killed between two stages


def test_a_task_that_failed(made: Any, look: Any) -> None:
    run = made()
    run.stage("annotate", tasks=2)
    run.note("annotate", "", 1, state="failed", error="ValueError: no")
    assert look(run).condition == "failed"
    with run.folder.locked():
        assert look(run).condition == "running"  # the others may go on
        run.note("annotate", "", 0, age=600)
        assert look(run).condition == "stalled"
    assert look(run).condition == "failed"


def test_tasks_go_on_without_a_driver(made: Any, look: Any, far: Any) -> None:
    run = made()
    run.stage("annotate", tasks=2)
    run.note("annotate", "", 1, age=20, **far)
    view = look(run)
    assert (view.condition, [task.host for task in view.current.running]) == ("running", ["far"])


def submitted(run: Any, **values: Any) -> None:
    about = {"state": "submitted", "host": "far", "pid": 7, "machine": "far-1", "owner": "x", "beat": 1,
             "started": "2026-11-22T12:00:00+00:00", "updated": "2026-11-22T12:00:00+00:00"}  # fmt: skip
    write_json(run.folder.path / NOTE, about | {"executor": "local", "jobs": ["17", "18"]} | values)


def test_jobs_of_which_the_queue_does_not_tell(made: Any, look: Any, dead_pid: int) -> None:
    run = made()
    submitted(run)  # the local executor has no queue
    view = look(run)
    assert (view.condition, view.driver.jobs_left) == ("queued", None)
    [caution] = view.cautions
    assert caution == "whether jobs are still queued cannot be told here: local does not answer"
    run.stage("annotate", tasks=2)
    assert look(run).condition == "queued"
    run.note("annotate", "", 0)
    assert look(run).condition == "running"
    run.note("annotate", "", 0, pid=dead_pid)
    assert look(run).condition == "stalled"
    run.note("annotate", "", 0, state="failed", error="x")
    assert look(run).condition == "failed"


def test_phases_stand_in_their_order(made: Any, look: Any) -> None:
    run = made()
    run.stage("dedupe", tasks=2)
    for name, tasks in (("rows", 2), ("equal", 1), ("buckets", 2)):
        run.phase("dedupe", name, tasks)
    run.completed("dedupe", "rows", 0, 1)
    run.completed("dedupe", "equal", 0)
    run.completed("dedupe", "buckets", 1)
    with run.folder.locked():
        run.note("dedupe", "buckets", 0)
        stage = look(run).current
    assert [phase.name for phase in stage.phases] == ["rows", "equal", "buckets", ""]
    assert (stage.phase.name, stage.phase.tasks["done"], stage.phase.total) == ("buckets", 1, 2)
    assert stage.phases[-1].tasks["waiting"] == 2


def test_a_phase_of_which_only_notes_are_there(made: Any, look: Any) -> None:
    run = made()
    run.stage("dedupe")
    run.note("dedupe", "settle", 0, state="failed", error="CountsError: one row is missing")
    run.completed("dedupe", "", 0)
    view = look(run)
    assert view.condition == "failed"
    assert [(phase.name, phase.total) for phase in view.current.phases] == [("", 1), ("settle", 1)]
    assert view.current.phase.name == "settle"


def test_the_slowest_task_decides_when_a_stage_ends(made: Any, look: Any) -> None:
    run = made()
    run.stage("search", tasks=2, rows=20)
    for rank, through in enumerate((9.0, 1.0)):
        run.note("search", "", rank)
        write_json(run.folder.stage("search").path / "status" / f"{rank:05d}.json", search_status(through, rate=1 / 60))
    view = look(run)
    assert view.search.seconds_left == pytest.approx(10 / (2 / 60))
    assert view.current.seconds_left == pytest.approx(9 * 60)
    assert view.current.rows_per_second == pytest.approx(2 / 60)
    assert (view.current.rows_done, view.current.rows_total) == (2, 20)


def search_status(through: float, rate: float) -> dict[str, Any]:
    return {
        "version": 1, "state": "running", "host": socket.gethostname(), "pid": os.getpid(),
        "started": "2026-11-22T12:00:00+00:00", "updated": "2026-11-22T12:05:00+00:00", "seconds": 300.0,
        "rows": {"total": 10, "finished": 1, "skipped": {}, "left_out": {}, "in_flight": 2, "through": through},
        "steps": {"done": 0, "accepted": 0, "candidates": 0}, "refused": {}, "engines": [],
        "scores": {"rows": 0, "score_before": None, "score_now": None, "perplexity_before": None,
                   "perplexity_now": None},
        "rates": {"window_seconds": 60.0, "tokens_in_per_second": 1.0, "tokens_out_per_second": 1.0,
                  "rows_per_second": rate},
    }  # fmt: skip


def test_everything_is_json(made: Any, look: Any, dead_pid: int) -> None:
    run = made()
    run.stage("search", tasks=3, rows=20)
    write_json(run.folder.stage("search").path / "status" / "00000.json", search_status(1.0, 0.1))
    run.note("search", "", 0)
    run.note("search", "", 1, pid=dead_pid)
    data = look(run).as_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["running"] is None
    stage = data["stages"]["search"]
    assert (stage["state"], stage["condition"], stage["phase"]) == ("running", "running", "")
    assert stage["phases"] == [
        {"name": "", "tasks": {"done": 0, "running": 1, "stalled": 1, "failed": 0, "waiting": 1}}
    ]
    assert [task["rank"] for task in stage["running"]] == [0]
    assert stage["troubles"][0]["why"].endswith("is gone")


def test_a_run_that_is_taken_away_while_it_is_watched(made: Any) -> None:
    run = made()
    watch = RunWatch(lambda: RunFolder.existing(run.folder.path))
    watch.look()
    shutil.rmtree(run.folder.path)
    with pytest.raises(NotFoundError, match="no run at"):
        watch.look()


def test_a_damaged_record_is_named(made: Any, look: Any) -> None:
    run = made()
    run.stage("dedupe")
    (run.folder.stage("dedupe").path / "stage.json").write_text("{")
    with pytest.raises(RunError, match=r"stage\.json is damaged"):
        look(run)


#: Looks at a run, and tells what it thinks of it.
LOOK = """
import json, os, sys
from deepwriting.rundir import RunFolder
from deepwriting.watching import RunWatch
view = RunWatch(lambda: RunFolder.existing(sys.argv[1])).look()
print(json.dumps([view.condition, view.certain, view.cautions, [task.rank for task in view.troubles]]))
"""
#: Nothing is forbidden to root, unless it gives that away.
AS_ROOT = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.fixture
def read_only(made: Any) -> Iterator[Any]:
    """A run; when it is made, ``forbid()`` takes the right to write into it away."""
    run = made()
    folder = run.folder.path

    def folders() -> list[Path]:
        return [folder, *(path for path in folder.rglob("*") if path.is_dir())]

    run.forbid = lambda: [path.chmod(0o555) for path in folders()]
    yield run
    for path in folders():
        path.chmod(0o755)


@pytest.mark.skipif(
    bool(AS_ROOT) and shutil.which("setpriv") is None, reason="needs setpriv, or another user than root"
)
@pytest.mark.parametrize("age", [20, 600], ids=["heard", "silent"])
def test_where_nothing_may_be_written_what_is_uncertain_is_said(read_only: Any, far: Any, age: int) -> None:
    read_only.stage("annotate", tasks=1)
    read_only.note("annotate", "", 0, age=age, **far)
    read_only.forbid()
    command = [*AS_ROOT, sys.executable, "-c", LOOK, str(read_only.folder.path)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    condition, certain, cautions, troubles = json.loads(told.stdout)
    if age == 20:
        assert (condition, certain, cautions, troubles) == ("running", True, [], [])
    else:
        assert (condition, certain, troubles) == ("interrupted", False, [0])
        assert "may be at work all the same" in cautions[0]
