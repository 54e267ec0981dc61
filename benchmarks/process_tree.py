"""A command with the memory of all processes that it starts."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds between two looks at the processes.
_EVERY = 0.3


@dataclass(frozen=True)
class Used:
    """What a command took.

    Attributes:
        code: its exit code.
        seconds: wall time.
        peak_mb: most memory of the whole tree at one time (sum of ``Pss``: shared pages are counted once).
        process_peak_mb: the highest high-water mark (``VmHWM``) of a single process.
        processes: most processes at one time.
        output: what it printed, stdout and stderr together.
    """

    code: int
    seconds: float
    peak_mb: float
    process_peak_mb: float
    processes: int
    output: str


def watched(command: Sequence[str], *, cwd: Path, check: bool = True) -> Used:
    """Run a command to its end.

    Args:
        command: program and arguments.
        cwd: working directory.
        check: end this script if the command fails.
    """
    began, peak, high, most = time.monotonic(), 0.0, 0.0, 0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                pids = _tree(process.pid)
                peak = max(peak, sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in pids) / 1024)
                high = max([high, *(_kilobytes(pid, "status", "VmHWM") / 1024 for pid in pids)])
                most = max(most, len(pids))
                time.sleep(_EVERY)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        text = output.read().decode("utf-8", errors="replace")
    if check and process.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with code {process.returncode}:\n{text[-3000:]}")
    return Used(process.returncode, time.monotonic() - began, peak, high, most, text)


def _tree(root: int) -> list[int]:
    """The process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


def _kilobytes(pid: int, file: str, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)
