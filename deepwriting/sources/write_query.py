"""Writing the query for a passage that has none (paper, section 2.3.1: queries reverse-engineered from books)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from datatrove.data import Document

from deepwriting.concurrency import ConcurrentStep
from deepwriting.errors import ContextOverflowError
from deepwriting.metrics.copying import longest_copied_run
from deepwriting.recipe import EngineSection, PairSection
from deepwriting.seeds import derive_seed
from deepwriting.sources.check import language_of
from deepwriting.steps import reject

if TYPE_CHECKING:
    from deepwriting.engines.base import Engine
    from deepwriting.reer.prompts import PromptSet

#: Longest run of the passage that a query may hold (words): names and set phrases pass, a quotation does not.
MAX_QUOTED_WORDS = 7
#: A query is at least this long (characters); shorter ones ask for nothing in particular.
MIN_QUERY_CHARS = {"en": 30, "zh": 10}
#: How the request is begun for the model, by language.
KIND = {"en": "a passage of a story in which", "zh": "一段故事，其中"}
OPENING = {"en": "Write ", "zh": "请写"}

_SENTENCE = re.compile(r".*?[.!?。！？](?=\s|$|[^\x00-\x7f])", re.DOTALL)


def valid_query(query: str, passage: str, language: str) -> str | None:
    """Why a written query cannot be used, or ``None``."""
    if len(query) < MIN_QUERY_CHARS[language]:
        return "query_too_short"
    if longest_copied_run(passage, query) > MAX_QUOTED_WORDS:
        return "query_quotes_passage"
    if language_of(query) != language:
        return "query_in_wrong_language"
    return None


def first_sentences(text: str, count: int = 2) -> str:
    """The first finished sentences of a text, on one line; empty if none is finished."""
    found = [match.group().strip() for match in _SENTENCE.finditer(text.strip().split("\n\n")[0])]
    return " ".join(found[:count]).replace("\n", " ")


class WriteQuery(ConcurrentStep):
    """Has the generator write the query of each passage without one; passages for which no try is valid are rejected.

    Args:
        generator: the generating engine's recipe section.
        settings: number of tries and their length.
        prompts: name or folder of the prompt set.
        sampling: temperature, top_p and top_k.
        seed: the recipe's seed.
        concurrency: passages worked on at the same time.
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
    ):
        super().__init__(concurrency)
        self.generator = generator
        self.settings = settings
        self.prompts = prompts
        self.sampling = sampling
        self.seed = seed
        self._tools: tuple[Engine, Mapping[str, PromptSet]] | None = None

    def _loaded(self) -> tuple[Engine, Mapping[str, PromptSet]]:
        """Engine and templates; not in ``open``, since a recipe without books needs no model for its first stage."""
        if self._tools is None:
            from deepwriting.engines import get_engine
            from deepwriting.reer.prompts import load_prompts

            self._tools = get_engine(self.generator), load_prompts(self.prompts)
        return self._tools

    def close(self) -> None:
        """Let go of the engine, which stays for the next stage."""
        self._tools = None

    async def process(self, doc: Document) -> Iterable[Document]:
        """Write the query of a passage that has none."""
        if doc.metadata.get("query") is not None:
            return [doc]
        language = language_of(doc.text)
        if language is None:
            return [reject(doc, "unsupported_language", "the passage is in neither Latin nor Chinese script")]
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
            return [reject(doc, "context_overflow", str(error))]
        problems = []
        for completion in completions:
            query = first_sentences(prompt.assistant + completion.text)
            problem = valid_query(query, doc.text, language)
            if problem is None:
                doc.metadata["query"] = query
                doc.metadata["query_writer"] = engine.info.model
                self.stat_update("queries_written")
                return [doc]
            problems.append(problem)
        self.stat_update("queries_failed")
        return [reject(doc, "query_not_written", f"{len(problems)} tries: {', '.join(sorted(set(problems)))}")]
