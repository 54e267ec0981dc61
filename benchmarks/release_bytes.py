"""How many bytes does the next version of a dataset cost on the Hub?

    python benchmarks/release_bytes.py --rows 20000 --changed 200 --added 200

Publishes a dataset with ``deepwriting publish`` to a local Hub that stores files in pieces, as the Hub does (Xet,
through the genuine ``hf_xet``), then versions in which rows have a new thinking and rows were added; and, on a second
Hub, the same tables of all versions with plain ``push_to_hub``. Printed are the bytes that each version added to the
store.

There is one version for each word after ``--where``: ``together`` changes rows of one stretch of a source, as when a
source is searched anew; ``anywhere`` changes rows drawn at random. Each of those lies in a piece of its own, so it
costs a piece (64 kB on average) in every column and config that its thinking is part of.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import print_table
from release_rows import NAME, Rows, build, local_hub

from deepwriting.sections.outcome import ROWS_PER_SHARD

REPO = f"tester/{NAME}"
#: Pushes the tables of a built dataset one by one, each as ``datasets`` writes it by itself.
PUSH = """
import sys
from datasets import load_dataset
folder, repo, *configs = sys.argv[1:]
for config in configs:
    files = {"train": f"{folder}/data/{config}/train-*.parquet"}
    load_dataset("parquet", data_files=files, split="train").push_to_hub(repo, config_name=config, private=True)
"""


def run(hub: Any, *command: str) -> float:
    """Run a client of a Hub to its end; its seconds."""
    environment = hub.env | {"HF_HUB_DISABLE_XET": "0", "PYTHONPATH": str(Path(__file__).parents[1])}
    began = time.monotonic()
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)[:200]} ended with code {done.returncode}:\n{done.stderr[-3000:]}")
    return time.monotonic() - began


def table_bytes(folder: Path) -> dict[str, int]:
    """Bytes of the Parquet files by config."""
    return {
        config.name: sum(file.stat().st_size for file in config.glob("*.parquet"))
        for config in sorted((folder / "data").iterdir())
    }


def versions_of(options: argparse.Namespace) -> dict[str, dict[int, int]]:
    """Version -> its rows: number -> how often it was changed."""
    rng = random.Random(options.seed)
    found = {"1.0.0": dict.fromkeys(range(options.rows), 0)}
    for minor, where in enumerate(options.where, start=1):
        rows = dict(found[f"1.{minor - 1}.0"])
        begin = rng.randrange(max(1, options.rows - options.changed))
        together = range(begin, begin + options.changed)
        for number in together if where == "together" else rng.sample(range(options.rows), options.changed):
            rows[number] += 1
        rows |= dict.fromkeys(range(len(rows), len(rows) + options.added), 0)
        found[f"1.{minor}.0"] = rows
    return found


def main() -> None:
    """Build, publish, push, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--changed", type=int, default=200, help="rows with a new thinking in each further version")
    parser.add_argument("--added", type=int, default=200, help="new rows in each further version")
    parser.add_argument("--where", choices=("anywhere", "together"), nargs="+", default=["together", "anywhere"])
    parser.add_argument("--configs", nargs="+", help="configs to build, default and all among them [all there are]")
    parser.add_argument("--rows-per-shard", type=int, default=ROWS_PER_SHARD, help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for everything; it must not exist [a temporary one]")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch) / "bytes"
        root.mkdir(parents=True)
        measure(options, root)


def measure(options: argparse.Namespace, root: Path) -> None:
    """Both ways, all versions."""
    rows = Rows(options.seed)
    versions = versions_of(options)
    folders: dict[str, Path] = {}
    for version, numbers in versions.items():
        began = time.monotonic()
        shards = rows.write(root / f"shards-{version}", numbers)
        made = time.monotonic() - began
        limits = {"rows_per_shard": options.rows_per_shard}
        folders[version] = build(shards, root / version / NAME, version, options.configs, **limits).folder
        print(f"{version}: {len(numbers)} rows made in {made:.0f} s, built in {time.monotonic() - began - made:.0f} s")
    sizes = {version: table_bytes(folder) for version, folder in folders.items()}
    configs = list(sizes["1.0.0"])
    print(f"tables of 1.0.0 (MB): {', '.join(f'{key} {size / 1e6:.1f}' for key, size in sizes['1.0.0'].items())}")
    changes = dict(zip(versions, ["", *options.where], strict=True))
    ways = {
        "deepwriting publish": lambda version: ("-m", "deepwriting", "publish", str(folders[version]), "--repo", REPO),
        "push_to_hub": lambda version: ("-c", PUSH, str(folders[version]), REPO, *configs),
    }
    found = []
    for way, command in ways.items():
        place = root / way.replace(" ", "-")
        place.mkdir()
        hub = local_hub(place)
        try:
            before = 0
            for version in folders:
                seconds = run(hub, *command(version))
                stored = hub.stored()["total"]
                size = sum(sizes[version].values())
                found.append({
                    "way": way, "version": version, "changed rows": changes[version] or "-",
                    "tables, MB": f"{size / 1e6:.1f}",
                    "new bytes stored, MB": f"{(stored - before) / 1e6:.2f}",
                    "of the tables": f"{100 * (stored - before) / size:.1f} %", "seconds": f"{seconds:.0f}",
                })  # fmt: skip
                before = stored
        finally:
            hub.stop()
    print()
    print(f"{options.rows} rows; {options.changed} changed and {options.added} added in each further version:")
    print_table(found)


if __name__ == "__main__":
    main()
