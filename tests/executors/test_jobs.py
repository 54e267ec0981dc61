"""Hugging Face Jobs: what would be sent, and what is refused before anything is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

import deepwriting
from deepwriting.errors import ExecutorError
from deepwriting.executors import runner
from deepwriting.executors.jobs_request import captured, dependencies, label_of
from deepwriting.hub import patience
from deepwriting.hub.local.server import LocalHub
from deepwriting.hub.patience import patient_client
from deepwriting.pipeline import phase_jobs
from deepwriting.planning import plan
from deepwriting.recipe import Recipe, parse_recipe
from deepwriting.remote.places import working_copy
from deepwriting.rundir import RunFolder

URL = "hf://buckets/me/runs/mine"
RECIPE = """
name: mine
sources: [{{kind: pairs, path: "hf://datasets/me/pairs/pairs.jsonl", license: CC0-1.0}}]
engines: {{generator: {{model: me/model}}}}
execution:
  executor: jobs
  tasks: 4
  {more}
"""


def _recipe(more: str = "") -> Recipe:
    return parse_recipe(RECIPE.format(more=more))


def _described(recipe: Recipe, folder: Path) -> list[dict[str, Any]]:
    """What would be submitted for all phases, as `--dry-run` asks for it; a run that is new needs no network."""
    jobs = [job for planned in plan(recipe, RunFolder(folder)) for job in phase_jobs(planned)]
    return [runner(recipe).describe(job) for job in jobs]


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    monkeypatch.setenv("DEEPWRITING_COPIES", str(tmp_path / "copies"))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


def test_the_request_that_would_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "very secret")
    more = (
        "workers: 2\n  stages: {search: {partition: a10g-small, gpus: 1, time: 90m, image: me/vllm}}\n"
        "  jobs: {namespace: writers, secrets: [MY_KEY], dependencies: ['deepwriting[vllm]', einops]}"
    )
    described = _described(_recipe(more), working_copy(URL))
    [job] = [job for job in described if job["name"] == "mine-search"]
    assert (job["tasks"], job["workers"], job["log"]) == (4, 2, f"{URL}/search/logs")
    request = job["request"]
    assert (request["method"], request["url"]) == ("POST", "https://huggingface.co/api/jobs/writers")
    body = request["body"]
    assert body["command"] == [
        "uv", "run", "--with", f"deepwriting[vllm]=={deepwriting.__version__}", "--with", "einops",
        "--python", f"{sys.version_info.major}.{sys.version_info.minor}",
        "python", "-m", "datatrove.tools.launch_pickled_pipeline", f"{URL}/search/logs/executor.pik",
    ]  # fmt: skip
    assert (body["dockerImage"], body["flavor"], body["timeoutSeconds"]) == ("me/vllm", "a10g-small", 5400)
    assert body["environment"]["DATATROVE_JOB_ARRAY_INDEX"] == "0"
    assert body["secrets"] == {"HF_TOKEN": "***", "MY_KEY": "***"}
    assert body["labels"]["deepwriting_stage"] == "search"
    assert "very secret" not in str(described)
    assert "hf_of_the_test" not in str(described)


def test_every_phase_of_every_stage_is_a_request_and_its_gpus_are_for_models_only() -> None:
    requests = [job["request"]["body"] for job in _described(_recipe(), working_copy(URL))]
    names = [body["labels"]["name"] for body in requests]
    assert len(set(names)) == len(names) >= 6
    assert {body["flavor"] for body in requests} == {"cpu-basic"}
    assert {body["timeoutSeconds"] for body in requests} == {12 * 3600}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("jobs: {secrets: [NO_SUCH_VARIABLE]}", "hands over NO_SUCH_VARIABLE as a secret"),
        ("partition: toaster", "'source': execution.partition = 'toaster' is no hardware flavor .* allowed: cpu-basic"),
        ("gpus: 1", "asks for 1 GPU, and the hardware flavor 'cpu-basic' has none"),
    ],
    ids=["secret", "flavor", "gpu"],
)
def test_what_jobs_cannot_have(more: str, message: str) -> None:
    recipe = _recipe(more)
    with pytest.raises(ExecutorError, match=message):
        runner(recipe).check(working_copy(URL))


def test_a_folder_here_is_no_place_for_jobs(tmp_path: Path) -> None:
    with pytest.raises(ExecutorError, match=r"do not see .*/here; allowed: a remote folder, such as --run-dir hf://"):
        runner(_recipe()).check(tmp_path / "here")
    with pytest.raises(ExecutorError, match=r"do not see .*/here"):
        _described(_recipe(), tmp_path / "here")


def test_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(ExecutorError, match="hf auth login"):
        runner(_recipe()).check(working_copy(URL))


@pytest.mark.parametrize("key", ["sources", "engines", "benchmarks", "endpoints"])
def test_paths_that_only_this_machine_sees(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "thing"
    here.mkdir()
    text = RECIPE.format(more="")
    changed = {
        "sources": text.replace("hf://datasets/me/pairs/pairs.jsonl", str(here)),
        "engines": text.replace("me/model", str(here)),
        "endpoints": text.replace("{model: me/model}", f"{{engine: server, model: me/model, endpoints: {here}}}"),
        "benchmarks": text + f"decontaminate: {{benchmarks: [{{name: b, path: {here}}}]}}",
    }[key]
    recipe = parse_recipe(changed)
    with pytest.raises(ExecutorError, match=rf"do not see \S*{key}\S* = '{here}'"):
        runner(recipe).check(working_copy(URL))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:8642")  # jobs of a local Hub run here
    runner(recipe).check(working_copy(URL))


def test_this_package_is_installed_in_this_version_unless_the_recipe_says_which() -> None:
    version = deepwriting.__version__
    wanted = ["deepwriting", "deepwriting[a,b]", "deepwriting==1", "deepwriting @ git+https://x/y", "datasets"]
    assert dependencies(wanted) == [f"deepwriting=={version}", f"deepwriting[a,b]=={version}", *wanted[2:]]


def test_names_that_labels_may_have() -> None:
    assert label_of("My Recipe-dedupe-buckets!") == "my-recipe-dedupe-buckets"


def test_capturing_leaves_the_client_as_it_was(tmp_path: Path) -> None:
    request = {"image": "x", "command": ["y"], "namespace": "me", "token": "z"}
    assert captured(request)["body"]["command"] == ["y"]
    with LocalHub(tmp_path / "hub", user="me").running() as hub:
        assert HfApi(endpoint=hub.endpoint, token=hub.store.tokens.of_role("read")).whoami()["name"] == "me"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)


@pytest.mark.parametrize("kind", ["503", "cut"])
def test_a_question_is_asked_again(kind: str, tmp_path: Path, quick: None) -> None:
    del quick
    with LocalHub(tmp_path / "hub", user="me", testing=True).running() as hub, patient_client(tries=4):
        hub.store.faults.add(match="GET /api/whoami", nth=1, kind=kind, times=3)
        api = HfApi(endpoint=hub.endpoint, token=hub.store.tokens.of_role("read"))
        assert api.whoami()["name"] == "me"
        assert len(hub.store.faults.log()) == 4


def test_a_change_is_sent_once_and_patience_ends(tmp_path: Path, quick: None) -> None:
    del quick
    with LocalHub(tmp_path / "hub", user="me", testing=True).running() as hub, patient_client(tries=3):
        hub.store.faults.add(match="POST|GET", nth=1, kind="503", times=None)
        api = HfApi(endpoint=hub.endpoint, token=hub.store.tokens.of_role("write"))
        with pytest.raises(HfHubHTTPError, match="503"):
            api.run_job(image="x", command=["y"], namespace="me")
        assert len(hub.store.faults.log()) == 1
        with pytest.raises(HfHubHTTPError, match="503"):
            api.whoami()
        assert len(hub.store.faults.log()) == 4


def test_a_refusal_that_repeats_a_secret_does_not_tell_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        response = httpx2.Response(422, request=httpx2.Request("GET", "https://huggingface.co/api/whoami-v2"))
        raise HfHubHTTPError("…", response=response, server_message="not allowed: very secret for hf_of_the_test")

    monkeypatch.setenv("MY_KEY", "very secret")
    monkeypatch.setattr(HfApi, "whoami", refuse)
    recipe = _recipe("jobs: {secrets: [MY_KEY]}")
    [job, *_] = phase_jobs(plan(recipe, RunFolder(working_copy(URL)))[0])
    with pytest.raises(ExecutorError, match=r"^the Hub refuses \(422\): not allowed: \[redacted\] for \[redacted\]$"):
        runner(recipe).run(job)
