"""Exact duplicates (paper, section 2.3.1): equal pairs, two texts under one id, equal answers.

One row of several stays: a released one, else the first in source order. All of it is grouping and joining by 64-bit
hashes in DuckDB, so millions of identical rows are one group. MinHash sees what is left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from deepwriting.files import write_json
from deepwriting.select.tables import database, parquet, save

#: Every row with its number in the order of all: released rows first, then the sources'.
_ROWS = """
CREATE TABLE rows AS SELECT (row_number() OVER () - 1)::UINTEGER AS number, * FROM (
    SELECT * FROM {rows} ORDER BY own, rank, place, name, id, content, file, row
)
"""
#: The first row of every source id, and among those and the released rows the first of every pair: what is dropped for
#: its source id does not stand in the way of its text elsewhere.
_FIRSTS = """
CREATE TABLE origins AS SELECT origin, min(number) AS first FROM rows WHERE own GROUP BY origin;
CREATE TABLE pairs AS
    SELECT pair, min(number) AS first FROM rows LEFT JOIN origins USING (origin) WHERE NOT own OR number = origins.first
    GROUP BY pair;
"""
_EQUAL_PAIRS = """
CREATE TABLE judged AS SELECT rows.*,
    CASE WHEN number = pairs.first THEN NULL
        WHEN pairs.first < number THEN if(pairs.first < {released}, 'in_earlier_release', 'duplicate_pair')
        ELSE 'duplicate_source_id' END AS reason,
    CASE WHEN number = pairs.first THEN NULL WHEN pairs.first < number THEN pairs.first ELSE origins.first END AS same,
    false AS equal_answer
FROM rows LEFT JOIN pairs USING (pair) LEFT JOIN origins ON rows.own AND rows.origin = origins.origin
"""
_EQUAL_ANSWERS = """
CREATE TABLE answers AS SELECT answer, min(number) AS first FROM judged WHERE reason IS NULL GROUP BY answer;
UPDATE judged SET same = answers.first, equal_answer = true,
    reason = if(answers.first < {released}, 'in_earlier_release', 'duplicate_answer')
FROM answers WHERE judged.reason IS NULL AND judged.answer = answers.answer AND answers.first < judged.number
"""
#: Each different query is looked at once, by its first row.
_QUERIES = "CREATE TABLE queries AS SELECT query, min(number) AS first FROM judged WHERE reason IS NULL GROUP BY query"
_JUDGED = """
SELECT number, own, file, row, name, id, score, reason, same, equal_answer, queries.first AS asked
FROM judged LEFT JOIN queries USING (query) ORDER BY number
"""
_COMPARED = """
SELECT file, row, number, {answers} AS answer, {queries} AND queries.first = number AS query
FROM judged LEFT JOIN queries USING (query) WHERE reason IS NULL ORDER BY file, row
"""


class EqualRows(PipelineStep):
    """Phase 2, one task: numbers all rows, finds the equal ones, and says which texts are to be compared.

    Writes ``judged.parquet`` (every row with its number and, if it is a duplicate, of which one), ``compared.parquet``
    (the rows whose answer or query goes through MinHash) and ``summary.json``.

    Args:
        work: the stage's work folder.
        equal_answers: whether one of several pairs with equal answers stays.
        queries: whether queries go through MinHash.
    """

    type = "🫂 - DEDUP"
    name = "Equal rows"

    def __init__(self, work: Path, *, equal_answers: bool, queries: bool):
        super().__init__()
        self.work = work
        self.equal_answers, self.queries = equal_answers, queries

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        """Write the tables."""
        assert world_size == 1, "equal rows are found among all"
        tables = sorted((self.work / "rows").glob("*.parquet"))
        with self.track_time(), database(self.work / "scratch") as connection:
            connection.execute(_ROWS.format(rows=parquet(*tables)))
            counted = connection.execute("SELECT count(*) FILTER (NOT own), count(*) FROM rows").fetchone()
            released, rows = counted or (0, 0)
            for statement in (_FIRSTS, _EQUAL_PAIRS, *([_EQUAL_ANSWERS] if self.equal_answers else []), _QUERIES):
                connection.execute(statement.format(released=released))
            save(connection, _JUDGED, self.work / "judged.parquet")
            compared = _COMPARED.format(answers=self.equal_answers, queries=self.queries)
            save(connection, compared, self.work / "compared.parquet")
        self.stat_update("rows", value=rows - released)
        self.stat_update("released", value=released)
        write_json(self.work / "summary.json", {"released": released, "rows": rows - released})
