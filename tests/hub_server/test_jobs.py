"""Jobs of a local Hub, asked for by the genuine client."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, JobInfo
from huggingface_hub.errors import HfHubHTTPError

from deepwriting.hub.local.jobs import without_uv
from deepwriting.hub.local.server import LocalHub

#: What a job of these tests may take (seconds); most take a tenth.
_LIMIT = 30.0
_IMAGE = "python:3.11"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub", user="tester", jobs=True).running() as running:
        yield running


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=hub.store.tokens.of_role("write"))


def _until(done: Callable[[], Any]) -> Any:
    end = time.monotonic() + _LIMIT
    while not (found := done()):
        assert time.monotonic() < end, "the job takes too long"
        time.sleep(0.02)
    return found


def _ended(api: HfApi, job: JobInfo) -> JobInfo:
    def look() -> JobInfo | None:
        found = api.inspect_job(job_id=job.id)
        return found if found.finished_at else None

    found: JobInfo = _until(look)
    return found


def _logs(api: HfApi, job: JobInfo) -> list[str]:
    return list(api.fetch_job_logs(job_id=job.id))


def test_a_job_sees_its_environment_and_its_secrets_and_nothing_of_ours(
    api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_FOR_JOBS", "mine")
    code = "import os; print([os.environ.get(n) for n in ('A', 'B', 'NOT_FOR_JOBS')]); print(os.environ['HF_ENDPOINT'])"
    job = api.run_job(image=_IMAGE, command=["python", "-c", code], env={"A": "1"}, secrets={"B": "2"})
    found = _ended(api, job)
    assert (found.status.stage, found.status.message) == ("COMPLETED", None)
    assert _logs(api, job) == ["['1', '2', None]", api.endpoint]
    assert found.environment == {"A": "1"}
    assert "2" not in str(found.secrets)


@pytest.mark.filterwarnings("ignore:.*is experimental")
def test_uv_jobs_run_with_the_packages_of_this_interpreter(api: HfApi) -> None:
    job = api.run_uv_job(
        "python", script_args=["-c", "import sys; print(sys.executable)"], dependencies=["nothing==1"], python="3.11"
    )
    assert _ended(api, job).status.stage == "COMPLETED"
    assert _logs(api, job) == [sys.executable]


def test_a_job_that_fails_says_with_which_code(api: HfApi) -> None:
    job = api.run_job(image=_IMAGE, command=["python", "-c", "raise SystemExit(3)"])
    status = _ended(api, job).status
    assert (status.stage, status.message) == ("ERROR", "Job failed with exit code: 3")


def test_a_killed_job_has_failed(api: HfApi, hub: LocalHub) -> None:
    job = api.run_job(image=_IMAGE, command=["sleep", "60"])
    assert hub.store.jobs
    kept = hub.store.jobs.find("tester", job.id)
    assert kept
    assert kept.process
    kept.process.kill()
    status = _ended(api, job).status
    assert (status.stage, status.message) == ("ERROR", "Job failed with exit code: 137")


def test_a_command_that_does_not_exist_is_the_jobs_failure(api: HfApi) -> None:
    job = api.run_job(image=_IMAGE, command=["no-such-program"])
    status = _ended(api, job).status
    assert status.stage == "ERROR"
    assert "cannot be started" in str(status.message)


def test_a_job_that_takes_too_long_is_ended(api: HfApi) -> None:
    job = api.run_job(image=_IMAGE, command=["sleep", "60"], timeout=1)
    status = _ended(api, job).status
    assert (status.stage, status.message) == ("ERROR", "Job timeout")


def test_cancelling_ends_what_the_job_has_started_too(api: HfApi, hub: LocalHub) -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    job = api.run_job(image=_IMAGE, command=["python", "-c", code])
    log = hub.store.folder / "jobs" / job.id / "log.txt"
    pid = int(_until(log.read_text))
    os.kill(pid, 0)
    api.cancel_job(job_id=job.id)
    assert _ended(api, job).status.stage == "CANCELED"
    _until(lambda: not _alive(pid))


def test_jobs_end_with_the_hub(tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub", user="tester", jobs=True).running() as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.store.tokens.of_role("write"))
        job = api.run_job(image=_IMAGE, command=["sleep", "60"])
        assert hub.store.jobs
        kept = hub.store.jobs.find("tester", job.id)
    assert kept
    assert kept.process
    assert kept.process.poll() == -signal.SIGKILL


def test_jobs_are_listed_by_label_and_stage_newest_first(api: HfApi) -> None:
    first = api.run_job(image=_IMAGE, command=["true"], labels={"run": "a", "part": "1"})
    _ended(api, first)
    second = api.run_job(image=_IMAGE, command=["sleep", "60"], labels={"run": "a", "part": "2"})
    api.run_job(image=_IMAGE, command=["true"], labels={"run": "b"})
    assert [job.id for job in api.list_jobs(namespace="tester", labels={"run": "a"})] == [second.id, first.id]
    assert [job.id for job in api.list_jobs(namespace="tester", labels={"run": "a"}, status="RUNNING")] == [second.id]
    assert [job.id for job in api.list_jobs(namespace="tester", labels={"run": "a", "part": "1"})] == [first.id]


def test_what_is_refused(api: HfApi, hub: LocalHub, tmp_path: Path) -> None:
    with pytest.raises(HfHubHTTPError, match="flavor: 'toaster' is not one of cpu-basic"):
        api.run_job(image=_IMAGE, command=["true"], flavor="toaster")
    with pytest.raises(HfHubHTTPError, match="Job not found"):
        api.inspect_job(job_id="0" * 24)
    reader = HfApi(endpoint=hub.endpoint, token=hub.store.tokens.of_role("read"))
    with pytest.raises(HfHubHTTPError, match="write token"):
        reader.run_job(image=_IMAGE, command=["true"])
    with LocalHub(tmp_path / "other", user="tester").running() as plain:
        without = HfApi(endpoint=plain.endpoint, token=plain.store.tokens.of_role("write"))
        with pytest.raises(HfHubHTTPError, match="start it with: deepwriting hub --local --jobs"):
            without.run_job(image=_IMAGE, command=["true"])


def test_what_uv_would_run() -> None:
    assert without_uv(["sleep", "1"]) == ["sleep", "1"]
    assert without_uv(["uv", "run", "--with", "x", "a.py", "b"]) == [sys.executable, "a.py", "b"]
    with pytest.raises(ValueError, match="does not know '--isolated'"):
        without_uv(["uv", "run", "--isolated", "python"])
    with pytest.raises(ValueError, match="names no command"):
        without_uv(["uv", "run", "--with", "x"])


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
