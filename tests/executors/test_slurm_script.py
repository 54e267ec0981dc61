"""What Slurm is asked for; needs no cluster."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.errors import ExecutorError
from deepwriting.executors import runner
from deepwriting.executors.slurm_script import clock, command
from deepwriting.pipeline import describe_run
from deepwriting.recipe import Recipe
from deepwriting.remote.places import working_copy
from deepwriting.sections.execution import StageExecution

Make = Callable[..., tuple[Recipe, str]]


def needs(**changes: Any) -> StageExecution:
    values = {"tasks": 8, "workers": 2, "cpus": 2, "memory_gb": 4.0, "gpus": 0, "time": None} | {
        "partition": None, "image": None,
    }  # fmt: skip
    return StageExecution.model_validate(values | changes)


def scripts(recipe: Recipe, folder: Path) -> dict[str, str]:
    """The scripts that a dry run shows, by job."""
    stages = describe_run(recipe, folder, executor="slurm")
    return {job["name"]: job["script"] for stage in stages for job in stage["jobs"]}


def options(script: str) -> dict[str, str]:
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script, re.MULTILINE)
    return dict(found)


def test_a_dry_run_shows_a_script_for_every_phase_and_writes_nothing(recipe_for: Make, tmp_path: Path) -> None:
    execution = {
        "tasks": 8, "workers": 2, "time": "2h", "partition": "cpu",
        "stages": {"search": {"gpus": 1, "cpus": 4, "memory_gb": 16, "partition": "gpu", "tasks": 16}},
        "slurm": {"account": "us", "qos": "low", "options": {"constraint": "a100|h100", "exclusive": ""}},
    }  # fmt: skip
    recipe, _ = recipe_for(tmp_path / "pairs.jsonl", execution=execution)
    found = scripts(recipe, tmp_path / "run")
    assert list(found)[:2] == ["short-source", "short-source-settle"]
    search = options(found["short-search"])
    assert search.pop("output") == f"{tmp_path}/run/search/logs/slurm/%A_%a.out"
    assert search.pop("comment") == f'"deepwriting {tmp_path}/run"'
    assert search == {
        "job-name": "short-search", "array": "0-15%2", "nodes": "1", "ntasks": "1", "cpus-per-task": "4",
        "mem": "15259M", "gres": "gpu:1", "time": "0-02:00:00", "partition": "gpu", "qos": "low", "account": "us",
        "open-mode": "append", "requeue": "", "signal": "B:USR1@120", "kill-on-invalid-dep": "yes",
        "constraint": '"a100|h100"', "exclusive": "",
    }  # fmt: skip
    assert options(found["short-search-settle"])["array"] == "0-0"
    assert "gres" not in options(found["short-dedupe"]), "only tasks with models get GPUs"
    assert not (tmp_path / "run").exists()


def test_tasks_that_only_ask_servers_elsewhere_get_no_gpu(recipe_for: Make, tmp_path: Path) -> None:
    server = {"engine": "server", "model": "m"}
    started, elsewhere = server | {"start": {"program": "vllm"}}, server | {"endpoints": "/shared/endpoints"}
    for scorer, asking in (
        (started, ["short-select-classify", "short-search"]),
        (started | elsewhere, []),  # what `deepwriting serve` starts
        (server | {"urls": ["http://node1:8000/v1"]}, []),
    ):
        engines = {"generator": elsewhere, "scorer": scorer}
        changes = {"engines": engines, "select": {"classifier": "likelihood"}, "execution": {"gpus": 1}}
        recipe, _ = recipe_for(tmp_path / "pairs.jsonl", **changes)
        found = scripts(recipe, tmp_path / "run")
        assert [name for name, script in found.items() if "gres" in options(script)] == asking


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_scripts_are_sound_wherever_the_run_is(recipe_for: Make, tmp_path: Path) -> None:
    recipe, _ = recipe_for(tmp_path / "pairs.jsonl", execution={"slurm": {"setup": "echo 'one'\nmodule load two"}})
    folder = tmp_path / """it's 100% "mine" $HOME"""
    for script in scripts(recipe, folder).values():
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        assert "100%% " in options(script)["output"]
        assert "\nset -e\necho 'one'\nmodule load two\nset +e\n" in script


def test_more_options_replace_those_that_say_the_same(recipe_for: Make, tmp_path: Path) -> None:
    more = {"gpus-per-node": "a100:1", "mem-per-cpu": "2G", "time": "10"}
    execution = {"gpus": 1, "slurm": {"options": more}}
    recipe, _ = recipe_for(tmp_path / "pairs.jsonl", execution=execution)
    found = options(scripts(recipe, tmp_path / "run")["short-search"])
    assert found.items() >= more.items()
    assert not {"gres", "mem"} & found.keys()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"options": {"array": "0-3"}}, "'array' cannot be chosen, the run depends on it"),
        ({"options": {"--constraint": "a100"}}, "'--constraint' is no long option of sbatch; write it without dashes"),
    ],
    ids=["own", "dashes"],
)
def test_options_that_would_break_the_run_are_refused(
    section: dict[str, Any], message: str, recipe_for: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, _ = recipe_for(tmp_path / "pairs.jsonl", execution={"executor": "slurm", "slurm": section})
    with_sbatch(tmp_path, monkeypatch)
    with pytest.raises(ExecutorError, match=rf"^execution.slurm.options: {message}"):
        runner(recipe).check(tmp_path / "run")


def test_a_time_limit_leaves_time_to_work(recipe_for: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = {"executor": "slurm", "stages": {"search": {"time": "3m"}}}
    recipe, _ = recipe_for(tmp_path / "pairs.jsonl", execution=execution)
    with_sbatch(tmp_path, monkeypatch)
    with pytest.raises(ExecutorError, match=r"^stage 'search' has 180 s for each task, .*: allow at least 240 s$"):
        runner(recipe).check(tmp_path / "run")


def with_sbatch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with sbatch, and nothing else of Slurm."""
    (folder / "bin").mkdir()
    (folder / "bin" / "sbatch").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(folder / "bin"))


def test_images_run_in_what_fits_them() -> None:
    folders = [Path("/home/me"), Path("/runs/a b")]
    call = "python3 -m datatrove.tools.launch_pickled_pipeline /p"
    for image in ("writer.sif", "docker://ghcr.io/me/writer:1"):
        assert command("/py", Path("/p"), needs(image=image, gpus=1), folders=folders) == (
            f"apptainer exec --nv --bind /home/me --bind '/runs/a b' --pwd /home/me {image} {call}"
        )
    assert command("/py", Path("/p"), needs(image="ghcr.io#me/writer"), folders=folders) == (
        "srun --ntasks=1 '--container-image=ghcr.io#me/writer' "
        "'--container-mounts=/home/me:/home/me,/runs/a b:/runs/a b' "
        f"--container-workdir=/home/me {call}"
    )
    assert command("/py", Path("/p"), needs(), folders=folders) == "/py" + call.removeprefix("python3")


def test_time_limits_are_written_as_slurm_reads_them() -> None:
    assert [clock(seconds) for seconds in (60, 3661, 90_000)] == ["0-00:01:00", "0-01:01:01", "1-01:00:00"]


def test_a_remote_run_needs_a_copy_that_all_nodes_see(recipe_for: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, _ = recipe_for(Path("pairs.jsonl"), execution={"executor": "slurm"})
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("DEEPWRITING_COPIES", raising=False)
    with pytest.raises(ExecutorError, match=r"the nodes do not see .*s3%3A%2F%2Fbucket%2Frun; allowed: .*_COPIES$"):
        runner(recipe).check(working_copy("s3://bucket/run"))
    monkeypatch.setenv("DEEPWRITING_COPIES", "/shared")
    with pytest.raises(ExecutorError, match="sbatch is not on this machine"):  # the next thing that is looked for
        runner(recipe).check(working_copy("s3://bucket/run"))
