"""The reference algorithm of the search, straight: one pair, one step, one candidate after the other, nothing reused.

What it computes is what the original implementation computes (paper, section 2.2, and the notes on the original in the
README of this folder): the same prompts, segments, guards, text layout and acceptance rule as ``LocalSearch``, under
the same settings object. How it computes is what a first version does: ``generate`` for each sample, and for each
score one forward pass over the whole text with logits for all of it (``PlainTransformers``); or one request after the
other to a server that speaks vLLM's completions API with ``prompt_logprobs``, as the original does (``PlainServer``).

Options of ours that go beyond the original (several generators, pruning, racing, second passes) have no part in it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common import Pair
from reference_backends import Backend

from deepwriting.metrics.perplexity import clipped_mean_nll
from deepwriting.recipe import SearchSection
from deepwriting.reer.candidates import (
    check_refinement,
    check_thinking,
    opening_words,
    parse_refinement,
    parse_thinking,
)
from deepwriting.reer.prompts import PromptSet
from deepwriting.reer.scoring import THINK_CLOSE, THINK_OPEN
from deepwriting.reer.segments import split_scored, split_segments
from deepwriting.reer.writing import PARAGRAPH_END
from deepwriting.schema import row_id
from deepwriting.seeds import derive_seed


@dataclass
class Searched:
    """What the reference search found for a pair.

    Attributes:
        pair: the pair.
        skipped: why it was not searched, or empty.
        initial: the first thinking.
        final: the best one.
        before: search score of the first thinking (nats).
        after: search score of the best one (nats).
        steps: steps taken.
        accepted: steps that changed a segment.
        scored: every thinking that was scored, with its search score.
    """

    pair: Pair
    skipped: str = ""
    initial: str = ""
    final: str = ""
    before: float = float("nan")
    after: float = float("nan")
    steps: int = 0
    accepted: int = 0
    scored: list[tuple[str, float]] = field(default_factory=list)


class ReferenceSearch:
    """The search, one thing after the other.

    Args:
        backend: who samples and scores.
        prompts: templates by language.
        settings: the search section of a recipe.
        seed: the recipe's seed.
    """

    def __init__(self, backend: Backend, prompts: Mapping[str, PromptSet], settings: SearchSection, *, seed: int):
        self.backend = backend
        self.prompts = prompts
        self.settings = settings
        self.seed = seed

    def search(self, pair: Pair) -> Searched:
        """Search one pair (paper, section 2.2)."""
        settings, found = self.settings, Searched(pair)
        thinking = self._first_thinking(found)
        if thinking is None:
            return found
        best = split_segments(thinking, settings.min_segment_chars)
        found.initial = best.text
        current = found.before = self._score(found, best.text)
        needed = self.backend.noise_nats + settings.min_gain
        for index in range(min(settings.max_steps, len(best.segments))):
            if current <= settings.stop_score:
                break
            tried = []
            for text in self._candidates(pair, best, index):
                changed = best.replaced(index, text)
                tried.append((self._score(found, changed.text), changed))
            found.steps += 1
            if tried:
                score, changed = min(tried, key=lambda item: item[0])
                if score < current - needed:
                    best, current = changed, score
                    found.accepted += 1
        found.final, found.after = best.text, current
        return found

    def _first_thinking(self, found: Searched) -> str | None:
        settings, pair = self.settings, found.pair
        prompts = self.prompts[pair.language]
        for attempt in range(settings.initial_attempts):
            seed = self._seed(pair, "initial", attempt)
            opener = random.Random(seed).choice(prompts.openers)
            prompt = prompts["initial"].render(self.backend, query=pair.query, answer=pair.answer, opener=opener)
            sampled = self.backend.sample(prompt.text, 1, settings.max_thinking_tokens, ("</think>",), seed, settings)
            proposal = parse_thinking(opener, sampled[0], settings.unclosed)
            found.skipped = proposal.refusal or check_thinking(proposal.text, pair.answer, settings) or ""
            if not found.skipped and len(split_segments(proposal.text, settings.min_segment_chars).segments) < 2:
                found.skipped = "one_segment"
            if not found.skipped and self.backend.count_tokens(proposal.text) < settings.min_thinking_tokens:
                found.skipped = "short_thinking"
            if not found.skipped:
                return proposal.text
        return None

    def _candidates(self, pair: Pair, best: Any, index: int) -> list[str]:
        settings, prompts, segment = self.settings, self.prompts[pair.language], best.segments[index]
        seed = self._seed(pair, "step", index)
        phrases = prompts.closers if index == len(best.segments) - 1 else prompts.triggers
        prompt = prompts["refine"].render(
            self.backend, query=pair.query, answer=pair.answer, before=best.before(index), segment=segment,
            after=best.after(index), opening=opening_words(segment),
            trigger=random.Random(seed).choice(phrases) if phrases else "",
        )  # fmt: skip
        stop = ("</refine>", PARAGRAPH_END) if "<refine>" in prompt.assistant else ("</refine>",)
        fit: list[str] = []
        seen = [*best.segments[:index], *best.segments[index + 1 :]]
        for completion in self.backend.sample(
            prompt.text, settings.candidates, settings.max_segment_tokens, stop, seed, settings
        ):
            proposal = parse_refinement(prompt.assistant, completion, settings.unclosed)
            if proposal.refusal is None:
                whole = best.replaced(index, proposal.text).text
                if check_refinement(proposal.text, whole, segment, seen, pair.answer, settings) is None:
                    fit.append(proposal.text)
            seen.append(proposal.text)
        return fit

    def _score(self, found: Searched, thinking: str) -> float:
        value = self.score(found.pair, thinking)
        found.scored.append((thinking, value))
        return value

    def score(self, pair: Pair, thinking: str) -> float:
        """Search score of a thinking: clipped mean negative log-likelihood of y behind it (nats)."""
        settings = self.settings
        inference = self.prompts[pair.language]["inference"].render(self.backend, query=pair.query).text
        head, target = split_scored(pair.answer, score_first_segment=settings.score_first_segment)
        logprobs = self.backend.logprobs(inference + THINK_OPEN + thinking + THINK_CLOSE + head, target)
        return clipped_mean_nll(logprobs, settings.clip_logprob)

    def _seed(self, pair: Pair, *what: object) -> int:
        """The seed that ``LocalSearch`` gives the same request."""
        return derive_seed(self.seed, row_id(pair.id, 0), *what)
