"""Write synthetic sources into a folder.

cd benchmarks && python -m synthetic.write FOLDER --rows 100000 --contaminate SHARED/data/benchmarks
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from synthetic.books import write_books
from synthetic.chats import write_longwriter, write_pairs, write_wildchat
from synthetic.dirt import Dirt
from synthetic.reddit import RedditDumps
from synthetic.text import POOL, Texts

#: Share of the rows that each source has.
SHARES = {"reddit": 0.5, "wildchat": 0.25, "pairs": 0.22, "longwriter": 0.03}
#: Comments of one month's dump.
_MONTH = 50_000
#: Rows for one book.
_ROWS_A_BOOK = 5_000


@dataclass(frozen=True)
class Written:
    """What has been written.

    Attributes:
        folder: the folder.
        rows: candidates in it, books aside.
        planted: rows that the truth tells about.
    """

    folder: Path
    rows: int
    planted: int


def write_sources(
    folder: Path, rows: int, *, seed: int = 1, benchmark: Sequence[tuple[str, str, str]] = (), pool: int = POOL
) -> Written:
    """Write all sources and the truth about them.

    Args:
        folder: where to; made if missing.
        rows: candidates over all sources, books aside.
        seed: other seeds give other files.
        benchmark: benchmark queries as (benchmark, row, text) to plant.
        pool: sentences to draw from; fewer are faster for small tests.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = Texts(seed, pool)
    counts = {name: int(rows * share) for name, share in SHARES.items()}
    counts["reddit"] += rows - sum(counts.values())

    def dirt(source: str) -> Dirt:
        return Dirt(texts, f"{seed}:{source}", benchmark)

    planted = 0
    reddit = RedditDumps(folder / "reddit", dirt("reddit"), seed)
    months = max(2, counts["reddit"] // _MONTH)
    streams = {
        "reddit": reddit.write(counts["reddit"], months),
        "wildchat": write_wildchat(folder / "wildchat", dirt("wildchat"), counts["wildchat"], seed),
        "longwriter": write_longwriter(folder / "longwriter", dirt("longwriter"), counts["longwriter"], seed),
        "pairs": write_pairs(folder / "pairs", dirt("pairs"), counts["pairs"]),
    }
    with (folder / "truth.jsonl").open("wb") as truth:
        for source, stream in streams.items():
            for row in stream:
                truth.write(orjson.dumps({"source": source, "id": row.id, "kind": row.kind, **row.fact}) + b"\n")
                planted += 1
    write_books(folder / "books", texts, max(1, rows // _ROWS_A_BOOK), seed)
    return Written(folder, rows, planted)


def benchmark_texts(folder: Path, least_words: int = 8) -> list[tuple[str, str, str]]:
    """The queries of benchmark files (``*.jsonl``) that are long enough to be recognised."""
    from deepwriting.sections.decontaminate import BenchmarkSection
    from deepwriting.select.benchmarks import read_benchmark
    from deepwriting.select.overlap import comparable

    found = itertools.chain.from_iterable(
        read_benchmark(BenchmarkSection(name=file.stem, path=str(file), columns=None))
        for file in sorted(folder.glob("*.jsonl"))
    )
    # HelloBench's bare topics and its requests around them are two queries of one row: the longer one is planted.
    longest: dict[tuple[str, str], str] = {}
    for query in found:
        key = query.benchmark, query.row
        if len(query.text) > len(longest.get(key, "")):
            longest[key] = query.text
    return [(*key, text) for key, text in longest.items() if len(comparable(text)) >= least_words]


def main() -> None:
    """Write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--contaminate", type=Path, metavar="BENCHMARKS", help="folder with benchmark files (*.jsonl)")
    options = parser.parse_args()
    benchmark = benchmark_texts(options.contaminate) if options.contaminate else []
    written = write_sources(options.folder, options.rows, seed=options.seed, benchmark=benchmark)
    print(f"{written.rows} rows in {written.folder}; the truth tells about {written.planted}")


if __name__ == "__main__":
    main()
