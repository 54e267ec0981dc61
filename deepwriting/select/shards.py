"""The rows that deduplication looks at: the source stage's shards, and copies of what was released before.

A row is known by the number of its shard and its place in it. Shards are numbered in the order of their names: a task
of the source stage that wrote no row has left no file, and nothing here depends on which task wrote which.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deepwriting.shards import shard_files

#: Shards of released rows are numbered from here on.
RELEASED = 1_000_000


def shards_of_task(source: Path, released: Path | None, rank: int, tasks: int) -> Iterator[tuple[int, Path]]:
    """Numbers and files of the shards that fall to a task.

    Args:
        source: folder of the source stage's shards.
        released: folder of the copies of released rows; ``None`` for the source's alone.
        rank: the task.
        tasks: number of tasks.
    """
    yield from list(enumerate(shard_files(source)))[rank::tasks]
    for file in shard_files(released)[rank::tasks] if released else ():
        yield released_number(file), file


def released_number(file: Path) -> int:
    """Number of a shard of released rows."""
    return RELEASED + int(file.name.removesuffix(".jsonl.gz"))
