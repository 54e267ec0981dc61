"""A run in an object store on a Ray cluster whose nodes share no disk, neither with each other nor with the driver."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.executors.task import task_note
from deepwriting.lease import FileNote
from deepwriting.pipeline import run_recipe
from deepwriting.remote.folder import RemoteFolder
from deepwriting.remote.journals import fetch_journal
from deepwriting.remote.working import run_folder
from deepwriting.rundir import RunFolder
from tests.clusters import ray_cluster
from tests.remote.test_run import journal_events, rows

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("closing_engines")]


def why_no_disks(folder: Path) -> str | None:
    """Why no node can have a disk of its own in a folder's place; ``None`` if it can."""
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else None


@pytest.fixture
def cluster(bucket: str, tmp_path: Path) -> Iterator[ray_cluster.RayCluster]:
    """Two nodes that know where the store is; what they copy from it lies on disks of their own."""
    copies = tmp_path / "copies"
    copies.mkdir()
    for why in (ray_cluster.why_not(), why_no_disks(copies)):
        if why is not None:
            pytest.skip(f"no such Ray cluster here: {why}")
    import ray

    with ray_cluster.RayCluster(ray_cluster.short_folder(), disk=copies) as started:
        try:
            started.start(2)
        except RuntimeError as error:
            pytest.skip(f"no Ray cluster here: {error}")
        yield started
        ray.shutdown()


def test_a_run_there_survives_a_lost_node(
    bucket: str, cluster: ray_cluster.RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    pocket_model: Path, own_pairs: Any, recipe_for: Any, write_lines: Any,
) -> None:  # fmt: skip
    pairs = write_lines(tmp_path / "pairs.jsonl", *own_pairs(8))
    execution = {"tasks": 2, "memory_gb": 0.1, "ray": {"address": cluster.address}}
    settings = {"dedupe": {"near_duplicate_queries": False}, "search": {"max_steps": 3, "concurrency": 2}}
    recipe, text = recipe_for(pairs, pocket_model, **settings, execution=execution)
    here = tmp_path / "here"
    run_recipe(recipe, text, here, until="search")
    run_recipe(recipe, text, run_folder(bucket), until="select")  # what Ray does with these stages is tried elsewhere

    recipe, text = recipe_for(pairs, pocket_model, **settings, execution=execution | {"workers": 2, "executor": "ray"})
    killer = threading.Thread(target=kill_node, args=(cluster, RemoteFolder(bucket)), daemon=True)
    killer.start()
    run_recipe(recipe, text, run_folder(bucket), until="search")
    killer.join(5)
    assert not killer.is_alive(), "the run ended before a node was lost"

    # Another machine, which has nothing of it yet, finds the rows and steps of a run that nobody touched.
    monkeypatch.setenv("DEEPWRITING_COPIES", str(tmp_path / "elsewhere"))
    run = RunFolder.existing(bucket)
    assert rows(run) == rows(RunFolder(here))
    notes = [FileNote(task_note(run.path / "search", "", rank)).read() or {} for rank in range(2)]
    assert sum(note["attempt"] for note in notes) == 3
    assert {note["executor"] for note in notes} == {"ray"}
    for rank in range(2):
        name = f"search/journal/{rank:05d}.jsonl"
        (run.path / name).parent.mkdir(exist_ok=True)
        assert fetch_journal(RemoteFolder(bucket), name, run.path / name)
    assert journal_events(run.path) == journal_events(here)
    # The driver computed nothing: its disk has no journal.
    assert not list((tmp_path / "copies").glob("runs/*/search/journal/*"))


def kill_node(cluster: ray_cluster.RayCluster, remote: RemoteFolder) -> None:
    """Kill the second node, with its disk, as soon as both tasks have written some steps."""
    wait_for(lambda: {name.split(".")[0] for name in remote.list("search/journal")} >= {
        f"search/journal/{rank:05d}" for rank in range(2)
    })  # fmt: skip
    wait_for(lambda: cluster.workers(1))
    cluster.kill_node(1)


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
