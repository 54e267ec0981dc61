"""What does it cost a search that each of its steps is in an object store before the next begins?

    python benchmarks/remote_journal.py --searches 1 16 64 --steps 5 --delay-ms 0 50

Starts an S3 server (moto) in a process of its own and has searches write steps into one task's journal: each waits as
long as a model would take, appends an event of a usual size, and waits until it has arrived. Printed for each number of
searches and each delay added to every request, as a far store would have it: how long a step waited for the store
(median and worst twentieth), how many objects were written for how many steps, and that what is there equals what is
here, byte for byte.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import print_table

sys.path.insert(0, str(Path(__file__).parents[1]))

from deepwriting.journal import replicated
from deepwriting.reer.journal import Journal
from deepwriting.remote.folder import RemoteFolder
from deepwriting.remote.journals import claim_journal, fetch_journal
from tests.remote.s3_server import BUCKET, S3Server

#: Characters of a step's event: three candidates of a segment each.
EVENT_CHARS = 3_000


class Far(RemoteFolder):
    """A store that answers later."""

    delay = 0.0

    def write(self, path: str, content: bytes) -> None:
        """Put an object there, after the delay."""
        time.sleep(self.delay)
        super().write(path, content)


async def searches(journal: Journal, count: int, steps: int, model_s: float) -> list[float]:
    """Waits for the store (seconds), one for each step."""
    waits = []
    rng = random.Random(0)

    async def one(row: str) -> None:
        for number in range(steps):
            await asyncio.sleep(rng.uniform(0.5, 1.5) * model_s)
            journal.write("step", row, step=number + 1, text="x" * EVENT_CHARS)
            began = time.perf_counter()
            await journal.safe()
            waits.append(time.perf_counter() - began)

    await asyncio.gather(*(one(f"row-{number}") for number in range(count)))
    return sorted(waits)


def measure(url: str, count: int, options: argparse.Namespace, delay: float, root: Path) -> dict[str, Any]:
    """One line of the table."""
    remote, file = Far(url), root / f"{count}-{delay}.jsonl"
    remote.delay = delay
    path = "search/journal/00000.jsonl"
    with claim_journal(remote, path, file) as upload, replicated(file, upload), Journal(file, "hash") as journal:
        waits = asyncio.run(searches(journal, count, options.steps, options.model_s))
    parts = sum(name[-1].isdigit() for name in remote.list())
    fetch_journal(remote, path, root / "there.jsonl")
    return {
        "searches": count,
        "added ms": 1000 * delay,
        "steps": len(waits),
        "objects": parts,
        "wait, median ms": 1000 * waits[len(waits) // 2],
        "wait, 95 % ms": 1000 * waits[int(0.95 * (len(waits) - 1))],
        "equal": (root / "there.jsonl").read_bytes() == file.read_bytes(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--model-s", type=float, default=0.5, help="time that a step takes without the store (seconds)")
    parser.add_argument("--delay-ms", type=float, nargs="+", default=[0.0, 50.0])
    options = parser.parse_args()
    with S3Server() as server, tempfile.TemporaryDirectory() as root:
        os.environ.update(server.env)
        table = [
            measure(f"s3://{BUCKET}/{count}-{delay}", count, options, delay / 1000, Path(root))
            for delay in options.delay_ms
            for count in options.searches
        ]
    print_table(table, {"wait, median ms": ".0f", "wait, 95 % ms": ".0f", "added ms": ".0f"})
    if not all(row["equal"] for row in table):
        sys.exit(1)


if __name__ == "__main__":
    main()
