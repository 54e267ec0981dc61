"""Does a run on a Ray cluster whose workers and nodes die end as a local run that nobody touched?

    python benchmarks/ray_kills.py --workers-killed 12 --nodes-killed 4

Runs the pocket model over short pairs three times or more: with the local executor, on a cluster of two nodes that is
left alone, and on one where workers (``kill -9`` of one process) and whole nodes (``kill -9`` of all of a node's
processes at once, and a new node a moment later) die at random moments in the search, until so many have died. The
driver is never started again: the executor alone has to find out and give the tasks to others.

Compared with the local run: every column of the rows of the search, in order; that no row is missing or there twice;
and every journal: one header, one start, steps 1, 2, 3 … and one end a row. Whether rows and journals are the same
bytes is printed beside it: another process may compute a score in other pieces, which changes its last digits.

With ``--hosts`` the second node has a host name of its own, so that the next owner of its tasks cannot look their
processes up, and has to watch for three beats (45 seconds) whether they live. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from common import print_table
from pocket import pocket_model, write_pairs, write_recipe
from random_kills import compare, rows

#: Seconds between two looks at the run's folder.
LOOK_SECONDS = 0.05
#: A kill waits for this many new events in the journals, drawn anew each time: at least and at most.
NEW_EVENTS = (2, 30)
_CLUSTER = Path(__file__).parents[1] / "tests" / "clusters" / "ray_cluster.py"


def cluster_module() -> ModuleType:
    """The tests' script that starts clusters."""
    spec = importlib.util.spec_from_file_location("ray_cluster", _CLUSTER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Tally:
    """What was done to the runs, and what came of it."""

    workers: int = 0
    nodes: int = 0
    runs: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    same_bytes: dict[str, int] = field(default_factory=dict)


def start(recipe: Path, folder: Path, executor: str, log: Path) -> subprocess.Popen[bytes]:
    """Begin a run."""
    command = [
        sys.executable, "-m", "deepwriting", "run", str(recipe), "--run-dir", str(folder), "--executor", executor,
    ]  # fmt: skip
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output)


def to_end(recipe: Path, folder: Path, executor: str, log: Path) -> float:
    """Let a run come to its end; its seconds."""
    began = time.monotonic()
    if start(recipe, folder, executor, log).wait() != 0:
        raise SystemExit(f"the run failed; see {log}:\n{log.read_text()[-3000:]}")
    return time.monotonic() - began


def events(folder: Path) -> int:
    """Lines of all journals of the search."""
    return sum(file.read_bytes().count(b"\n") for file in (folder / "search" / "journal").glob("*.jsonl"))


def searching(folder: Path) -> list[int]:
    """Process ids of the tasks that are searching, as their notes tell."""
    found = []
    for note in (folder / "search" / "tasks" / "main").glob("*.json"):
        try:
            values = json.loads(note.read_text())
        except (OSError, ValueError):  # being replaced just now
            continue
        if values["state"] == "running" and Path(f"/proc/{values['pid']}").exists():
            found.append(values["pid"])
    return found


def same_bytes(folder: Path, expected: Path) -> dict[str, int]:
    """How many rows and journals of a run are to the byte those of another one."""
    found, whole = rows(folder), rows(expected)
    equal = sum(a == b for kind in whole for a, b in zip(found[kind], whole[kind], strict=False))
    journals = [file.name for file in sorted((expected / "search" / "journal").glob("*.jsonl"))]
    paths = [(folder / "search" / "journal" / name, expected / "search" / "journal" / name) for name in journals]
    return {
        "rows": sum(len(docs) for docs in whole.values()), "equal rows": equal, "journals": len(journals),
        "equal journals": sum(a.exists() and a.read_bytes() == b.read_bytes() for a, b in paths),
    }  # fmt: skip


def hurt(options: argparse.Namespace, recipe: Path, root: Path, cluster: Any, expected: Path, log: Path) -> Tally:
    """Run and kill until enough has died."""
    tally, rng = Tally(), random.Random(options.seed)
    due = ["worker"] * options.workers_killed + ["node"] * options.nodes_killed
    rng.shuffle(due)
    while due:
        folder, began = root / f"ray{tally.runs}", time.monotonic()
        process = start(recipe, folder, "ray", log)
        try:
            seen, wait = 0, rng.randint(*NEW_EVENTS)
            while process.poll() is None:
                time.sleep(LOOK_SECONDS)
                if due and events(folder) >= seen + wait and kill(due[-1], folder, cluster, rng):
                    tally.workers += due[-1] == "worker"
                    tally.nodes += due[-1] == "node"
                    if due.pop() == "node":
                        cluster.add_node()
                    seen, wait = events(folder), rng.randint(*NEW_EVENTS)
        finally:
            process.kill()
        if process.wait() != 0:
            raise SystemExit(f"the run ended with code {process.returncode}; see {log}:\n{log.read_text()[-3000:]}")
        tally.seconds += time.monotonic() - began
        tally.faults += compare(folder, expected)
        for key, count in same_bytes(folder, expected).items():
            tally.same_bytes[key] = tally.same_bytes.get(key, 0) + count
        tally.runs += 1
    return tally


def kill(what: str, folder: Path, cluster: Any, rng: random.Random) -> bool:
    """Kill a worker that searches, or the second node if a worker searches there; whether there was one."""
    alive = searching(folder)
    if what == "worker":
        if alive:
            os.kill(rng.choice(alive), signal.SIGKILL)
        return bool(alive)
    node = len(cluster.nodes) - 1
    if not set(alive) & set(cluster.workers(node)):
        return False
    cluster.kill_node(node)
    return True


def trial(options: argparse.Namespace, root: Path) -> list[str]:
    """All runs; what differs in the end."""
    module = cluster_module()
    if (why := module.why_not()) is not None:
        raise SystemExit(f"no Ray cluster here: {why}")
    recipe = write_recipe(
        root / "kills.yaml", write_pairs(root / "pairs.jsonl", options.pairs), pocket_model(root),
        search={"max_steps": options.steps, "rollouts": options.rollouts, "concurrency": options.concurrency},
        generator={},
        execution={"tasks": 4, "workers": 2, "memory_gb": 0.5, "ray": {"retries": 1000}},
    )  # fmt: skip
    log, expected = root / "output.txt", root / "local"
    local = to_end(recipe, expected, "local", log)
    folder = module.short_folder()
    with module.RayCluster(folder, hosts=options.hosts) as cluster:
        cluster.start(2)
        os.environ["RAY_ADDRESS"] = cluster.address
        calm = to_end(recipe, root / "calm", "ray", log)
        faults = [f"undisturbed: {fault}" for fault in compare(root / "calm", expected)]
        same = same_bytes(root / "calm", expected)
        tally = hurt(options, recipe, root, cluster, expected, log)
    killed = tally.workers + tally.nodes
    nothing = {"workers killed": 0, "nodes killed": 0, **dict.fromkeys(same)}
    print_table(
        [
            {"run": "local", "runs": 1, "seconds a run": local, **nothing},
            {"run": "ray, undisturbed", "runs": 1, "seconds a run": calm, **nothing, **same},
            {"run": "ray, killed", "runs": tally.runs, "seconds a run": tally.seconds / tally.runs,
             "workers killed": tally.workers, "nodes killed": tally.nodes, **tally.same_bytes},
        ],
        {"seconds a run": ".0f"},
    )  # fmt: skip
    faults += tally.faults
    lost = (tally.seconds - tally.runs * calm) / killed
    print(
        f"{killed} kills; rows lost, twice or different: {len(faults)}; steps repeated: at most those in flight "
        f"({options.concurrency} a kill); time lost: {lost:.1f} s a kill"
    )
    for fault in faults[:20]:
        print("  ", fault)
    return faults


def main() -> None:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers-killed", type=int, default=12)
    parser.add_argument("--nodes-killed", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--rollouts", type=int, default=3, help="a pair; the search is to be most of a run")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=1, help="searches at the same time in each task")
    parser.add_argument("--hosts", action="store_true", help="a host name for the second node (needs root)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the runs; it must not exist [a temporary one]")
    options = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}  # Ray sets the second for tasks of one processor
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))  # so that the cluster does not outlive this script
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch) / "kills"
        root.mkdir(parents=True)
        faults = trial(options, root)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
