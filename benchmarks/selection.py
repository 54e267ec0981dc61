"""How fast is the selection, how much memory does it need, and how do both grow with the rows?

    python benchmarks/selection.py --rows 10000 100000

Made-up pairs (queries put together from the labelled sample, answers of about 2,000 characters) are written as the
stage before would leave them; then the whole stage chooses a fifth of them in a process of its own, one worker. Printed
are rows a second by phase, the same by seconds of CPU time (which other work on the machine changes less), and the most
memory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import peak_mb, print_table, reset_peak, status_mb

from deepwriting.executors.local import LocalRunner
from deepwriting.pipeline import Planned, Watcher, run_stage
from deepwriting.recipe import parse_recipe
from deepwriting.rundir import Counts, RunFolder, StageRecord
from deepwriting.select.fast import labelled_sample
from deepwriting.stages.base import StageContext
from deepwriting.stages.select import SelectStage

#: Tasks, and shards of the stage before.
TASKS = 4


def write_rows(folder: Path, count: int) -> None:
    """Write pairs as the stage before would."""
    rng = random.Random(0)
    queries = {
        language: [e.query for e in labelled_sample() if e.language == language and e.part != "cues"]
        for language in ("en", "zh")
    }
    words = " ".join(queries["en"]).split()
    shards = RunFolder(folder).stage("dedupe").shards
    shards.mkdir(parents=True)
    files = [
        gzip.open(shards / f"{task:05d}.jsonl.gz", "wt", encoding="utf-8", compresslevel=1)  # noqa: SIM115
        for task in range(TASKS)
    ]
    for index in range(count):
        language = "zh" if index % 5 == 0 else "en"
        query = (" " if language == "en" else "").join(rng.sample(queries[language], rng.choice((1, 1, 2, 3))))
        metadata = {
            "query": f"{query} {index}", "language": language, "source": f"source{index % 4}", "source_id": str(index),
            "license": "CC0-1.0", "provenance": json.dumps({"score": rng.randrange(500)}),
        }  # fmt: skip
        answer = " ".join(rng.choices(words, k=rng.randint(100, 600)))
        row = {"text": answer, "id": f"dw-{index:016x}", "metadata": metadata}
        files[index % TASKS].write(json.dumps(row, ensure_ascii=False) + "\n")
    for file in files:
        file.close()
    RunFolder(folder).stage("dedupe").save(StageRecord("dedupe", "", {}, "finished", counts=Counts(rows_out=count)))


def child(folder: Path, count: int) -> None:
    """Run the stage in this process and print what it took, as JSON."""
    recipe = parse_recipe(
        json.dumps(
            {
                "name": "selection",
                "sources": [{"kind": "pairs", "path": "x", "name": f"source{index}"} for index in range(4)],
                "engines": {"generator": {"model": "none"}},
                "select": {"pairs": count // 5, "source_limits": {"source0": count // 25}},
                "execution": {"tasks": TASKS},
            }
        )
    )
    stage, run = SelectStage(), RunFolder(folder)
    seconds: dict[str, float] = {}

    class Timed(SelectStage):
        """The stage, with the time between its phases noted."""

        def phases(self, context: StageContext) -> Any:
            for phase in stage.phases(context):
                began, worked = time.perf_counter(), time.process_time()
                yield phase
                seconds[phase.name] = time.perf_counter() - began
                seconds[f"{phase.name} CPU"] = time.process_time() - worked

    reset_peak()
    loaded = status_mb("VmRSS")
    record = run_stage(Planned(Timed(), StageContext(recipe, run, ""), {}, "run"), LocalRunner(recipe), Watcher())
    print(json.dumps({"chosen": record.counts.rows_out, "loaded": loaded, "peak": peak_mb(), **seconds}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), int(options.child[1]))
        return
    rows = []
    for count in options.rows:
        with tempfile.TemporaryDirectory() as scratch:
            write_rows(Path(scratch), count)
            command = [sys.executable, __file__, "--child", scratch, str(count)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
        phases = ("classify", "choose", "move", "apply")
        row = {"rows": count, "chosen": found["chosen"]}
        row |= {f"{phase} rows/s": count / found[phase] for phase in phases}
        row["stage rows/s"] = count / sum(found[phase] for phase in phases)
        row["classify rows/CPU s"] = count / found["classify CPU"]
        row["stage rows/CPU s"] = count / sum(found[f"{phase} CPU"] for phase in phases)
        rows.append(row | {"loaded MB": found["loaded"], "peak MB": found["peak"]})
    print_table(rows, dict.fromkeys(rows[0], ".0f"))


if __name__ == "__main__":
    main()
