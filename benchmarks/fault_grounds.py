"""Where runs are broken on purpose: what every executor's ground can do, and this machine as the first of them.

A ground starts its cluster, says how a recipe uses it, and can kill a worker, a node, or the process that drives the
run. All of them are real: processes with their own daemons, killed with SIGKILL. Clusters are in ``fault_clusters.py``.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

#: Source of the library that shows a process another clock.
_CLOCK = Path(__file__).with_name("wrong_clock.c")


@functools.cache
def wrong_clock() -> Path | None:
    """The library, compiled; ``None`` on a machine without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = Path(tempfile.mkdtemp(prefix="wrong-clock-")) / "wrong_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_CLOCK)], check=True)
    atexit.register(shutil.rmtree, library.parent, ignore_errors=True)
    return library


def skewed(hours: int) -> dict[str, str]:
    """Environment of a process whose clock is wrong by some hours; its files get right times, as on a file server."""
    return {"LD_PRELOAD": str(wrong_clock()), "WRONG_CLOCK": str(hours * 3600)}


class Driver:
    """A process of ``deepwriting run`` and all that it starts itself.

    Args:
        command: what it runs.
        environment: what differs from this process's.
        log: what it prints is added to this file.
    """

    #: All that were started, so that none outlives the script.
    started: ClassVar[list[Driver]] = []

    def __init__(self, command: list[str], environment: dict[str, str], log: Path):
        self.began, self.log = time.monotonic(), log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._from = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self.started.append(self)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    @property
    def said(self) -> str:
        """What it has printed."""
        return self.log.read_bytes()[self._from :].decode(errors="replace")

    @property
    def complaint(self) -> str:
        """The line in which it says what was wrong."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        return next((line for line in lines if line.startswith("error:")), lines[-1] if lines else "nothing")

    def wait(self, seconds: float) -> int | None:
        """Its exit code; ``None`` if it takes longer."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        return None

    def kill(self) -> None:
        """Kill it with everything it has started itself."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Ground:
    """An executor on this machine.

    Args:
        root: folder for everything.
        tasks: tasks of every stage.
        workers: how many of them at a time.
    """

    name: ClassVar[str]
    #: What can be killed here beside servers.
    kinds: ClassVar[tuple[str, ...]] = ("worker", "node")
    #: Whether a run goes on without its driver.
    detached: ClassVar[bool] = False

    def __init__(self, root: Path, *, tasks: int, workers: int):
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.tasks, self.workers = root, tasks, workers

    @classmethod
    def why_not(cls) -> str | None:
        """Why there is no such cluster on this machine; ``None`` if nothing speaks against it."""
        return None

    def start(self) -> None:
        """Start the cluster."""

    def stop(self) -> None:
        """End it with all that runs on it."""

    def execution(self, *, skew: bool = False) -> dict[str, Any]:
        """The recipe's section; with ``skew`` the clocks of half the tasks are wrong where the cluster can do that."""
        del skew
        return {"executor": self.name, "tasks": self.tasks, "workers": self.workers}

    def place(self, name: str) -> str:
        """Where a run of that name has its folder."""
        return str(self.disk() / name)

    def disk(self) -> Path:
        """The folder on this machine in which the files of runs are written, and nothing else."""
        return self.root / "runs"

    def read(self, place: str) -> Path:
        """A folder from which the run's files can be read, as they are now."""
        return Path(place)

    def environment(self) -> dict[str, str]:
        """What a driver needs beside this process's environment."""
        return {}

    def drive(self, recipe: Path, place: str, log: Path, **extra: str) -> Driver:
        """Start or continue a run; ``extra`` is environment."""
        command = [sys.executable, "-m", "deepwriting", "run", str(recipe), "--run-dir", place]
        return Driver([*command, *self.arguments()], self.environment() | extra, log)

    def arguments(self) -> list[str]:
        """More arguments of ``deepwriting run``."""
        return []

    def kill(self, kind: str, driver: Driver, place: str, rng: random.Random) -> bool:
        """Kill something of a kind; whether there was one."""
        raise NotImplementedError

    def tend(self) -> None:
        """What an operator does now and then: brings dead nodes back."""

    def skew(self, on: bool) -> None:
        """Set the clocks of some nodes wrong, or right again."""

    def running(self, place: str) -> list[int]:
        """Processes that work on tasks of the search, as their notes say."""
        found = []
        for note in sorted((self.read(place) / "search" / "tasks" / "main").glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                said = json.loads(note.read_text())
                if said["state"] == "running" and Path(f"/proc/{said['pid']}").exists():
                    found.append(int(said["pid"]))
        return found


class LocalGround(Ground):
    """This machine: a node's death is that of the driver with all its workers."""

    name = "local"

    def kill(self, kind: str, driver: Driver, place: str, rng: random.Random) -> bool:
        """Kill a worker, or everything."""
        if kind == "node":
            driver.kill()
            return True
        workers = [pid for pid in self.running(place) if pid != driver.process.pid]
        return bool(workers) and killed(rng.choice(workers))


def killed(pid: int) -> bool:
    """Kill -9 a process; whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
