"""Arguments that cannot be meant: refused before a folder or a Hub is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepwriting.cli import main


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["{here}", "--repo", "essays"], "expected namespace/name"),
        (["{here}", "--repo", "a/../b"], "expected namespace/name"),
        (["{here}", "--repo", "me/essays", "--version", "1.2"], "expected three numbers, such as 1.2.0"),
        (["{here}", "--repo", "me/essays", "--version", "v1.2.0"], "expected three numbers, such as 1.2.0"),
        (["{here}", "--repo", "me/essays", "--branch", "1.2.0"], "a version is a tag"),
        (["{here}", "--repo", "me/essays", "--reason", "x"], "--reason goes with --yank"),
        (["{here}", "--repo", "me/essays", "--allow-personal-data", "names"], "'names' is not one of"),
        (["{here}", "--repo", "me/essays", "--timeout", "0"], "0.0 is not in the range"),
        (["--repo", "me/essays"], "missing DIR"),
        (["nowhere", "--repo", "me/essays"], "there is no folder 'nowhere'"),
        (["{here}"], "Missing option '--repo'"),
        (["--repo", "me/essays", "--yank", "--version", "1.0.0"], "--yank needs the version and the reason"),
        (["--repo", "me/essays", "--yank", "--reason", "x"], "--yank needs the version and the reason"),
        (
            ["{here}", "--repo", "me/essays", "--yank", "--version", "1.0.0", "--reason", "x"],
            "--yank takes neither a folder nor --dry-run",
        ),
    ],
)
def test_usage(arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["publish", *(argument.replace("{here}", str(tmp_path)) for argument in arguments)])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
