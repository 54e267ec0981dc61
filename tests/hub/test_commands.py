"""``deepwriting verify`` and ``deepwriting diff`` as a user meets them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deepwriting.cli import main

Call = Callable[..., int]


@pytest.fixture(scope="module")
def call() -> Call:
    """Runs the command line and returns its exit code."""

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return int(ended.value.code or 0)

    return run


def test_verify_says_what_it_looked_at(call: Call, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("verify", str(built)) == 0
    shown = capsys.readouterr()
    assert "All 10 checks passed." in shown.out
    assert f"deepwriting verify {built} --rescore 5" in shown.err


def test_findings_are_in_the_json_and_in_the_exit_code(
    call: Call, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(built, tmp_path / "small")
    shutil.rmtree(folder / "data/sft")
    assert call("verify", str(folder), "--json") == 3
    told = json.loads(capsys.readouterr().out)
    files = next(check for check in told["checks"] if check["name"] == "files")
    assert (told["state"], files["problems"][0]["kind"]) == ("failed", "missing")


def test_a_scorer_that_is_not_there_is_no_finding(
    call: Call, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("verify", str(built), "--rescore", "1", "--scorer-path", str(tmp_path / "none")) == 4
    shown = capsys.readouterr().out
    assert "Nothing wrong was found; not checked: scores" in shown
    assert "--scorer-path" in shown


def test_wrong_use_and_no_dataset(call: Call, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("verify", str(built), "--seed", "3") == 2
    assert "--seed is about rescoring" in capsys.readouterr().err
    assert call("verify", str(built), "--rescore", "1", "--device", "gpu") == 2
    assert "--device 'gpu'; allowed: auto, cpu, cuda" in capsys.readouterr().err
    assert call("verify", str(built), "--rescore", "1", "--prompts", "mine") == 1
    assert "prompts 'mine' is neither a bundled set" in capsys.readouterr().err
    assert call("verify", str(tmp_path)) == 1
    shown = capsys.readouterr().err
    assert "it is not a built dataset" in shown
    assert "→ name the folder of a dataset" in shown
    assert call("verify", "no such thing") == 1
    assert "it is no repository either" in capsys.readouterr().err


def test_diff_in_three_forms(call: Call, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("diff", str(built), str(built)) == 0
    assert "Nothing changed." in capsys.readouterr().out
    assert call("diff", str(built), str(built), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["required_bump"], told["configs"]["all"]["rows"]["changed"]) == ("none", 0)
    assert call("diff", str(built), f"{built}@1.0.0", "--markdown") == 0
    assert capsys.readouterr().out.startswith("## small 1.0.0 (after 1.0.0)")
    assert call("diff", str(built), str(built), "--json", "--markdown") == 2


def test_diff_of_a_damaged_file_says_what_to_do(
    call: Call, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(built, tmp_path / "small")
    next((folder / "data/all").glob("train-*")).write_bytes(b"PAR1")
    assert call("diff", str(built), str(folder)) == 1
    shown = capsys.readouterr().err
    assert "data/all/train-00000-of-00001.parquet in" in shown
    assert "→ deepwriting verify tells" in shown
