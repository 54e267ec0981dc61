"""Whole stages in jobs: of a Hub on this machine that runs them as processes, with the run in an S3 store."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import HfApi

from deepwriting.executors.jobs_fleet import RUN_LABEL, Fleet, run_key
from deepwriting.hub.local.server import LocalHub
from deepwriting.pipeline import run_recipe
from deepwriting.recipe import parse_recipe
from deepwriting.remote.folder import RemoteFolder
from tests.remote.conftest import bucket, s3_server  # noqa: F401 - fixtures

PAIRS = 6
#: What one command may take (seconds): each job imports everything anew.
_LIMIT = 240


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub", user="tester", jobs=True).running() as running:
        yield running


@pytest.fixture
def recipe(
    tmp_path: Path, own_pairs: Callable[[int], list[dict[str, str]]], write_lines: Callable[..., Path]
) -> Callable[..., Path]:
    """Writes a recipe over two files of pairs, one for each task: ``recipe(retries=1)``."""
    pairs = own_pairs(PAIRS)
    for number in range(2):
        write_lines(tmp_path / "pairs" / f"{number}.jsonl", *pairs[number::2])

    def write(retries: int) -> Path:
        text = {
            "name": "jobs",
            "sources": [{"kind": "pairs", "path": str(tmp_path / "pairs"), "license": "CC0-1.0"}],
            "engines": {"generator": {"model": "smollm2-135m"}},
            "execution": {
                "tasks": 2, "workers": 2,
                "jobs": {
                    "poll_s": 1, "retries": retries,
                    "secrets": ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
                },
            },
        }  # fmt: skip
        file = tmp_path / "jobs.yaml"
        file.write_text(yaml.safe_dump(text))
        return file

    return write


def _run(hub: LocalHub, recipe: Path, url: str) -> subprocess.CompletedProcess[str]:
    token = hub.store.tokens.of_role("write")
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "deepwriting", "run", str(recipe), "--until", "source"]
    return subprocess.run(
        [*command, "--executor", "jobs", "--run-dir", url], env=environment, capture_output=True, text=True,
        timeout=_LIMIT, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def _killing(hub: LocalHub, index: str) -> Iterator[None]:
    """Kill the first job with that index as soon as there is one."""
    stop = threading.Event()

    def kill() -> None:
        jobs = hub.store.jobs
        assert jobs is not None
        while not stop.is_set():
            for job in jobs.all("tester"):
                if job.labels.get("datatrove_array_index") == index and job.process is not None:
                    job.process.kill()
                    return
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _rows(folder: RemoteFolder | Path) -> list[str]:
    """The rows of the stage, shard by shard."""
    import gzip

    if isinstance(folder, Path):
        files = [file.read_bytes() for file in sorted((folder / "source" / "shards").glob("*.gz"))]
    else:
        files = [folder.read(path) for path in sorted(folder.list("source/shards"))]
    return [line for content in files for line in gzip.decompress(content).decode().splitlines()]


def test_a_stage_in_jobs_of_which_one_is_killed(
    hub: LocalHub,
    recipe: Callable[..., Path],
    bucket: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    file = recipe(retries=1)
    with _killing(hub, "1"):
        done = _run(hub, file, bucket)
    assert done.returncode == 0, done.stderr
    local = tmp_path / "local"
    run_recipe(parse_recipe(file.read_text()), file.read_text(), local, until="source")
    store = RemoteFolder(bucket)
    assert _rows(store) == _rows(local)
    assert len(_rows(store)) == PAIRS
    assert hub.store.jobs
    jobs = hub.store.jobs.all("tester")
    assert sorted((job.labels["datatrove_array_index"], job.stage) for job in jobs) == [
        ("0", "COMPLETED"), ("1", "COMPLETED"), ("1", "ERROR"),
    ]  # fmt: skip
    assert {job.labels[RUN_LABEL] for job in jobs} == {run_key(bucket)}
    note = json.loads(store.read("source/tasks/main/00001.json"))
    assert (note["state"], note["executor"]) == ("finished", "jobs")
    assert note["job"] in {job.id for job in jobs}
    token = hub.store.tokens.of_role("write").encode()
    assert [path for path in store.list() if token in store.read(path)] == []


def test_a_task_that_never_finishes_is_an_error_and_the_same_command_goes_on(
    hub: LocalHub,
    recipe: Callable[..., Path],
    bucket: str,  # noqa: F811
) -> None:
    file = recipe(retries=0)
    with _killing(hub, "0"):
        failed = _run(hub, file, bucket)
    assert failed.returncode != 0
    assert "1 of 2 tasks of stage 'source' did not finish: task 0: job " in failed.stderr
    assert "ended as ERROR (Job failed with exit code: 137)" in " ".join(failed.stderr.split())
    assert hub.store.jobs
    before = len(hub.store.jobs.all("tester"))
    done = _run(hub, file, bucket)
    assert done.returncode == 0, done.stderr
    assert len(hub.store.jobs.all("tester")) == before + 1  # the other task had finished
    assert len(_rows(RemoteFolder(bucket))) == PAIRS


def test_jobs_that_nobody_waits_for_are_ended(hub: LocalHub) -> None:
    api = HfApi(endpoint=hub.endpoint, token=hub.store.tokens.of_role("write"))

    def start(run: str, seconds: str) -> Any:
        return api.run_job(image="x", command=["sleep", seconds], labels={RUN_LABEL: run}, namespace="tester")

    left, other = start("a", "60"), start("b", "60")
    fleet = Fleet(api, "tester", {RUN_LABEL: "a"})
    assert [job.id for job in fleet.live()] == [left.id]
    fleet.end()
    assert fleet.live() == []
    assert api.inspect_job(job_id=left.id).status.stage == "CANCELED"
    assert api.inspect_job(job_id=other.id).status.stage == "RUNNING"


def test_what_a_job_has_said_last(hub: LocalHub) -> None:
    api = HfApi(endpoint=hub.endpoint, token=hub.store.tokens.of_role("write"))
    command = ["python", "-c", "print('first'); print('no such package'); print(); raise SystemExit(2)"]
    job = api.run_job(image="x", command=command, labels={RUN_LABEL: "a", "part": "1"}, namespace="tester")
    while api.inspect_job(job_id=job.id).finished_at is None:
        time.sleep(0.05)
    fleet = Fleet(api, "tester", {RUN_LABEL: "a"})
    assert fleet.said(part="1") == f"job {job.id} ended as ERROR (Job failed with exit code: 2): no such package"
    assert fleet.said(part="2") is None
