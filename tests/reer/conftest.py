from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepwriting.engines.base import Abandon, Completion, EngineInfo, TargetScore, Usage
from deepwriting.errors import ContextOverflowError
from deepwriting.recipe import SearchSection
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.search import LocalSearch

TOKEN = re.compile(r"\s*(?:[\u4e00-\u9fff]|\w+|[^\w\s])|\s+$")
WORD = re.compile(r"[\u4e00-\u9fff]|[a-z]+", re.IGNORECASE)

QUERY = "Write a short scene in which a lighthouse keeper finds a letter from the sea."
ANSWER = (
    "The keeper climbs the stairs before dawn.\n\n"
    "A bottle waits on the wet rocks. Inside it lies a letter, and the letter smells of salt and tar. "
    "The keeper reads it twice, folds it, and lights the lamp for a ship that sank long ago."
)


class CountingEngine:
    """A small language model that counts: it writes words of its prompt, and is surprised by words it has not seen.

    Scoring mixes unigram and bigram counts of the text so far with a uniform share; sampling draws words of the
    prompt by a generator that depends on prompt, seed and index alone.
    """

    uniform_share = 0.1
    vocabulary = 10_000

    def __init__(
        self, *, context_tokens: int = 100_000, paragraphs: int = 4, sentences: int = 3, words: str | None = None,
        name: str = "counts",
    ):  # fmt: skip
        self.name = name
        self.context_tokens = context_tokens
        self.paragraphs = paragraphs
        self.sentences = sentences
        self.words = words
        self.sampled: list[tuple[str, int, int]] = []
        self.scored = 0

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("counting", self.name, "1", "float32", "cpu", self.context_tokens)

    @property
    def usage(self) -> Usage:
        return Usage()

    def count_tokens(self, text: str) -> int:
        return len(TOKEN.findall(text))

    def render(self, user: str, assistant: str = "") -> str:
        return f"[user]\n{user}\n[assistant]\n{assistant}"

    def control_tokens(self) -> Sequence[str]:
        return ["[user]", "[assistant]"]

    async def sample(
        self,
        prompt: str,
        *,
        n: int,
        max_tokens: int,
        temperature: float,
        top_p: float,
        top_k: int,
        frequency_penalty: float,
        stop: Sequence[str],
        seed: int,
    ) -> list[Completion]:
        self._check(self.count_tokens(prompt) + 1)
        self.sampled.append((prompt, seed, n))
        return [self._complete(prompt, max_tokens, stop, random.Random(f"{seed}:{i}:{prompt}")) for i in range(n)]

    def _complete(self, prompt: str, max_tokens: int, stop: Sequence[str], rng: random.Random) -> Completion:
        pool = WORD.findall(self.words if self.words is not None else prompt)
        turn = prompt.rpartition("[assistant]\n")[2]
        if "<think>" in turn:
            text = " " + "\n\n".join(self._paragraph(pool, rng) for _ in range(self.paragraphs)) + "\n</think>"
        elif "<refine>" in turn:
            text = " " + self._paragraph(pool, rng) + "\n</refine>"
        else:
            text = f"{self._paragraph(pool, rng)}</analyze>\n<refine>\n{self._paragraph(pool, rng)}\n</refine>"
        tokens = list(TOKEN.finditer(text))
        cut = len(text) if len(tokens) <= max_tokens else tokens[max_tokens - 1].end()
        stops = [at for at in (text.find(s, 0, cut) for s in stop) if at >= 0]
        if stops:
            return Completion(text[: min(stops)], self.count_tokens(text[: min(stops)]), "stop")
        return Completion(text[:cut], min(len(tokens), max_tokens), "length" if cut < len(text) else "eos")

    def _paragraph(self, pool: Sequence[str], rng: random.Random) -> str:
        sentences = []
        for _ in range(self.sentences):
            words = rng.choices(pool, k=rng.randint(6, 12))
            sentences.append(" ".join(words).capitalize() + ".")
        return " ".join(sentences)

    async def score(
        self, prefix: str, middles: Sequence[str], target: str, *, abandon: Abandon | None = None
    ) -> list[TargetScore]:
        return [self._abandoned(self._score(prefix + middle, target), abandon) for middle in middles]

    def _abandoned(self, whole: TargetScore, abandon: Abandon | None) -> TargetScore:
        """What is left of a score if ``abandon`` is asked behind every token."""
        for seen in range(1, len(whole.logprobs)):
            if abandon is not None and abandon(whole.logprobs[:seen]):
                return TargetScore(whole.logprobs[:seen], whole.total_tokens, complete=False)
        return whole

    async def score_each(self, prefix: str, targets: Sequence[str]) -> list[TargetScore]:
        return [self._score(prefix, target) for target in targets]

    def _score(self, head: str, target: str) -> TargetScore:
        self.scored += 1
        spans = list(TOKEN.finditer(head + target))
        self._check(len(spans))
        singles: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        logprobs, previous = [], ""
        for seen, span in enumerate(spans):
            word = span.group().strip().lower()
            if span.end() > len(head):
                single = singles[word] / max(seen, 1)
                pair = pairs[previous, word] / max(singles[previous], 1)
                known = (single + pair) / 2
                logprobs.append(math.log((1 - self.uniform_share) * known + self.uniform_share / self.vocabulary))
            singles[word] += 1
            pairs[previous, word] += 1
            previous = word
        return TargetScore(np.array(logprobs, dtype=np.float32), len(spans))

    def _check(self, tokens: int) -> None:
        if tokens > self.context_tokens:
            raise ContextOverflowError(f"{tokens} tokens do not fit into {self.context_tokens} of counts")


@pytest.fixture(scope="session")
def counting_engine() -> type[CountingEngine]:
    """The class; its instances hold what was asked of them."""
    return CountingEngine


@pytest.fixture(scope="session")
def pair() -> tuple[str, str]:
    """A query and its solution."""
    return QUERY, ANSWER


@pytest.fixture(scope="session")
def settings() -> Callable[..., SearchSection]:
    """A search section for short texts; keywords replace values."""

    def make(**values: Any) -> SearchSection:
        # A counting model is never as sure as a trained one: with the paper's floor every score would be 2.
        return SearchSection.model_validate({"clip_logprob": -20.0, "min_thinking_tokens": 20, **values})

    return make


@pytest.fixture
def searching(tmp_path: Path) -> Callable[..., Any]:
    """Opens a search over a journal: ``with searching(engine, section) as search``."""
    numbers = itertools.count()

    @contextmanager
    def opened(
        engine: Any, section: SearchSection, *, journal: Path | None = None, seed: int = 7, hash_: str = "settings",
        scorer: Any = None,
    ) -> Iterator[LocalSearch]:  # fmt: skip
        engines = engine if isinstance(engine, list) else [engine]
        path = journal or tmp_path / f"{next(numbers)}.jsonl"
        with Journal(path, hash_) as book:
            yield LocalSearch(
                engines, scorer or engines[0], load_prompts(section.prompts), section, seed=seed, journal=book
            )

    return opened
