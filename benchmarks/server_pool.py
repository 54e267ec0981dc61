"""Does a run whose servers are killed under it end as one that nobody touched, and do its servers share the work?

    python benchmarks/server_pool.py --servers 3 --kills 6

Starts servers with ``deepwriting serve``, which announce themselves in a folder, and runs a recipe over short pairs
that has this folder as its ``endpoints``, with several worker processes: once with one server, once with all of them,
and once with all of them under ``kill -9`` at random moments of the search. Half of the kills hit a server (its
supervisor starts it again), half the whole command (another one is started a moment later, at another address). The
servers are the tests' (OpenAI's protocol over HTTP, a one-layer model in float32 by transformers) under vLLM's name.

Printed: how many requests each server answered; what differs from the run with one server in the rows of the search
(numbers within 1e-4) and its journals, that is rows lost, rows twice, steps taken twice; the requests that were sent in
vain; and the time.

Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
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

import yaml
from common import print_table
from pocket import pocket_model, write_pairs, write_recipe
from random_kills import Life, compare

ROOT = Path(__file__).parents[1]
#: What runs as ``python -m vllm...``: the tests' server, with a line on disk for each request that it has answered.
PROGRAM = f"""
import argparse, os, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.engines.openai_server import OpenAIServer

class Counting(OpenAIServer):
    async def _work(self, path, headers, body, gone):
        found = await super()._work(path, headers, body, gone)
        with open(os.path.join(os.environ["POOL_COUNTS"], str(self.port)), "a") as file:
            file.write(path + "\\n")
        return found

parser = argparse.ArgumentParser()
parser.add_argument("--model")
parser.add_argument("--port", type=int)
parser.add_argument("--served-model-name")
options, _ = parser.parse_known_args()
server = Counting(options.model, name=options.served_model_name, port=options.port)
server.model  # ready when it is loaded
server._thread.join()
"""
#: Requests that are work, and not a look at a server.
WORK = ("/v1/completions", "/generate")
#: How long a whole command stays away before another one takes its place (seconds).
ABSENCE_S = 2.0


class Served:
    """One ``deepwriting serve`` and what it says."""

    def __init__(self, recipe: Path, log: Path):
        command = [sys.executable, "-m", "deepwriting", "serve", str(recipe), "--host", "127.0.0.1", "--json"]
        self._log = log.open("a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, text=True)

    def wait(self) -> str:
        """Wait until it is announced; its address."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a server was not started; see {self._log.name}")
        found = json.loads(line)
        self.state = Path(found["log"]).parent / "state.json"
        return str(found["url"])

    def kill_server(self) -> bool:
        """Kill the server under its supervisor; False if it is not up."""
        state = json.loads(self.state.read_text())
        if state["state"] != "ready":
            return False
        os.kill(state["server"], signal.SIGKILL)
        return True

    def end(self, how: int = signal.SIGTERM) -> None:
        """End the command."""
        self.process.send_signal(how)
        self.process.communicate()
        self._log.close()


def counts(folder: Path) -> Counter[str]:
    """Requests answered, by port."""
    return Counter(
        {file.name: sum(line in WORK for line in file.read_text().splitlines()) for file in folder.iterdir()}
    )


def run(name: str, recipe: Path, root: Path, kills: int, served: list[Served], rng: random.Random) -> dict[str, Any]:
    """One run to its end, with kills while it searches; a line of the table."""
    folder, before, began = root / name, counts(root / "counts"), time.monotonic()
    done = Counter[str]()
    with Life(recipe, folder, root / f"{name}.txt") as life:
        if kills:
            life.wait_for("search", steps=True)
        while sum(done.values()) < kills and not life.over:
            time.sleep(rng.expovariate(1 / 1.5))
            victim = rng.choice(served)
            if rng.random() < 0.5:
                done["server"] += victim.kill_server()
            else:
                victim.end(signal.SIGKILL)
                time.sleep(ABSENCE_S)
                served[served.index(victim)] = fresh = Served(root / "pool.yaml", root / "serve.txt")
                fresh.wait()
                done["command"] += 1
        if life.process.wait() != 0:
            raise SystemExit(f"the run failed; see {root / name}.txt:\n{(root / f'{name}.txt').read_text()[-2000:]}")
    shares = sorted((counts(root / "counts") - before).values(), reverse=True)
    return {
        "run": name, "seconds": f"{time.monotonic() - began:.0f}", "servers killed": done["server"],
        "commands killed": done["command"], "requests answered": sum(shares),
        "by server": " ".join(map(str, shares)),
    }  # fmt: skip


def measure(options: argparse.Namespace, root: Path) -> list[str]:
    """All three runs; what differs."""
    for name in ("counts", "endpoints", "programs/vllm/entrypoints/openai", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "programs/vllm/entrypoints/openai/api_server.py").write_text(PROGRAM)
    os.environ |= {
        "POOL_COUNTS": str(root / "counts"), "PYTHONPATH": str(root / "programs"), "TMPDIR": str(root / "tmp"),
        "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    pairs, model = write_pairs(root / "pairs.jsonl", options.pairs), pocket_model(root)
    server = {
        "engine": "server",
        "scoring": "prompt_logprobs",
        "endpoints": str(root / "endpoints"),
        "patience_s": 300.0,
    }
    write_recipe(
        root / "pool.yaml", pairs, model,
        search={"max_steps": options.steps, "rollouts": options.rollouts, "concurrency": options.concurrency},
        generator={}, execution={"tasks": options.workers, "workers": options.workers},
    )  # fmt: skip
    recipe = yaml.safe_load((root / "pool.yaml").read_text())
    generator = recipe["engines"]["generator"]
    del generator["device"]
    generator |= server | {"start": {"program": "vllm"}}
    (root / "pool.yaml").write_text(yaml.safe_dump(recipe))
    rng = random.Random(options.seed)
    served: list[Served] = []
    table = []
    try:
        for count in (1, options.servers):
            served += [Served(root / "pool.yaml", root / "serve.txt") for _ in range(count - len(served))]
            for one in served:
                if not hasattr(one, "state"):
                    one.wait()
            table.append(run(f"servers{count}", root / "pool.yaml", root, 0, served, rng))
        table.append(run("killed", root / "pool.yaml", root, options.kills, served, rng))
    finally:
        for one in served:
            one.end()
    print_table(table)
    faults = [
        f"{name}: {fault}"
        for name in (f"servers{options.servers}", "killed")
        for fault in compare(root / name, root / "servers1")
    ]
    quiet, killed = table[1]["requests answered"], table[2]["requests answered"]
    print(f"{len(faults)} differences; {killed - quiet} requests answered more than in the quiet run")
    for fault in faults[:20]:
        print("  ", fault)
    left = list((root / "endpoints").glob("*.json"))
    print(f"{len(left)} announcements left by killed commands")
    return faults


def main() -> None:
    """Serve, run, kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--rollouts", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for everything; it must not exist [a temporary one]")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))  # so that no server outlives this script
    with tempfile.TemporaryDirectory() as scratch:
        root = (options.keep or Path(scratch) / "pool").absolute()
        root.mkdir(parents=True)
        faults = measure(options, root)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
