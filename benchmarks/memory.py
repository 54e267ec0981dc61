"""Memory of a search: does it grow with the number of pairs, and does concurrency cost threads?

    python benchmarks/memory.py --pairs 200 800 3200
    python benchmarks/memory.py --pairs 3200 --concurrency 2000

For each number of pairs: the stages before the search run first, then the search runs in a process of its own with a
one-layer model, one step a pair. Printed are its memory when the engine is loaded, its high-water mark, and the most
tasks and threads that it had; then the same for a process that finds the whole journal of the first and replays it.

What is kept of prefixes is bounded by the recipe, here to ``PREFIX_GB``, so that memory that grows with the pairs can
be told from memory that fills up to its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from common import peak_mb, print_table, reset_peak, status_mb
from pocket import pocket_model, write_pairs, write_recipe

from deepwriting.pipeline import run_recipe
from deepwriting.recipe import load_recipe
from deepwriting.rundir import RunFolder

#: Memory for kept prefixes (GB).
PREFIX_GB = 0.05


def child(recipe: Path, folder: Path) -> None:
    """Run the search in this process and print what it took, as JSON."""
    from deepwriting.engines.registry import close_engines, get_engine
    from deepwriting.reer.search import LocalSearch

    parsed, text = load_recipe(str(recipe))
    get_engine(parsed.engines.generator)
    most = {"searches": 0, "tasks": 0, "threads": 0}
    running = 0
    search = LocalSearch.search

    async def watched(self: LocalSearch, *arguments: Any) -> Any:
        nonlocal running
        running += 1
        if running > most["searches"]:  # counting all tasks is slow: only when there are more than ever
            now = {"searches": running, "tasks": len(asyncio.all_tasks()), "threads": threads()}
            most.update({key: max(most[key], now[key]) for key in most})
        try:
            return await search(self, *arguments)
        finally:
            running -= 1

    LocalSearch.search = watched  # type: ignore[method-assign, assignment]
    reset_peak()
    loaded, began = status_mb("VmRSS"), time.perf_counter()
    [record] = [r for r in run_recipe(parsed, text, folder, start="search", until="search") if r.stage == "search"]
    found = {
        "rows": record.counts.rows_out + record.counts.rejected, "loaded": loaded, "peak": peak_mb(),
        "seconds": time.perf_counter() - began, **most,
    }  # fmt: skip
    close_engines()
    print(json.dumps(found))


def threads() -> int:
    """Threads of this process, those of libraries included."""
    return max(threading.active_count(), len(os.listdir("/proc/self/task")))


def search_process(recipe: Path, folder: Path) -> dict[str, Any]:
    """Run the search in a process of its own."""
    command = [sys.executable, __file__, "--child", str(recipe), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the search ended with code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def forget_result(folder: Path) -> None:
    """Leave the search as if it had been killed with its last step: a whole journal and no shards."""
    stage = RunFolder(folder).stage("search")
    record = stage.record()
    assert record is not None
    record.state = "running"
    stage.save(record)
    stage.forget_tasks()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, nargs="+", default=[200, 800, 3200])
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        model = pocket_model(root)
        for count in options.pairs:
            folder = root / f"run{count}"
            recipe = write_recipe(
                root / f"memory{count}.yaml", write_pairs(root / f"pairs{count}.jsonl", count), model,
                search={"max_steps": options.steps, "concurrency": options.concurrency, "max_thinking_tokens": 60},
                generator={"prefix_cache_gb": PREFIX_GB},
            )  # fmt: skip
            parsed, text = load_recipe(str(recipe))
            run_recipe(parsed, text, folder, until="select")
            for what in ("searched", "replayed"):
                found = search_process(recipe, folder)
                journal = sum(file.stat().st_size for file in (folder / "search" / "journal").glob("*.jsonl"))
                rows.append(
                    {
                        "pairs": count, "": what, "rows": found["rows"], "seconds": found["seconds"],
                        "journal MB": journal / 2**20, "loaded MB": found["loaded"], "peak MB": found["peak"],
                        "searches at once": found["searches"], "tasks": found["tasks"], "threads": found["threads"],
                    }
                )  # fmt: skip
                forget_result(folder)
    print(f"concurrency {options.concurrency}, {options.steps} steps, prefixes kept up to {1000 * PREFIX_GB:.0f} MB")
    print_table(rows, {"seconds": ".0f", "journal MB": ".1f", "loaded MB": ".0f", "peak MB": ".0f"})


if __name__ == "__main__":
    main()
