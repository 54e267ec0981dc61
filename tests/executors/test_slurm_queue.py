"""What cannot be asked of the cluster in ``test_slurm.py``: accounts need a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepwriting.executors import slurm_queue as queue

#: What sacct prints for two arrays and a single job, one of them with a task that still runs.
ACCOUNTS = """\
11_0|COMPLETED
11_1|CANCELLED by 1000
12_0|COMPLETED
12_1|RUNNING
12_1.batch|RUNNING
13|TIMEOUT
"""


def test_accounts_tell_what_is_left_where_nothing_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sacct = tmp_path / "sacct"
    sacct.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{ACCOUNTS}END\n", encoding="utf-8")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queue.left(["11", "12", "", "13"]) == ["12"]
    assert queue.left(["11+12"]) == ["11+12"], "a phase of two arrays is there as long as one of them is"
    assert queue.of_run("deepwriting /runs/mine") == [], "accounts do not tell whose jobs they are"
