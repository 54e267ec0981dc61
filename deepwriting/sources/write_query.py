"""Writing the query for a passage that has none (paper, section 2.3.1: queries reverse-engineered from books)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from datatrove.data import Document

from deepwriting.concurrency import ConcurrentStep
from deepwriting.errors import ContextOverflowError, RequestError
from deepwriting.recipe import EngineSection, PairSection
from deepwriting.seeds import derive_seed
from deepwriting.sources.check import language_of
from deepwriting.sources.query_check import first_sentences, valid_query
from deepwriting.sources.query_journal import QueryJournal, passage_key
from deepwriting.steps import reject

if TYPE_CHECKING:
    from deepwriting.engines.base import Engine
    from deepwriting.reer.prompts import PromptSet

#: How the request is begun for the model, by language.
KIND = {"en": "a passage of a story in which", "zh": "一段故事，其中"}
#: The template's file, by language.
FILE = "query.txt"
#: Keys of the recipe's `pairs` that decide what is written.
DECIDING_SETTINGS = ("query_attempts", "query_max_tokens", "query_may_name_book")


class WriteQuery(ConcurrentStep):
    """Has the generator write the query of each passage without one; passages for which no try is valid are rejected.

    What comes out for a passage goes into a journal before the next passage begins, so that a killed run does not write
    it again. A recipe without books needs neither model nor journal, and gets none.

    Args:
        generator: the generating engine's recipe section.
        settings: number of tries, their length, and whether they may name the book.
        prompts: name or folder of the prompt set.
        sampling: temperature, top_p and top_k.
        seed: the recipe's seed.
        concurrency: passages worked on at the same time.
        journal_folder: one journal file a task is kept here.

    Raises:
        JournalError: when running, if the journal was written under other settings.
    """

    name = "✍ Write query"

    def __init__(
        self,
        generator: EngineSection,
        settings: PairSection,
        *,
        prompts: str,
        sampling: dict[str, Any],
        seed: int,
        concurrency: int,
        journal_folder: str,
    ):
        super().__init__(concurrency)
        self.generator = generator
        self.settings = settings
        self.prompts = prompts
        self.sampling = sampling
        self.seed = seed
        self.journal_folder = journal_folder
        self._rank = 0
        self._tools: tuple[Engine, Mapping[str, PromptSet]] | None = None
        self._journal: QueryJournal | None = None

    def open(self, rank: int, world_size: int) -> None:
        """Remember whose journal it is; model and journal are opened for the first passage without a query."""
        self._rank = rank

    def _loaded(self) -> tuple[Engine, Mapping[str, PromptSet]]:
        """Engine and templates; not for passages that the journal knows."""
        if self._tools is None:
            from deepwriting.engines import get_engine
            from deepwriting.reer.prompts import load_prompts

            self._tools = get_engine(self.generator), load_prompts(self.prompts)
        return self._tools

    def _opened(self) -> QueryJournal:
        if self._journal is None:
            path = Path(self.journal_folder) / f"{self._rank:05d}.jsonl"
            self._journal = QueryJournal(path, self._decides())
        return self._journal

    def _decides(self) -> dict[str, Any]:
        """Everything that decides what is written for a passage, by name."""
        from deepwriting.reer.prompts import prompt_hashes

        return {
            **{f"generator.{key}": value for key, value in self.generator.identity.items()},
            **{f"sampling.{key}": value for key, value in self.sampling.items()},
            **{f"pairs.{key}": getattr(self.settings, key) for key in DECIDING_SETTINGS},
            **{f"prompts.{key}": value for key, value in prompt_hashes(self.prompts).items() if key.endswith(FILE)},
            "seed": self.seed,
        }

    def close(self) -> None:
        """Close the journal and let go of the engine, which stays for the next stage."""
        if self._journal is not None:
            self._journal.close()
        self._journal = self._tools = None

    async def process(self, doc: Document) -> Iterable[Document]:
        """Write the query of a passage that has none."""
        if doc.metadata.get("query") is not None:
            return [doc]
        language = language_of(doc.text)
        if language is None:
            return [reject(doc, "unsupported_language", "the passage is in neither Latin nor Chinese script")]
        journal, key = self._opened(), passage_key(doc.id, doc.text)
        outcome = journal.known(key)
        if outcome is None:
            outcome = await self._write(doc, language)
            journal.write(key, **outcome)
            await journal.safe()
            self.stat_update("passages_asked")
        else:
            self.stat_update("passages_from_journal")
        if "query" not in outcome:
            self.stat_update("queries_failed")
            return [reject(doc, outcome["reject"], outcome["detail"])]
        doc.metadata |= {"query": outcome["query"], "query_writer": outcome["writer"]}
        self.stat_update("queries_written")
        return [doc]

    async def _write(self, doc: Document, language: str) -> dict[str, str]:
        """Query and writer, or reason and detail of a reject."""
        engine, prompts = self._loaded()
        prompt = prompts[language]["query"].render(engine, answer=doc.text, kind=KIND[language])
        try:
            completions = await engine.sample(
                prompt.text,
                n=self.settings.query_attempts,
                max_tokens=self.settings.query_max_tokens,
                stop=("\n",),
                seed=derive_seed(self.seed, "query", doc.id),
                frequency_penalty=0.0,
                **self.sampling,
            )
        except ContextOverflowError as error:
            return {"reject": "context_overflow", "detail": str(error)}
        except RequestError as error:  # the engine goes on; without this passage it can
            return {"reject": "request_failed", "detail": str(error)}
        book = {} if self.settings.query_may_name_book else _book_of(doc)
        problems = []
        for completion in completions:
            query = first_sentences(prompt.assistant + completion.text)
            problem = valid_query(query, doc.text, language, book)
            if problem is None:
                return {"query": query, "writer": engine.info.model}
            problems.append(problem)
        return {
            "reject": "query_not_written",
            "detail": f"{len(problems)} tries: {', '.join(sorted(set(problems)))}",
        }


def _book_of(doc: Document) -> dict[str, str]:
    """Title and author of a passage's book, as far as its provenance names them."""
    provenance = orjson.loads(doc.metadata.get("provenance") or b"{}")
    return {key: provenance[key] for key in ("title", "author") if isinstance(provenance.get(key), str)}
