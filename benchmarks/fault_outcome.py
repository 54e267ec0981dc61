"""What a fault did to a run, compared with a run that nobody touched; and disks that fill up or cannot be written."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import print_table
from random_kills import differences, journal_faults, rows


@dataclass
class Outcome:
    """What a fault did to a run.

    Attributes:
        executor: where it ran.
        fault: what happened.
        times: how often.
        lost: rows of the undisturbed run that are not there.
        twice: rows that are there more than once.
        different: rows and journals that are not as they should be.
        repeated: steps that were done again.
        under_way: most steps that can have been under way in what was killed.
        seconds: time beyond the undisturbed run's.
        restarts: times that the command was given again.
        said: what drivers said that were stopped or refused.
        problems: what is wrong.
    """

    executor: str
    fault: str
    times: int = 0
    lost: int = 0
    twice: int = 0
    different: int = 0
    repeated: int = 0
    under_way: int = 0
    seconds: float = 0.0
    restarts: int = 0
    said: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def compare(self, found: Path, expected: Path) -> None:
        """Add everything in which a finished run differs from the undisturbed one."""
        ours, theirs = rows(found), rows(expected)
        ids = [Counter(doc["metadata"]["row_id"] for docs in run.values() for doc in docs) for run in (ours, theirs)]
        self.lost += (ids[1] - ids[0]).total()
        self.twice += sum(count - 1 for count in ids[0].values() if count > 1)
        wrong = [fault for kind in theirs for fault in differences(ours[kind], theirs[kind], kind)]
        wrong += journal_faults(found)
        self.different += len(wrong)
        self.problems += wrong[:5]

    def judge(self) -> None:
        """Note what must not be."""
        if self.lost or self.twice or self.different:
            self.problems.append(f"{self.lost} rows lost, {self.twice} twice, {self.different} differences")
        if self.repeated > self.under_way:
            self.problems.append(f"{self.repeated} steps repeated, at most {self.under_way} were under way")


@contextlib.contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """Mount something over a folder; its owner may still have files of it open when it is taken away."""
    subprocess.run(["mount", *arguments, str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    """Take all room that is left on a disk."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as out:
        while out.write(bytes(1 << 16)):
            pass


def heard(status: subprocess.CompletedProcess[str]) -> str:
    """What `deepwriting status --json` tells of a run that goes on."""
    if status.returncode:
        return f"exit code {status.returncode}: {status.stderr.strip()[-200:]}"
    found: Mapping[str, Any] = json.loads(status.stdout)
    holder = found.get("running")
    return f"run by process {holder['pid']} on {holder['host']}" if holder else "nobody works on it"


def show(outcomes: list[Outcome]) -> None:
    """Print the outcomes of one executor."""
    print_table(
        [
            {
                "executor": o.executor, "fault": o.fault, "times": o.times, "rows lost": o.lost, "rows twice": o.twice,
                "differences": o.different, "steps repeated": o.repeated, "under way": o.under_way,
                "seconds lost": round(o.seconds, 1), "restarts": o.restarts,
            }
            for o in outcomes
        ]
    )  # fmt: skip
    for outcome in outcomes:
        for line in [*outcome.said, *(f"PROBLEM: {problem}" for problem in outcome.problems)]:
            print(f"  {outcome.executor}, {outcome.fault}: {line}")
    sys.stdout.flush()
