"""Does a run that is killed again and again end as one that nobody touched?

    python benchmarks/random_kills.py --kills 50 --workers 1 2

Runs ``deepwriting run`` over short pairs with a one-layer model in float32, once undisturbed, then under ``kill -9`` at
random moments until the number of kills is reached; whenever a run comes to its end it is compared and a new one is
begun. A third of the kills comes at a random time after the start (imports, loading), the others shortly after the run
has entered a stage that is drawn at random, so that all phases are met however fast the machine is. Where each kill hit
is read from the run's folder.

Compared with the undisturbed run: every column of the rows of the search, kept and rejected, in order (numbers within
1e-4: another process computes the same score in other pieces); ids and texts of the rows of the last shards; that no
row is there twice or missing. And every journal: one header, one start, steps 1, 2, 3 … and one end a row, none twice.

Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from common import print_table
from pocket import pocket_model, write_pairs, write_recipe

from deepwriting.rundir import RunFolder
from deepwriting.stages import STAGE_NAMES
from deepwriting.stages.rows import stage_documents

#: Numbers of equal rows may differ by this: scores in float32 depend on how a text was cut into pieces.
TOLERANCE = 1e-4
#: Share of the kills that come at any time after the start, whatever the run is doing.
BLIND_SHARE = 0.34
#: Share of the kills in the search that wait for its first new step: loading the engine takes longer than many steps.
STEPS_SHARE = 0.75
#: Seconds between two looks at the run's folder.
LOOK_SECONDS = 0.002
#: A stage draws this much of the kills: nearly all work of a run is in the search.
WEIGHTS = {name: 6 if name == "search" else 1 for name in STAGE_NAMES}


class Life:
    """One process that works on the run."""

    def __init__(self, recipe: Path, folder: Path, log: Path):
        self.folder, self.born = folder, time.time()
        self.journals = self._journal_bytes()
        finished = (RunFolder(folder).stage(name).record() for name in STAGE_NAMES)
        unfinished = [n for n, r in zip(STAGE_NAMES, finished, strict=True) if r is None or r.state != "finished"]
        #: Stages to wait for: nothing behind an unfinished search, or the search would pass without a kill.
        self.stages = unfinished[: unfinished.index("search") + 1] if "search" in unfinished else unfinished
        command = [sys.executable, "-m", "deepwriting", "run", str(recipe), "--run-dir", str(folder)]
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)

    def __enter__(self) -> Life:
        return self

    def __exit__(self, *unused: object) -> None:
        if not self.over:  # this script was interrupted
            self.kill()

    @property
    def over(self) -> bool:
        """Whether the process has ended by itself."""
        return self.process.poll() is not None

    def wait_for(self, stage: str, *, steps: bool) -> None:
        """Wait until this life has begun a stage (with ``steps``: written to a journal of the search), or is over."""
        record = self.folder / stage / "stage.json"
        while not self.over and not (self._has_grown() if steps else self._touched(record)):
            time.sleep(LOOK_SECONDS)

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the process ends."""
        until = time.monotonic() + seconds
        while not self.over and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))

    def kill(self) -> bool:
        """Kill -9 the process; whether it was still alive. Its workers end by themselves when it is gone."""
        self.process.send_signal(signal.SIGKILL)
        return self.process.wait() == -signal.SIGKILL

    def phase(self) -> str:
        """What the process was doing when it died, as its files tell."""
        begun = [name for name in STAGE_NAMES if self._touched(self.folder / name / "stage.json")]
        if not begun:
            return "start: imports, reading the recipe"
        record = RunFolder(self.folder).stage(begun[-1]).record()
        assert record is not None
        if record.state == "finished":
            return "between stages" if begun[-1] != STAGE_NAMES[-1] else "after the last stage"
        if begun[-1] != "search":
            return f"stage {begun[-1]}"
        if not self._has_grown():
            return "search: loading or replaying"
        if any(self._touched(file) for file in (self.folder / "search" / "counts").glob("*.json")):
            return "search: shards being finished"
        return "search: steps being taken"

    def _journal_bytes(self) -> int:
        return sum(file.stat().st_size for file in (self.folder / "search" / "journal").glob("*.jsonl"))

    def _has_grown(self) -> bool:
        return self._journal_bytes() > self.journals

    def _touched(self, file: Path) -> bool:
        try:
            return file.stat().st_mtime >= self.born
        except FileNotFoundError:
            return False


def torn(folder: Path) -> int:
    """Journals whose last line is not whole."""
    found = 0
    for journal in (folder / "search" / "journal").glob("*.jsonl"):
        content = journal.read_bytes()
        found += bool(content) and not content.endswith(b"\n")
    return found


def rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of the search by kind, in the order of the shards."""
    return {kind: list(stage_documents(RunFolder(folder), "search", kind)) for kind in ("shards", "rejects")}


def differences(found: Any, expected: Any, where: str = "") -> list[str]:
    """Where two rows differ; numbers count as equal within the tolerance."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if found.keys() != expected.keys():
            return [f"{where}: columns {sorted(found.keys() ^ expected.keys())}"]
        return [d for key in expected for d in differences(found[key], expected[key], f"{where}.{key}")]
    if isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            return [f"{where}: {len(found)} items instead of {len(expected)}"]
        pairs = enumerate(zip(found, expected, strict=True))
        return [d for index, (a, b) in pairs for d in differences(a, b, f"{where}[{index}]")]
    if isinstance(expected, float) and isinstance(found, float):
        close = math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return [] if close else [f"{where}: {found} instead of {expected}"]
    return [] if found == expected else [f"{where}: {found!r:.80} instead of {expected!r:.80}"]


def journal_faults(folder: Path) -> list[str]:
    """Journals that hold something twice or out of order."""
    faults = []
    for journal in sorted((folder / "search" / "journal").glob("*.jsonl")):
        header, *events = [orjson.loads(line) for line in journal.read_bytes().splitlines()]
        if header["event"] != "header":
            faults.append(f"{journal.name} has no header")
        by_row: dict[str, list[Any]] = {}
        for event in events:
            by_row.setdefault(event.get("row", "?"), []).append((event["event"], event.get("step")))
        for row, seen in by_row.items():
            steps = [("step", step) for step in range(1, sum(kind == "step" for kind, _ in seen) + 1)]
            if seen not in ([("start", None), *steps, ("end", None)], [("end", None)]):
                faults.append(f"{journal.name}, row {row}: {seen}")
    return faults


def compare(folder: Path, undisturbed: Path) -> list[str]:
    """Everything in which a run differs from the undisturbed one."""
    found, expected = rows(folder), rows(undisturbed)
    faults = journal_faults(folder)
    ids = Counter(doc["metadata"]["row_id"] for docs in found.values() for doc in docs if "row_id" in doc["metadata"])
    faults += [f"row {row} is there {count} times" for row, count in ids.items() if count > 1]
    for kind in expected:
        faults += differences(found[kind], expected[kind], kind)
    last = [
        [(d["metadata"]["row_id"], d["text"]) for d in stage_documents(RunFolder(run), "annotate")]
        for run in (folder, undisturbed)
    ]
    if last[0] != last[1]:
        faults.append(f"annotate: {len(last[0])} rows, or other ones, instead of {len(last[1])}")
    return faults


def run_to_end(recipe: Path, folder: Path, log: Path) -> float:
    """Let a run come to its end; its seconds."""
    began = time.monotonic()
    with Life(recipe, folder, log) as life:
        if life.process.wait() != 0:
            raise SystemExit(f"the run failed; see {log}:\n{log.read_text()[-2000:]}")
    return time.monotonic() - began


def trial(options: argparse.Namespace, workers: int, root: Path) -> list[str]:
    """All kills with one number of workers; what differs in the end."""
    root.mkdir()
    tasks = 1 if workers == 1 else 2 * workers
    recipe = write_recipe(
        root / "kills.yaml", write_pairs(root / "pairs.jsonl", options.pairs), pocket_model(root),
        search={"max_steps": options.steps, "rollouts": options.rollouts, "concurrency": options.concurrency},
        generator={"device": options.device}, execution={"tasks": tasks, "workers": workers},
    )  # fmt: skip
    log, rng = root / "output.txt", random.Random(f"{options.seed}:{workers}")
    undisturbed = root / "undisturbed"
    seconds = run_to_end(recipe, undisturbed, log)
    whole = rows(undisturbed)
    print(
        f"\n{workers} workers, {tasks} tasks: the undisturbed run takes {seconds:.0f} s "
        f"({len(whole['shards'])} rows, {len(whole['rejects'])} rejects)"
    )
    phases, faults = Counter[str](), list[str]()
    kills = runs = torn_lines = 0
    folder = root / "run0"
    while kills < options.kills:
        with Life(recipe, folder, log) as life:
            if not life.stages or rng.random() < BLIND_SHARE:
                life.sleep(rng.uniform(0, min(seconds, options.blind)))
            else:
                [stage] = rng.choices(life.stages, [WEIGHTS[name] for name in life.stages])
                life.wait_for(stage, steps=stage == "search" and rng.random() < STEPS_SHARE)
                life.sleep(rng.expovariate(1 / options.delay))
            killed = life.kill()
        if killed:
            kills += 1
            phases[life.phase()] += 1
            torn_lines += torn(folder)
        elif life.process.returncode != 0:
            raise SystemExit(f"a life ended with code {life.process.returncode}; see {log}:\n{log.read_text()[-2000:]}")
        else:
            faults += compare(folder, undisturbed)
            runs += 1
            folder = root / f"run{runs}"
    run_to_end(recipe, folder, log)
    faults += compare(folder, undisturbed)
    print_table([{"killed in": phase, "kills": count} for phase, count in phases.most_common()])
    searching = sum(count for phase, count in phases.items() if phase.startswith("search"))
    print(
        f"{kills} kills, {searching} of them in the search; {runs + 1} runs brought to their end; "
        f"{torn_lines} torn journal lines; {len(faults)} differences"
    )
    for fault in faults[:20]:
        print("  ", fault)
    return faults


def main() -> None:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="for each number of workers")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--rollouts", type=int, default=3, help="a pair; the search is to be most of a run")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--device", default="cpu", help="where the model is computed")
    parser.add_argument("--delay", type=float, default=1.0, help="mean time in a stage until the kill (seconds)")
    parser.add_argument("--blind", type=float, default=8.0, help="latest time of a kill after the start (seconds)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the runs; it must not exist [a temporary one]")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))  # so that no life outlives this script
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch) / "kills"
        root.mkdir(parents=True)
        faults = [fault for workers in options.workers for fault in trial(options, workers, root / f"workers{workers}")]
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
