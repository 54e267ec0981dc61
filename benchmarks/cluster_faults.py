"""What do killed workers, servers and nodes, full and read-only disks, wrong clocks and double starts cost a run?

    python benchmarks/cluster_faults.py --executors local ray slurm jobs --kills 10

Every executor gets a cluster of its own on this machine (``fault_grounds.py``), and the same recipe: short pairs, a
one-layer model behind two servers (``fault_server.py``), which compute every request alone, so that every way of
running gives the same rows to the last digit. First a run that nobody touches, on every executor; then:

    kills       kill -9 of a worker, a server, a node (what there is: the process that drives the run) drawn at random
                while the search runs, until there were ``--kills``; a run that ends is compared and a new one begun
    full disk   the disk with the run has no byte left while the search runs; later there is room again
    read-only   the folder cannot be written from some moment on; later it can
    clocks      the driver's clock is three hours ahead, half of the tasks' too; then the driver is killed, and one goes
                on whose clock is three hours behind
    twice       the same run is started again while it goes on, here, and as if from a machine that knows of no locks

Whenever a driver ends with an error, the same command is given again, as a person would. Printed for each: rows lost,
rows twice, rows that differ (also in the journal: a step twice or missing), steps done again, and how many were under
way in what was killed at most; time lost against the undisturbed run; what a driver said that was refused or stopped.

Exit code 1 if rows were lost, twice or different, more steps were repeated than were under way, or a second start was
not refused.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fault_clusters import GROUNDS
from fault_grounds import Driver, Ground, skewed, wrong_clock
from fault_outcome import Outcome, fill, heard, mounted, show
from fault_server import Servers, repeated_steps
from pocket import pocket_model, write_pairs, write_recipe

from deepwriting.rundir import RunFolder
from deepwriting.stages import STAGE_NAMES

FAULTS = ("kills", "full disk", "read-only", "clocks", "twice")
#: A driver that is refused says so within this time: three beats of the other's heart, and then some (seconds).
_REFUSED_S = 120.0
#: Seconds between two looks.
_LOOK_S = 0.25
#: Bytes in the servers' logs for one text, at least.
_TEXT = 60
#: Room on the disk that fills up (bytes).
_DISK = 64 << 20


class StuckError(RuntimeError):
    """A run that does not come to its end."""


class Trials:
    """All faults on one ground.

    Args:
        ground: the executor.
        servers: the model's servers.
        options: the script's arguments.
        reference: an undisturbed run of another executor, if there was one.
    """

    def __init__(self, ground: Ground, servers: Servers, options: argparse.Namespace, reference: Path | None):
        self.ground, self.servers, self.options = ground, servers, options
        self.reference = reference
        self.rng = random.Random(f"{options.seed}:{ground.name}")
        self.log = ground.root / "output.txt"
        self.undisturbed: Path = ground.root
        self.usual: list[dict[str, Any]] = []
        self.seconds = 0.0

    def recipe(self, *, skew: bool = False) -> Path:
        """The recipe on this ground."""
        root, options = self.ground.root, self.options
        search = {"max_steps": options.steps, "concurrency": options.concurrency}
        engine: dict[str, Any] = {"engine": "server", "model": str(self.servers.model), "dtype": "float32",
                                  "scoring": "sglang", **self.servers.setting}  # fmt: skip
        return write_recipe(
            root / ("skewed.yaml" if skew else "faults.yaml"), write_pairs(root / "pairs.jsonl", options.pairs),
            self.servers.model, search=search, generator=engine, execution=self.ground.execution(skew=skew),
        )  # fmt: skip

    def base(self) -> Outcome:
        """The run that nobody touches, compared with that of another executor."""
        outcome, place, before = Outcome(self.ground.name, "none"), self.ground.place("undisturbed"), self._written()
        began = time.monotonic()
        self._finish(outcome, self.recipe(), place)
        self.seconds = time.monotonic() - began
        self.usual = self._written()[len(before) :]
        self.undisturbed = self._kept(place)
        outcome.seconds = self.seconds
        if self.reference is not None:
            outcome.compare(self.undisturbed, self.reference)
        if outcome.restarts:
            outcome.problems.append(f"the undisturbed run had to be started {outcome.restarts + 1} times")
        return outcome

    def kills(self) -> Outcome:
        """Kill something at random, again and again."""
        outcome, kinds = Outcome(self.ground.name, "kills"), ("server", *self.ground.kinds)
        done, runs = Counter[str](), 0
        while outcome.times < self.options.kills:
            place = self.ground.place(f"kills{runs}")
            with self._measured(outcome):
                killing = self._killing(outcome, place, kinds, done)
                self._finish(outcome, self.recipe(), place, killing)
            outcome.compare(self._kept(place), self.undisturbed)
            runs += 1
        outcome.said.insert(
            0, ", ".join(f"{count} × {kind}" for kind, count in done.most_common()) + f" in {runs} runs"
        )
        return outcome

    def _killing(
        self, outcome: Outcome, place: str, kinds: tuple[str, ...], done: Counter[str]
    ) -> Callable[[Driver], None]:
        """Something to do again and again while a run goes on: kill, when it is time."""
        steps, next_at = self.servers.amount(), time.monotonic() + self.rng.expovariate(1 / self.options.delay)

        def look(driver: Driver) -> None:
            nonlocal steps, next_at
            if outcome.times >= self.options.kills or time.monotonic() < next_at or not self._searching(place):
                return
            if self.servers.amount() == steps:  # something that has worked since is to be killed
                return
            kind = self.rng.choice(kinds)
            if (
                self.servers.kill(self.rng.randrange(len(self.servers.ports)))
                if kind == "server"
                else self.ground.kill(kind, driver, place, self.rng)
            ):
                outcome.times += 1
                done[kind] += 1
                outcome.under_way += self._under_way(kind)
                steps = self.servers.amount()
            next_at = time.monotonic() + self.rng.expovariate(1 / self.options.delay)

        return look

    def _under_way(self, kind: str) -> int:
        """Most steps in what dies with one kill; a server's are asked for again, and its whole queue may be."""
        each = self.options.concurrency
        return each if kind == "worker" else each * self.ground.workers

    def full_disk(self) -> Outcome:
        """Leave no byte on the disk while the search runs."""
        outcome, disk = Outcome(self.ground.name, "full disk", times=1), self.ground.disk()
        disk.mkdir(parents=True, exist_ok=True)
        with mounted(disk, "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs"), self._measured(outcome):
            place = self.ground.place("full")
            filler = disk / "filler"
            driver = self._to_the_search(self.recipe(), place)
            fill(filler)
            self._stopped(outcome, driver)
            filler.unlink()
            self._finish(outcome, self.recipe(), place)
            outcome.compare(self._kept(place), self.undisturbed)
        return outcome

    def read_only(self) -> Outcome:
        """Let the folder be read-only from some moment on; and before a start."""
        outcome, disk = Outcome(self.ground.name, "read-only", times=2), self.ground.disk()
        place = self.ground.place("readonly")
        with self._measured(outcome):
            driver = self._to_the_search(self.recipe(), place)
            with mounted(disk, "--bind", str(disk)):
                subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)
                self._stopped(outcome, driver)
                again = self.ground.drive(self.recipe(), place, self._elsewhere())
                self._refused(outcome, again)
            self._finish(outcome, self.recipe(), place)
            outcome.compare(self._kept(place), self.undisturbed)
        return outcome

    def clocks(self) -> Outcome:
        """Let machines disagree about the time."""
        outcome, place = Outcome(self.ground.name, "clocks", times=1), self.ground.place("clocks")
        if wrong_clock() is None:
            outcome.said.append("left out: no C compiler on this machine")
            return outcome
        recipe = self.recipe(skew=True)
        self.ground.skew(True)
        try:
            with self._measured(outcome):
                driver = self._to_the_search(recipe, place, **skewed(3))
                status = subprocess.run(
                    [sys.executable, "-m", "deepwriting", "status", place, "--json"], capture_output=True, check=False,
                    env=os.environ | self.ground.environment(), text=True,
                )  # fmt: skip
                outcome.said.append(f"status: {heard(status)}")
                self._refused(outcome, self.ground.drive(recipe, place, self._elsewhere()))
                if self.ground.detached:
                    self._finish(outcome, recipe, place, driver=driver)
                else:
                    driver.kill()
                    outcome.under_way += self.options.concurrency * self.ground.workers
                    outcome.restarts += 1
                    self._finish(outcome, recipe, place, **skewed(-3))
                outcome.compare(self._kept(place), self.undisturbed)
        finally:
            self.ground.skew(False)
        return outcome

    def twice(self) -> Outcome:
        """Start the run again while it goes on."""
        outcome, place = Outcome(self.ground.name, "twice", times=2), self.ground.place("twice")
        recipe = self.recipe()
        with self._measured(outcome):
            driver = self._to_the_search(recipe, place)
            self._refused(outcome, self.ground.drive(recipe, place, self._elsewhere()))
            if os.getuid() == 0:
                # Another machine: its name is another one, and it does not see the lock.
                for lock in self.ground.disk().rglob("run.lock"):
                    lock.unlink()
                command = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh",
                           sys.executable, "-m", "deepwriting", "run", str(recipe), "--run-dir", place]  # fmt: skip
                other = {"DEEPWRITING_COPIES": str(self.ground.root / "elsewhere")}
                self._refused(outcome, Driver(command, self.ground.environment() | other, self._elsewhere()))
            self._finish(outcome, recipe, place, driver=driver)
        outcome.compare(self._kept(place), self.undisturbed)
        return outcome

    def _finish(
        self,
        outcome: Outcome,
        recipe: Path,
        place: str,
        meanwhile: Callable[[Driver], None] | None = None,
        driver: Driver | None = None,
        **environment: str,
    ) -> None:
        """Bring a run to its end, however often the command has to be given."""
        driver = driver or self.ground.drive(recipe, place, self.log, **environment)
        end = time.monotonic() + self.options.limit
        try:
            while True:
                self.ground.tend()
                for number in range(len(self.servers.ports)):
                    self.servers.start_one(number)
                if driver.over and driver.process.returncode == 0 and self._finished(place):
                    return
                if driver.over:
                    outcome.restarts += 1
                    if driver.process.returncode != -signal.SIGKILL:
                        outcome.said.append(driver.complaint)
                    driver = self.ground.drive(recipe, place, self.log, **environment)
                elif meanwhile is not None:
                    meanwhile(driver)
                if time.monotonic() > end:
                    raise StuckError(f"no end in {self.options.limit:.0f} s; see {self.log}")
                time.sleep(_LOOK_S)
        finally:
            if not driver.over:
                driver.kill()

    def _to_the_search(self, recipe: Path, place: str, **environment: str) -> Driver:
        """Start a run and wait until its search has taken some steps."""
        before, driver = self.servers.amount(), self.ground.drive(recipe, place, self.log, **environment)
        end = time.monotonic() + self.options.limit
        while self.servers.amount() < before + self.options.pairs * _TEXT or not self._searching(place):
            if driver.over or time.monotonic() > end:
                driver.kill()
                raise StuckError(f"the search does not begin: {driver.complaint}")
            time.sleep(_LOOK_S)
        return driver

    def _stopped(self, outcome: Outcome, driver: Driver) -> None:
        """Wait until a run that cannot go on has stopped and said why; its steps under way may be lost."""
        outcome.under_way += self.options.concurrency * self.ground.workers
        if driver.wait(self.options.limit) is None:
            outcome.problems.append("the driver goes on for ever")
            driver.kill()
        outcome.said.append(driver.complaint)
        outcome.restarts += 1

    def _refused(self, outcome: Outcome, driver: Driver) -> None:
        """See a start refused."""
        code = driver.wait(_REFUSED_S)
        if code in (None, 0):
            outcome.problems.append(f"a start that should be refused was not: {driver.complaint}")
            driver.kill()
        outcome.said.append(f"after {time.monotonic() - driver.began:.0f} s: {driver.complaint}")

    @contextlib.contextmanager
    def _measured(self, outcome: Outcome) -> Iterator[None]:
        """Count the steps done again, and the time."""
        before, began = len(self._written()), time.monotonic()
        yield
        outcome.seconds += time.monotonic() - began - self.seconds
        outcome.repeated += repeated_steps(self._written()[before:], self.usual)

    def _written(self) -> list[dict[str, Any]]:
        return self.servers.written()

    def _finished(self, place: str) -> bool:
        record = RunFolder(self.ground.read(place)).stage(STAGE_NAMES[-1]).record()
        return record is not None and record.state == "finished"

    def _searching(self, place: str) -> bool:
        return bool(self.ground.running(place))

    def _elsewhere(self) -> Path:
        """Where drivers print that are to be refused; not on the disk that is broken."""
        return self.servers.folder / f"{self.ground.name}-refused.txt"

    def _kept(self, place: str) -> Path:
        """The finished run, copied to where nothing happens to it."""
        import shutil

        kept = self.servers.folder.parent / "kept" / self.ground.name / place.rpartition("/")[2]
        shutil.copytree(self.ground.read(place), kept, ignore=shutil.ignore_patterns("*.lock"))
        return kept


def trials_on(
    name: str, root: Path, servers: Servers, options: argparse.Namespace, reference: Path | None
) -> tuple[list[Outcome], Path]:
    """All faults on one ground: outcomes, and the undisturbed run."""
    ground = GROUNDS[name](root / name, tasks=options.tasks, workers=options.workers)
    outcomes: list[Outcome] = []
    ground.start()
    try:
        trials = Trials(ground, servers, options, reference)
        print(f"{name}: undisturbed …", file=sys.stderr, flush=True)
        outcomes.append(trials.base())
        for fault in options.faults:
            print(f"{name}: {fault} …", file=sys.stderr, flush=True)
            try:
                outcome = getattr(trials, fault.replace(" ", "_").replace("-", "_"))()
                outcome.judge()
            except StuckError as stuck:
                outcome = Outcome(name, fault, problems=[str(stuck)])
            outcomes.append(outcome)
        return outcomes, trials.undisturbed
    finally:
        for driver in Driver.started:
            if not driver.over:
                driver.kill()
        ground.stop()
        show(outcomes)


def main() -> None:
    """Break everything, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executors", nargs="+", choices=GROUNDS, default=list(GROUNDS))
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--kills", type=int, default=10, help="for each executor")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=2, help="searches at a time in each task")
    parser.add_argument("--servers", type=int, default=2, help="of the one model")
    parser.add_argument("--delay", type=float, default=4.0, help="mean time between two kills (seconds)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=600.0, help="longest time for one run to its end (seconds)")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file, too")
    parser.add_argument("--keep", type=Path, help="folder for everything; it must not exist [a temporary one]")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))  # so that nothing outlives this script
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        root = options.keep or Path(scratch) / "faults"
        root.mkdir(parents=True)
        servers = Servers(root / "servers", pocket_model(root), options.servers)
        try:
            servers.start()
            reference: Path | None = None
            for name in options.executors:
                if (why := GROUNDS[name].why_not()) is not None:
                    print(f"{name} is left out: {why}", file=sys.stderr)
                    continue
                found, undisturbed = trials_on(name, root, servers, options, reference)
                outcomes += found
                reference = reference or undisturbed
        finally:
            servers.stop()
    if options.json:
        options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2, ensure_ascii=False))
    sys.exit(1 if any(outcome.problems for outcome in outcomes) else 0)


if __name__ == "__main__":
    main()
