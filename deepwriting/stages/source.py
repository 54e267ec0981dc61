"""source: candidate pairs from every source, each with a query, checked (paper, section 2.3.1)."""

from __future__ import annotations

from typing import Any

from datatrove.pipeline.base import PipelineStep

from deepwriting.recipe import Recipe
from deepwriting.reer.prompts import prompt_hashes
from deepwriting.sources import SOURCE_KINDS
from deepwriting.sources.check import CheckPair
from deepwriting.sources.write_query import WriteQuery
from deepwriting.stages.base import SimpleStage, StageContext
from deepwriting.stages.writer import WriteShard


class SourceStage(SimpleStage):
    """Reads all sources, has missing queries written, checks every pair."""

    name = "source"
    title = "read pairs from the sources"

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """Sources and checks; the generator too, if books need queries."""
        settings: dict[str, Any] = {
            "sources": [source.model_dump() for source in recipe.sources],
            "pairs": recipe.pairs.model_dump(),
        }
        if any(source.kind == "gutenberg" for source in recipe.sources):
            hashes = prompt_hashes(recipe.search.prompts)
            settings |= {
                "generator": recipe.engines.generator.identity,
                "sampling": self._sampling(recipe),
                "prompts": {name: value for name, value in hashes.items() if name.endswith("query.txt")},
                "seed": recipe.seed,
            }
        return settings

    def steps(self, context: StageContext) -> list[PipelineStep]:
        """Readers, query writer, check, writer."""
        recipe = context.recipe
        readers = [
            SOURCE_KINDS[source.kind](
                source.path, name=source.label, license=source.license, limit=source.limit, **source.options
            )
            for source in recipe.sources
        ]
        write_query = WriteQuery(
            recipe.engines.generator,
            recipe.pairs,
            prompts=recipe.search.prompts,
            sampling=self._sampling(recipe),
            seed=recipe.seed,
            concurrency=recipe.search.concurrency,
            journal_folder=str(context.run.stage(self.name).path / "journal"),
        )
        check = CheckPair(
            min_answer_chars=recipe.pairs.min_answer_chars,
            max_answer_chars=recipe.pairs.max_answer_chars,
            max_query_chars=recipe.pairs.max_query_chars,
        )
        return [*readers, write_query, check, WriteShard(str(context.run.stage(self.name).path))]

    @staticmethod
    def _sampling(recipe: Recipe) -> dict[str, Any]:
        return recipe.search.model_dump(include={"temperature", "top_p", "top_k"})
