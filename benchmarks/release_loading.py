"""How long does loading a release take, beside reading the same Parquet files plainly?

    python benchmarks/release_loading.py --rows 20000

Every way reads config ``default`` in a fresh process and touches the text of every row: `load_dataset` the first time
(it writes its cache) and again, streaming, `load_dataset` of the release from a local Hub by its tag, and
``pyarrow.parquet``. Seconds are from after the imports to the last row; the ways take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from common import print_table
from release_rows import NAME, Rows, build, local_hub

REPO = f"tester/{NAME}"
_TOUCH = "sum(len(text) for text in rows['thinking']) + sum(len(text) for text in rows['answer'])"
_DATASETS = "from datasets import load_dataset"
#: Way -> imports, and an expression over ``folder`` that gives the characters of all thinkings and answers.
WAYS = {
    "pyarrow.parquet": (
        "import pyarrow.parquet as pq",
        "(lambda table: sum(len(text) for name in ('thinking', 'answer') for text in table[name].to_pylist()))"
        "(pq.read_table(folder + '/data/default'))",
    ),
    "load_dataset, first time": (_DATASETS, f"(lambda rows: {_TOUCH})(load_dataset(folder, split='train'))"),
    "load_dataset, again": (_DATASETS, f"(lambda rows: {_TOUCH})(load_dataset(folder, split='train'))"),
    "load_dataset, streaming": (
        _DATASETS,
        "sum(len(row['thinking']) + len(row['answer']) for row in load_dataset(folder, split='train', streaming=True))",
    ),
    "load_dataset from the Hub, first time": (
        _DATASETS,
        f"(lambda rows: {_TOUCH})(load_dataset('{REPO}', revision='1.0.0', split='train'))",
    ),
}
CODE = """
import json, sys, time
folder = sys.argv[1]
{imports}
began = time.perf_counter()
characters = {expression}
print(json.dumps([time.perf_counter() - began, characters]))
"""


def timed(way: str, folder: Path, environment: dict[str, str]) -> tuple[float, int]:
    """Seconds of one way in a fresh process, and the characters that it has read."""
    imports, expression = WAYS[way]
    code = CODE.format(imports=imports, expression=expression)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{way} ended with code {done.returncode}:\n{done.stderr[-3000:]}")
    seconds, characters = json.loads(done.stdout)
    return seconds, characters


def main() -> None:
    """Build, publish, load, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--release", type=Path, help="a built folder, instead of making one")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        folder = options.release or made(root, options.rows)
        (root / "hub").mkdir()
        hub = local_hub(root / "hub")
        try:
            measure(options, folder, hub)
        finally:
            hub.stop()


def made(root: Path, rows: int) -> Path:
    """A release of the tables that every release has."""
    shards = Rows().write(root / "shards", dict.fromkeys(range(rows), 0))
    return build(shards, root / NAME, "1.0.0", ("default", "all")).folder


def measure(options: argparse.Namespace, folder: Path, hub: Any) -> None:
    """All ways in turns."""
    environment = hub.env | {"HF_HUB_DISABLE_XET": "0", "PYTHONPATH": str(Path(__file__).parents[1])}
    publish = [sys.executable, "-m", "deepwriting", "publish", str(folder), "--repo", REPO]
    done = subprocess.run(publish, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"publishing ended with code {done.returncode}:\n{done.stderr[-3000:]}")
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    read = set()
    for _ in range(options.repeats):
        for way in WAYS:
            if way.endswith("first time"):
                shutil.rmtree(environment["HF_HOME"], ignore_errors=True)
            took, characters = timed(way, folder, environment)
            seconds[way].append(took)
            read.add(characters)
    if len(read) != 1:
        raise SystemExit(f"the ways have read different texts: {sorted(read)} characters")
    size = sum(file.stat().st_size for file in (folder / "data" / "default").glob("*.parquet"))
    plain = median(seconds["pyarrow.parquet"])
    print(f"config default, {size / 1e6:.1f} MB of Parquet, {read.pop() / 1e6:.0f} million characters of text:")
    print_table([
        {"way": way, "median, s": f"{median(took):.2f}", "from … to": f"{min(took):.2f} … {max(took):.2f}",
         "beside pyarrow": f"{median(took) / plain:.1f}x"}
        for way, took in seconds.items()
    ])  # fmt: skip


if __name__ == "__main__":
    main()
