"""Stories of r/WritingPrompts find their prompts: which way of joining, at what speed and memory, and the whole reader.

    python benchmarks/reddit_join.py
    python benchmarks/reddit_join.py --submissions 50000 --comments 250000 --scattered

First the join alone: prompts and stories come out of the air, each way in a process of its own has to give every story
its prompt and to keep the three best of each prompt. ``nothing`` is what making the rows costs. All ways must agree.
``in order`` says whether stories come out as they went in. Then the whole reader on dumps in the native layout, by one
task and by each of four, with and without parsing the lines of other tasks.

Comments follow their submission closely, as in dumps; ``--scattered`` has them in any order under random ids, the worst
case for an index on disk.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import zstandard
from datatrove.data import Document

from deepwriting.schema import is_rejected
from deepwriting.sources import WritingPromptsDump
from deepwriting.sources.reddit_join import Prompt, PromptStore, best_stories

#: Stories kept of each prompt.
KEEP = 3
#: Memory given to DuckDB.
DUCKDB_LIMIT = "512MB"
#: Rows handed to DuckDB, or fetched from it, at once.
BATCH = 8192
BUCKETS = 64


class Story(NamedTuple):
    """A story as the join meets it."""

    own: str
    submission: str
    score: int
    text: str


class Rows:
    """Made-up prompts and stories; the same ones whenever they are asked for."""

    def __init__(self, submissions: int, comments: int, words: int, *, scattered: bool):
        rng = random.Random(1)
        words_known = ["".join(rng.choices("aeioulnrst", k=rng.randint(2, 9))) for _ in range(3000)]
        self.paragraphs = [" ".join(rng.choices(words_known, k=max(1, words // 5))) for _ in range(2000)]
        self.submissions, self.comments, self.scattered = submissions, comments, scattered

    def _name(self, index: int) -> str:
        return f"{zlib.crc32(str(index).encode()):08x}{index % 7}" if self.scattered else f"{index + 10**7:x}"

    def prompts(self) -> Iterator[tuple[str, Prompt]]:
        """Ids of submissions with their prompts."""
        for index in range(self.submissions):
            title = f"{self.paragraphs[index % 2000][:150]} {index}"
            yield self._name(index), Prompt(title, "WP", index % 900, f"/r/WritingPrompts/{index}", "Prompt", False)

    def stories(self) -> Iterator[Story]:
        """Stories in the order of the dump."""
        rng = random.Random(2)
        for index in range(self.comments):
            near = index * self.submissions // self.comments - int(rng.expovariate(1 / 200))
            place = rng.randrange(self.submissions) if self.scattered else max(0, near)
            text = "\n\n".join(rng.choices(self.paragraphs, k=5))
            yield Story(f"c{index}", self._name(place), int(rng.paretovariate(1)), text)


def batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    """Rows in lists of ``BATCH``."""
    while some := list(islice(rows, BATCH)):
        yield some


#: What a way yields: a story's own id, its prompt's text, whether it is among the best, and its own text.
Joined = Iterator[tuple[str, str, bool, str]]


def in_memory(rows: Rows) -> Joined:
    """Prompts in a dict and a heap for each of them, stories made twice: the way before this one."""
    prompts = dict(rows.prompts())
    best: dict[str, list[tuple[int, int]]] = {}
    for number, story in enumerate(rows.stories()):
        heap = best.setdefault(story.submission, [])
        heapq.heappush(heap, (story.score, -number))
        if len(heap) > KEEP:
            heapq.heappop(heap)
    kept = {-number for heap in best.values() for _, number in heap}
    for number, story in enumerate(rows.stories()):
        yield story.own, prompts[story.submission].text, number in kept, story.text


def sqlite(rows: Rows) -> Joined:
    """An index on disk and a file in which the stories wait: the reader's own way."""

    def judged() -> Iterator[tuple[Document, str, int]]:
        for story in rows.stories():
            prompt = store.get(story.submission)
            assert prompt is not None
            metadata = {"query": prompt.text, "source": "wp", "source_id": story.own, "score": story.score}
            yield Document(text=story.text, id=story.own, metadata=metadata), story.submission, story.score

    with PromptStore() as store:
        for submission, prompt in rows.prompts():
            store.add(submission, prompt)
        for doc in best_stories(judged(), store.database, KEEP):
            yield doc.id, doc.metadata["query"], not is_rejected(doc.metadata), doc.text


def duckdb(rows: Rows) -> Joined:
    """Both sides in tables of DuckDB, ranked and joined by it."""
    import duckdb as engine
    import pyarrow as pa

    with tempfile.TemporaryDirectory() as folder:
        database = engine.connect(
            f"{folder}/join.duckdb",
            config={"memory_limit": DUCKDB_LIMIT, "temp_directory": f"{folder}/spilled", "threads": 1},
        )
        database.execute("CREATE TABLE prompts (submission TEXT, prompt TEXT)")
        database.execute("CREATE TABLE stories (number BIGINT, own TEXT, submission TEXT, score BIGINT, text TEXT)")
        for some in batches(rows.prompts()):
            chunk = pa.table({"submission": [p[0] for p in some], "prompt": [p[1].text for p in some]})
            database.execute("INSERT INTO prompts SELECT * FROM chunk")
        number = 0
        for batch in batches(rows.stories()):
            columns = [list(range(number, number + len(batch))), *map(list, zip(*batch, strict=True))]
            chunk = pa.table(columns, names=["number", *Story._fields])  # noqa: F841 (read by name in the SQL)
            database.execute("INSERT INTO stories SELECT * FROM chunk")
            number += len(batch)
        database.execute(
            "CREATE TABLE ranked AS SELECT number, "
            "row_number() OVER (PARTITION BY submission ORDER BY score DESC, number) AS place FROM stories"
        )
        # In pieces: to put all stories in order at once took more than the memory it was given.
        for start in range(0, number, 8 * BATCH):
            yield from database.execute(
                f"SELECT own, prompt, place <= {KEEP}, text FROM stories JOIN ranked USING (number) "
                "JOIN prompts USING (submission) WHERE number >= $1 AND number < $1 + $2 ORDER BY number",
                [start, 8 * BATCH],
            ).fetchall()
        database.close()


def buckets(rows: Rows) -> Joined:
    """Both sides dealt out to files by the hash of the submission, joined file by file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = ((own, prompt.text) for own, prompt in rows.prompts())
        for side, records in (("prompts", texts), ("stories", map(tuple, rows.stories()))):
            files = [(folder / f"{side}{n}").open("wb", buffering=2**16) for n in range(BUCKETS)]
            for record in records:
                key = record[0] if side == "prompts" else record[1]
                files[zlib.crc32(key.encode()) % BUCKETS].write(orjson.dumps(record) + b"\n")
            for file in files:
                file.close()
        for bucket in range(BUCKETS):
            with (folder / f"prompts{bucket}").open("rb") as lines:
                prompts = dict(map(orjson.loads, lines))
            with (folder / f"stories{bucket}").open("rb") as lines:
                stories = [Story(*orjson.loads(line)) for line in lines]
            places: dict[str, int] = {}
            kept = set()
            for number in sorted(range(len(stories)), key=lambda at: (-stories[at].score, at)):
                submission = stories[number].submission
                places[submission] = places.get(submission, 0) + 1
                if places[submission] <= KEEP:
                    kept.add(number)
            for number, story in enumerate(stories):
                yield story.own, prompts[story.submission], number in kept, story.text


def nothing(rows: Rows) -> Joined:
    """Only the making of the rows."""
    for submission, _ in rows.prompts():
        assert submission
    for story in rows.stories():
        yield story.own, "", True, story.text


WAYS: dict[str, Callable[[Rows], Joined]] = {
    "nothing": nothing, "in memory": in_memory, "sqlite": sqlite, "duckdb": duckdb, "buckets": buckets,
}  # fmt: skip


def join(way: str, rows: Rows) -> dict[str, Any]:
    """One way in this process."""
    from common import peak_mb, reset_peak, status_mb

    reset_peak()
    before, began, worked = status_mb("VmRSS"), time.perf_counter(), time.process_time()
    total, last, in_order = 0, -1, True
    for own, prompt, kept, text in WAYS[way](rows):
        total = (total + zlib.crc32(f"{own} {prompt} {kept} {len(text)}".encode())) & (2**64 - 1)
        in_order &= int(own[1:]) > last
        last = int(own[1:])
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    count = rows.submissions + rows.comments
    return {
        "way": way, "rows/s": count / seconds, "seconds": seconds, "CPU s": worked, "added MB": peak_mb() - before,
        "in order": in_order, "sum": total,
    }  # fmt: skip


def write_dumps(folder: Path, rows: Rows) -> None:
    """The rows as dumps, with the columns that Reddit's records have besides and with dirt: replies, deletions."""
    more = {f"column_{n}": value for n, value in enumerate([None, False, "", 0, [], {}, None, True] * 4)}
    packer = zstandard.ZstdCompressor(level=3)
    with packer.stream_writer((folder / "RS_2020-01.zst").open("wb")) as file:
        for own, prompt in rows.prompts():
            file.write(orjson.dumps({
                "id": own, "title": f"[WP] {prompt.text}", "score": prompt.score, "subreddit": "WritingPrompts",
                "permalink": prompt.permalink, "over_18": False, "author": "someone", "selftext": "", **more,
            }) + b"\n")  # fmt: skip
    with packer.stream_writer((folder / "RC_2020-01.zst").open("wb")) as file:
        for number, story in enumerate(rows.stories()):
            link = f"t3_{story.submission}"
            file.write(orjson.dumps({
                "author": "writer", "body": "[deleted]" if number % 20 == 1 else story.text, "id": story.own,
                "link_id": link, "parent_id": f"t1_{story.own}" if number % 3 == 2 else link, "score": story.score + 1,
                "subreddit": "WritingPrompts", **more,
            }) + b"\n")  # fmt: skip


def read(folder: Path, keep: int | None, tasks: int) -> dict[str, Any]:
    """The whole reader as the first of several tasks, in this process."""
    from common import peak_mb, reset_peak, status_mb

    reader = WritingPromptsDump(str(folder), name="wp", license="L", max_stories_per_prompt=keep)
    reset_peak()
    before, began, worked = status_mb("VmRSS"), time.perf_counter(), time.process_time()
    pairs = rejects = 0
    for doc in reader.run(rank=0, world_size=tasks):
        rejects += is_rejected(doc.metadata)
        pairs += not is_rejected(doc.metadata)
    return {
        "best of a prompt": keep, "tasks": tasks,
        "seconds": time.perf_counter() - began, "CPU s": time.process_time() - worked, "pairs": pairs,
        "rejects": rejects, "added MB": peak_mb() - before,
    }  # fmt: skip


def in_process(*job: Any) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--child", json.dumps(job)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print; exit code 1 when the ways disagree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=200_000)
    parser.add_argument("--comments", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=250, help="words of a story")
    parser.add_argument("--scattered", action="store_true")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--parts", nargs="+", choices=("join", "reader"), default=("join", "reader"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows = Rows(options.submissions, options.comments, options.words, scattered=options.scattered)
    if options.child:
        what, *arguments = json.loads(options.child)
        found = join(arguments[0], rows) if what == "join" else read(Path(arguments[0]), *arguments[1:])
        print(json.dumps(found))
        return
    from common import print_table

    print(f"{options.submissions} submissions, {options.comments} stories of {options.words} words", flush=True)
    if "join" in options.parts:
        joins = [in_process("join", way) for way in options.ways]
        print_table(joins, {"rows/s": ",.0f", "seconds": ".1f", "CPU s": ".1f", "added MB": ".0f"})
        if len({found["sum"] for found in joins if found["way"] != "nothing"}) > 1:
            raise SystemExit("the ways disagree")
    if "reader" in options.parts:
        with tempfile.TemporaryDirectory() as name:
            write_dumps(Path(name), rows)
            jobs = [(None, 1), (KEEP, 1), (KEEP, 4)]
            reads = [in_process("read", name, *job) for job in jobs]
        lines = options.submissions + options.comments
        print_table(
            [{**found, "lines/s": lines / found["seconds"]} for found in reads],
            {"seconds": ".1f", "CPU s": ".1f", "added MB": ".0f", "lines/s": ",.0f"},
        )


if __name__ == "__main__":
    main()
