"""The prompts of a dump on disk, where each story finds its own; and the best stories of each prompt.

Memory stays the same for a month of Reddit and for all its years: the prompts lie in a temporary SQLite database, found
through an index, with a page cache of fixed size; stories that wait for better ones lie in a temporary compressed file.
Both are files without a name in the folder for temporary files (``TMPDIR``): they are gone when this process is, even
if it is killed.

Why SQLite (``benchmarks/reddit_join.py``): looking prompts up one by one keeps the dump's order, writes no story to
disk unless it has to wait, and lets a ``limit`` end the reading. Files of hash buckets cost about a third of the time
but do none of that; DuckDB takes longer and several times the memory.

    submissions → PromptStore.add          comments → PromptStore.get → pair → best_stories → pairs in the dump's order
"""

from __future__ import annotations

import io
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

import orjson
import zstandard
from datatrove.data import Document

from deepwriting.errors import SourceError
from deepwriting.steps import REJECT_TEXT_LIMIT, reject

#: Pages of the database kept in memory (bytes). More prompts than fit are read from disk again.
CACHE_BYTES = 64 * 2**20
#: Fast; stories shrink to about half at it. Higher levels cost more time than the disk saves.
_SPOOL_LEVEL = 1
_SPOOL_CHUNK_BYTES = 2**20

#: A story's document, the submission for whose best stories it competes (``None`` for a reject), and its score.
Judged: TypeAlias = "tuple[Document, str | None, int]"


class Prompt(NamedTuple):
    """What the join keeps of a submission."""

    text: str
    tag: str | None
    score: int | None
    permalink: str | None
    flair: str | None
    nsfw: bool


class PromptStore:
    """Prompts by the id of their submission, in a temporary database.

    Args:
        cache_bytes: memory for its pages (bytes).
    """

    def __init__(self, cache_bytes: int = CACHE_BYTES):
        settings = {"cache_size": -(cache_bytes // 1024), "journal_mode": "OFF", "synchronous": "OFF", "temp_store": 1}
        # The file loses its name as soon as the database has it open. SQLite's own temporary databases would not do:
        # they lie where TMPDIR pointed when the process began, or in /var/tmp (as what it sorts still does: some 40
        # bytes a story).
        with tempfile.NamedTemporaryFile(prefix="deepwriting-prompts-") as file:
            self.database = sqlite3.connect(file.name, isolation_level=None)
            for name, value in settings.items():
                self.database.execute(f"PRAGMA {name} = {value}")
            self.database.execute(
                "CREATE TABLE prompts "
                "(id TEXT PRIMARY KEY, text TEXT, tag TEXT, score INTEGER, permalink TEXT, flair TEXT, nsfw INTEGER)"
            )
        self.database.execute("BEGIN")
        self._cursor = self.database.cursor()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.database.close()

    def add(self, submission: str, prompt: Prompt) -> None:
        """Keep a prompt; a later one with the same id takes its place."""
        self._cursor.execute("INSERT OR REPLACE INTO prompts VALUES (?, ?, ?, ?, ?, ?, ?)", (submission, *prompt))

    def get(self, submission: str) -> Prompt | None:
        """The prompt of a submission, or ``None`` when there is none."""
        found = self._cursor.execute(
            "SELECT text, tag, score, permalink, flair, nsfw FROM prompts WHERE id = ?", (submission,)
        ).fetchone()
        return Prompt._make((*found[:5], bool(found[5]))) if found else None


def best_stories(judged: Iterable[Judged], database: sqlite3.Connection, keep: int) -> Iterator[Document]:
    """Turn stories that are not among the best of their prompt into rejects; others, and rejects, pass as they are.

    All wait in a temporary file until the last has come, then leave in the order in which they came.

    Args:
        judged: documents with what they compete by.
        database: where places are worked out; ``PromptStore.database``.
        keep: stories that each prompt keeps. Among equal scores the earlier story wins.
    """
    with tempfile.TemporaryFile(prefix="deepwriting-stories-") as file:
        cursor = database.cursor()
        cursor.execute("CREATE TABLE stories (number INTEGER PRIMARY KEY, prompt TEXT, score INTEGER)")
        with zstandard.ZstdCompressor(level=_SPOOL_LEVEL).stream_writer(file, closefd=False) as packed:
            for number, (doc, submission, score) in enumerate(judged):
                packed.write(orjson.dumps((doc.text, doc.id, doc.metadata)) + b"\n")
                if submission is not None:
                    cursor.execute("INSERT INTO stories VALUES (?, ?, ?)", (number, submission, score))
        file.seek(0)
        cursor.execute(
            "SELECT number FROM (SELECT number, row_number() OVER (PARTITION BY prompt ORDER BY score DESC, number) "
            "AS place FROM stories) WHERE place > ? ORDER BY number",
            (keep,),
        )
        worse = cursor.fetchone()
        with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as plain:
            for number, line in enumerate(io.BufferedReader(plain, _SPOOL_CHUNK_BYTES)):
                text, own, metadata = orjson.loads(line)
                doc = Document(text=text, id=own, metadata=metadata)
                if worse and number == worse[0]:
                    reject(doc, "too_many_stories", f"not among the {keep} best of its prompt")
                    doc.text = text[:REJECT_TEXT_LIMIT]
                    worse = cursor.fetchone()
                yield doc


@contextmanager
def temporary_disk() -> Iterator[None]:
    """Turn a failing or full disk for temporary files into an error that says where they are.

    Raises:
        SourceError: in place of SQLite's and the system's errors.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise SourceError(
            f"temporary files for joining prompts and stories cannot be written in {tempfile.gettempdir()!r}: {error}; "
            "with max_stories_per_prompt they take about half the size of the stories; the variable TMPDIR "
            f"({os.environ.get('TMPDIR') or 'not set'}) names another folder"
        ) from error
