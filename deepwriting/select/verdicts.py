"""The verdict about every row: whether it goes on, and if not, what it duplicates.

equal pairs and answers → near-duplicates → more than K answers to a query
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from deepwriting.select.near import View, near_duplicates, read_shingles
from deepwriting.select.shards import shards_of_task
from deepwriting.select.tables import TableWriter, database, marked, parquet, rows_of_file, save
from deepwriting.shards import read_shard
from deepwriting.steps import reject

#: A row whose answer is a near-duplicate, then a row whose answer equals that of such a row.
_NEAR_ANSWERS = """
UPDATE judged SET same = near.same, similarity = near.similarity, equal_answer = false,
    reason = if(near.same < {released}, 'in_earlier_release', 'near_duplicate_answer')
FROM near_answer AS near WHERE judged.reason IS NULL AND judged.number = near.number;
UPDATE judged SET same = near.same, similarity = near.similarity, equal_answer = false,
    reason = if(near.same < {released}, 'in_earlier_release', 'near_duplicate_answer')
FROM near_answer AS near WHERE judged.equal_answer AND judged.same = near.number;
"""
#: Rows of one query, the best first: released ones, then by score, then in source order.
_BEST = """
CREATE TABLE ranked AS SELECT number, row_number() OVER best AS place, first_value(number) OVER best AS first
FROM (SELECT judged.*, coalesce(near.same, asked) AS request
      FROM judged LEFT JOIN near_query AS near ON judged.asked = near.number WHERE reason IS NULL)
WINDOW best AS (PARTITION BY request ORDER BY own, score DESC NULLS LAST, number)
"""
_ENOUGH = """
UPDATE judged SET reason = 'enough_answers', same = ranked.first
FROM ranked WHERE judged.number = ranked.number AND judged.own AND ranked.place > {answers}
"""
_VERDICTS = """
SELECT judged.file, judged.row, judged.reason,
    CASE WHEN judged.reason = 'duplicate_source_id' THEN judged.name || ' stands for pair ' || other.id || ' already'
        WHEN judged.reason = 'enough_answers' THEN '{better} to the query of ' || other.name
        WHEN judged.similarity IS NOT NULL THEN printf('near-duplicate (%.2f) of ', judged.similarity) || other.name
        WHEN judged.equal_answer THEN 'same answer as ' || other.name
        ELSE 'duplicate of ' || other.name END AS detail
FROM judged JOIN judged AS other ON judged.same = other.number
WHERE judged.own AND judged.reason IS NOT NULL ORDER BY judged.file, judged.row
"""


class Judge(PipelineStep):
    """Phase 7, one task: writes ``verdicts.parquet``, the rows that do not go on and why.

    Args:
        work: the stage's work folder.
        views: what was compared.
        answers: most answers to one query; ``None`` for any number.
    """

    type = "🫂 - DEDUP"
    name = "Verdicts"

    def __init__(self, work: Path, views: list[View], answers: int | None):
        super().__init__()
        self.work, self.views, self.answers = work, views, answers

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        """Write the table."""
        assert world_size == 1, "verdicts need all rows"
        with self.track_time():
            for name in ("answer", "query"):
                self._near(name)
            released = json.loads((self.work / "summary.json").read_text(encoding="utf-8"))["released"]
            with database(self.work / "scratch") as connection:
                connection.execute(
                    f"CREATE TABLE judged AS SELECT *, NULL::DOUBLE AS similarity "
                    f"FROM {parquet(self.work / 'judged.parquet')}"
                )
                for name in ("answer", "query"):
                    connection.execute(f"CREATE VIEW near_{name} AS FROM {parquet(self._near_file(name))}")
                connection.execute(_NEAR_ANSWERS.format(released=released))
                if self.answers is not None:
                    connection.execute(_BEST)
                    connection.execute(_ENOUGH.format(answers=self.answers))
                better = f"{self.answers} better answer{'s' if self.answers != 1 else ''}"
                save(connection, _VERDICTS.format(better=better), self.work / "verdicts.parquet")

    def _near_file(self, name: str) -> Path:
        return self.work / f"near_{name}.parquet"

    def _near(self, name: str) -> None:
        import pyarrow as pa

        columns = pa.schema([("number", pa.uint32()), ("same", pa.uint32()), ("similarity", pa.float64())])
        with TableWriter(self._near_file(name), columns) as table:
            for view in self.views:
                if view.name == name:
                    for number, same, similarity in near_duplicates(read_shingles(self.work, view), view.similarity):
                        table.add(number, same, similarity)
                        self.stat_update(f"near_duplicate_{name}")


class ApplyVerdicts(PipelineStep):
    """Last phase: reads this task's shards again, and marks the rows that do not go on.

    Args:
        source: folder of the source stage's shards.
        work: the stage's work folder.
    """

    type = "📖 - READER"
    name = "Rows and verdicts"

    def __init__(self, source: Path, work: Path):
        super().__init__()
        self.source, self.work = source, work

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Yield every row."""
        for file, path in shards_of_task(self.source, None, rank, world_size):
            verdicts = rows_of_file(self.work / "verdicts.parquet", file, ["row", "reason", "detail"])
            kept = 0
            for raw, verdict in marked(read_shard(path), verdicts):
                doc = Document(text=raw["text"], id=raw["id"], metadata=raw["metadata"])
                if verdict is None:
                    kept += 1
                else:
                    reject(doc, *verdict)
                yield doc
            self.stat_update("kept", value=kept)
