"""Whole runs in an object store, with a model of one layer; the server speaks S3 and runs in a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deepwriting.builders.manifest import read_manifest
from deepwriting.errors import DatasetNotFoundError, NotFoundError, RunLockedError
from deepwriting.hub.location import locate
from deepwriting.pipeline import run_recipe
from deepwriting.recipe import Recipe
from deepwriting.remote.folder import RemoteFolder
from deepwriting.remote.journals import fetch_journal
from deepwriting.remote.working import run_folder
from deepwriting.report.gather import gather
from deepwriting.rundir import RunFolder
from deepwriting.stages import STAGE_NAMES
from deepwriting.stages.rows import stage_documents

pytestmark = pytest.mark.usefixtures("closing_engines")

#: Searches that a task has in flight.
IN_FLIGHT = 2
#: Seconds after which a test of processes gives up.
PATIENCE = 120


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, pocket_model: Path, own_pairs: Any, write_lines: Any, recipe_for: Any
) -> tuple[Recipe, str]:
    """The recipe of this module's runs."""
    path = write_lines(tmp_path_factory.mktemp("in") / "pairs.jsonl", *own_pairs(8))
    found: tuple[Recipe, str] = recipe_for(
        path, pocket_model, build={"drop_flags": ["copying"]}, execution={"tasks": 2},
        dedupe={"near_duplicate_queries": False},
        search={"concurrency": IN_FLIGHT},
    )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, made: tuple[Recipe, str]) -> Path:
    """The same run on this machine's disk, which the others have to equal."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    run_recipe(*made, folder)
    return folder


def rows(run: RunFolder, stage: str = "search") -> list[Any]:
    """The rows of a stage, kept and rejected, without what depends on the machine's arithmetic."""
    return [
        (doc["id"], doc["text"], doc["metadata"].get("thinking"), doc["metadata"].get("steps"))
        for folder in ("shards", "rejects")
        for doc in stage_documents(run, stage, folder)
    ]


def journal_events(run: Path) -> Counter[tuple[Any, ...]]:
    """The events of a run's search: what, which row, which step."""
    events = [
        json.loads(line)
        for file in sorted((run / "search" / "journal").glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return Counter((event["event"], event.get("row"), event.get("step")) for event in events)


def test_a_run_there_equals_one_here(
    bucket: str, made: tuple[Recipe, str], here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = run_recipe(*made, run_folder(bucket))
    assert [record.state for record in records] == ["finished"] * len(STAGE_NAMES)
    # Another machine sees all of it.
    monkeypatch.setenv("DEEPWRITING_COPIES", str(tmp_path / "elsewhere"))
    run = RunFolder.existing(bucket)
    assert run.shown == bucket
    assert run.holder() is None
    for stage in STAGE_NAMES:
        record, other = run.stage(stage).record(), RunFolder(here).stage(stage).record()
        assert record is not None
        assert other is not None
        assert record.counts == other.counts
    assert not (run.path / "search" / "shards").exists()
    for stage in ("search", "build"):
        assert rows(run, stage) == rows(RunFolder(here), stage)
    there = RemoteFolder(bucket).list()
    ours = {str(file.relative_to(here)) for file in here.rglob("*") if file.is_file()}
    ours = {path for path in ours if not path.endswith((".lock", "executor.json", "logs/stats.json"))}
    ours = {path for path in ours if not path.endswith("/stats.json") and not Path(path).name.startswith(".")}
    assert ours - there.keys() == set()
    assert {path for path in there.keys() - ours if not path.endswith("/life")} == set()
    for path in (path for path in ours if path.startswith("deepwriting-20k/data/")):
        assert RemoteFolder(bucket).read(path) == (here / path).read_bytes()
    # Its dataset is one for every command.
    dataset = f"{bucket}/deepwriting-20k"
    assert read_manifest(locate(f"{dataset}@0.1.0")) == read_manifest(here / "deepwriting-20k")
    with pytest.raises(DatasetNotFoundError, match=r"holds version 0\.1\.0, not 9\.9\.9"):
        locate(f"{dataset}@9.9.9")
    report = gather(run)
    assert report.run == bucket
    assert [stage.sources for stage in report.stages] == [stage.sources for stage in gather(RunFolder(here)).stages]
    # And has nothing to do.
    began = time.monotonic()
    run_recipe(*made, run_folder(bucket))
    assert time.monotonic() - began < 5
    assert RemoteFolder(bucket).list().keys() == there.keys()


def test_a_lost_machine_costs_no_more_than_the_steps_in_flight(
    bucket: str, made: tuple[Recipe, str], here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(made[1])
    lost = tmp_path / "lost-machine"
    process = subprocess.Popen(
        [sys.executable, "-m", "deepwriting", "run", str(recipe), "--run-dir", bucket],
        env=os.environ | {"DEEPWRITING_COPIES": str(lost)}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    remote, end = RemoteFolder(bucket), time.monotonic() + PATIENCE
    while sum(name[-1].isdigit() for name in remote.list("search/journal")) < 4:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
        assert time.monotonic() < end
    process.send_signal(signal.SIGKILL)
    process.wait()
    [copy] = [folder for folder in (lost / "runs").iterdir() if folder.suffix != ".marks"]
    on_its_disk = journal_events(copy).total()
    shutil.rmtree(lost)
    arrived = 0
    for task in range(2):
        if fetch_journal(remote, f"search/journal/{task:05d}.jsonl", tmp_path / "arrived.jsonl"):
            arrived += len((tmp_path / "arrived.jsonl").read_text().splitlines())
    assert on_its_disk - IN_FLIGHT <= arrived <= on_its_disk

    monkeypatch.setenv("DEEPWRITING_COPIES", str(tmp_path / "new-machine"))
    monkeypatch.setattr("deepwriting.lease.SILENT_BEATS", 0)  # nobody waits in a test to see that it is gone
    run_recipe(*made, run_folder(bucket), until="search")
    new = run_folder(bucket)
    assert rows(RunFolder(new)) == rows(RunFolder(here))
    events = journal_events(new)
    assert events == journal_events(here)
    assert [event[0] for event, count in events.items() if count > 1] == ["header"]  # one a task


def test_a_second_driver_is_refused(bucket: str, made: tuple[Recipe, str], tmp_path: Path) -> None:
    one = RunFolder(run_folder(bucket))
    with one.locked(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPWRITING_COPIES", str(tmp_path / "other"))
        with pytest.raises(RunLockedError, match=f"another process is working on {bucket}: {os.getpid()} on"):
            run_recipe(*made, run_folder(bucket))
        held = RunFolder(run_folder(bucket)).holder()
        assert held is not None
        assert held.pid == os.getpid()
    assert one.holder() is None


def test_a_store_that_is_away_when_the_run_ends_fails_nothing(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    import s3fs

    run = RunFolder(run_folder(bucket))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPWRITING_REMOTE_PATIENCE", "0.2")
        with run.locked():
            patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            patch.setenv("AWS_MAX_ATTEMPTS", "1")
            patch.setattr(s3fs.S3FileSystem, "retries", 1)
            s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem.clear_instance_cache()
    assert f"the note of who works on {bucket} cannot be removed" in caplog.text
    assert run.holder() is not None
    with run.locked():
        pass
    assert run.holder() is None


def test_a_stage_done_anew_elsewhere_leaves_nothing_old(bucket: str, made: tuple[Recipe, str], tmp_path: Path) -> None:
    old = run_folder(bucket)
    run_recipe(*made, old, until="source")
    stale = old / "source" / "shards" / "00002.jsonl.gz"
    stale.write_bytes(gzip.compress(b'{"text":"of an earlier life","id":"x","metadata":{}}\n'))
    first = RemoteFolder(bucket).entry("source/stage.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPWRITING_COPIES", str(tmp_path / "other"))
        run_recipe(*made, run_folder(bucket), until="source", redo="source")
        again = RemoteFolder(bucket).entry("source/stage.json")
        (run_folder(bucket) / "source" / "logs" / "completions" / "00000").unlink()  # what is there counts
        [record] = run_recipe(*made, run_folder(bucket), until="source")
    assert first != again
    [other] = run_recipe(*made, old, until="source")
    assert other == record
    assert RemoteFolder(bucket).entry("source/stage.json") == again
    assert not stale.exists()


def test_no_run_there(bucket: str) -> None:
    with pytest.raises(NotFoundError, match=f"no run at '{bucket}'"):
        RunFolder.existing(bucket)
