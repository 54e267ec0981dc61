"""dedupe: duplicates out, and what a benchmark asks for (paper, section 2.3.1).

    rows         N tasks   what has to be known of every row; copies of what was released before
    equal        1 task    order of all rows, equal pairs, source ids and answers
    signatures   N tasks   MinHash stage 1, of answers and of queries
    buckets      N tasks   MinHash stage 2
    clusters     1 task    MinHash stage 3
    shingles     N tasks   of the rows in clusters, to look at them again
    verdicts     1 task    near-duplicates, and at most so many answers to a query
    (no name)    N tasks   the rows are read again and written

The kept rows and the reasons of the others do not depend on the number of tasks. Work files are replaced as wholes or
written anew by the task that was interrupted, so a killed run goes on with the phase it was in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from datatrove.pipeline.base import PipelineStep

from deepwriting.recipe import Recipe
from deepwriting.stages.base import Phase, Stage, StageContext
from deepwriting.stages.writer import WriteShard


class DedupeStage(Stage):
    """Keeps one of equal and nearly equal pairs."""

    name = "dedupe"
    title = "remove duplicates and benchmark queries"
    version = 2

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """What counts as a duplicate, the order of the sources, which decides what stays, and the benchmarks."""
        from deepwriting.select.decontaminate import decontamination_settings

        return {
            "dedupe": recipe.dedupe.model_dump(),
            "sources": [source.label for source in recipe.sources],
            "decontaminate": decontamination_settings(recipe.decontaminate),
        }

    def check(self, recipe: Recipe) -> None:
        """Look for the files of the benchmarks and of earlier releases.

        Raises:
            SourceError: if one of them has none.
        """
        from deepwriting.select.benchmarks import benchmark_files
        from deepwriting.select.released import released_files

        for path in recipe.dedupe.earlier_release:
            released_files(path)

        for benchmark in recipe.decontaminate.benchmarks:
            benchmark_files(benchmark)

    def phases(self, context: StageContext) -> Iterator[Phase]:
        """From the table of rows to the verdicts, and their application."""
        # What does the work imports numpy and datatrove's MinHash: not for `deepwriting --help`.
        from deepwriting.select.duplicates import EqualRows
        from deepwriting.select.facts import TableOfRows
        from deepwriting.select.near import Pairs, Shingle, Sign, View, cluster_steps
        from deepwriting.select.verdicts import Judge

        settings, tasks = context.recipe.dedupe, self.tasks(context.recipe)
        source, work = context.run.stage("source").shards, context.run.stage(self.name).work
        labels = [section.label for section in context.recipe.sources]
        views = []
        if settings.near_duplicate_answers:
            views.append(View("answer", settings.answer_shingle, settings.answer_similarity))
        if settings.compares_queries:
            views.append(View("query", settings.query_shingle, settings.query_similarity))
        yield Phase("rows", [TableOfRows(source, work, labels, settings.earlier_release)], tasks)
        equal = EqualRows(work, equal_answers=settings.near_duplicate_answers, queries=settings.compares_queries)
        yield Phase("equal", [equal], 1)
        if views:
            hashes = settings.buckets, settings.hashes_per_bucket
            yield Phase("signatures", [Sign(source, work, views, *hashes)], tasks)
            yield Phase("buckets", [Pairs(work, views, *hashes)], tasks)
            yield Phase("clusters", cluster_steps(work, views, *hashes), 1)
            yield Phase("shingles", [Shingle(source, work, views)], tasks)
        yield Phase("verdicts", [Judge(work, views, settings.max_answers_per_query)], 1)
        yield Phase("", self.last_steps(context), tasks)  # its logs are the stage's own

    def last_steps(self, context: StageContext) -> list[PipelineStep]:
        """The steps of the last phase: rows with verdicts, the benchmarks' look at those that are left, writer."""
        from deepwriting.select.decontaminate import Decontaminate
        from deepwriting.select.verdicts import ApplyVerdicts

        source, folder = context.run.stage("source").shards, context.run.stage(self.name)
        decontaminate = Decontaminate(context.recipe.decontaminate)
        return [ApplyVerdicts(source, folder.work), decontaminate, WriteShard(str(folder.path))]

    def facts(self, context: StageContext) -> dict[str, Any]:
        """How many released rows the pairs were compared with."""
        summary = json.loads((context.run.stage(self.name).work / "summary.json").read_text(encoding="utf-8"))
        return {"released_rows": summary["released"]}
