"""source: candidate pairs from every source, cleaned, each with a query, checked (paper, section 2.3.1)."""

from __future__ import annotations

from typing import Any

from datatrove.pipeline.base import PipelineStep

from deepwriting.cleaning import cleaning_steps
from deepwriting.cleaning.lexicon import load_lexicon
from deepwriting.cleaning.requests import WritingRequests
from deepwriting.recipe import Recipe
from deepwriting.reer.prompts import prompt_hashes
from deepwriting.sources import SOURCE_KINDS
from deepwriting.sources.check import CheckPair, RejectGiants
from deepwriting.sources.write_query import WriteQuery
from deepwriting.stages.base import SimpleStage, StageContext
from deepwriting.stages.writer import WriteShard


class SourceStage(SimpleStage):
    """Reads all sources, cleans what they give, has missing queries written, checks every pair."""

    name = "source"
    title = "read pairs from the sources"
    version = 3

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """Sources, cleaning and checks; the generator if books need queries, the scorer if it is asked about chats."""
        settings: dict[str, Any] = {
            "sources": [source.model_dump(exclude={"cleaning"}) for source in recipe.sources],
            "pairs": recipe.pairs.model_dump(),
            "cleaning": self._cleaning(recipe),
        }
        if any(section.classify_requests for section in recipe.cleaning_by_source.values()):
            hashes = prompt_hashes(recipe.search.prompts)
            settings |= {
                "scorer": recipe.engines.scoring.identity,
                "request_prompts": {name: value for name, value in hashes.items() if name.endswith("request.txt")},
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

    def models(self, recipe: Recipe) -> bool:
        """The generator if books need queries, the scorer if it is asked about chats."""
        sections = {"generator": recipe.engines.generator, "scorer": recipe.engines.scoring}
        asked = self.settings(recipe)
        return any(role in asked and section.runs_here for role, section in sections.items())

    def steps(self, context: StageContext) -> list[PipelineStep]:
        """Readers, cleaning, query writer, check, writer."""
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
        requests = WritingRequests(
            recipe.engines.scoring,
            recipe.cleaning_by_source,
            prompts=recipe.search.prompts,
            concurrency=recipe.search.concurrency,
        )
        giants = RejectGiants(
            max_answer_chars=recipe.pairs.max_answer_chars, max_query_chars=recipe.pairs.max_query_chars
        )
        clean = cleaning_steps(recipe.cleaning_by_source)
        writer = WriteShard(str(context.run.stage(self.name).path))
        return [*readers, giants, *clean, requests, write_query, check, writer]

    @staticmethod
    def _cleaning(recipe: Recipe) -> dict[str, Any]:
        """Every source's settings; lexicons by what they say, not by their paths."""
        found = {}
        for label, section in recipe.cleaning_by_source.items():
            settings = section.model_dump(exclude={"harm_lexicon", "harm_model_batch"})
            if section.harm:
                settings["lexicon"] = load_lexicon(section.harm_lexicon, section.harm_lexicon_mode).digest
            found[label] = settings
        return found

    @staticmethod
    def _sampling(recipe: Recipe) -> dict[str, Any]:
        return recipe.search.model_dump(include={"temperature", "top_p", "top_k"})
