"""What the generators write in a search: first thinkings and refinements of a segment (paper, section 2.2, steps 1-2).

Each text is parsed and checked here; the search decides only by scores. A prompt leaves a text less room than its limit
if the context asks for it, and a text that would get too little room is not asked for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepwriting.engines.base import Completion, Engine
from deepwriting.errors import ContextOverflowError
from deepwriting.recipe import SearchSection
from deepwriting.reer.candidates import (
    Proposal,
    check_given,
    check_refinement,
    check_thinking,
    opening_words,
    parse_refinement,
    parse_thinking,
)
from deepwriting.reer.prompts import PromptSet, Rendered
from deepwriting.reer.segments import Trajectory, keep_text, split_segments

#: Where a refinement that the prompt has begun ends besides its closing tag: with its paragraph.
PARAGRAPH_END = "\n"


@dataclass(frozen=True)
class Candidate:
    """A proposed refinement.

    Attributes:
        generator: index of the generator that wrote it.
        proposal: its text, or why there is none.
    """

    generator: int
    proposal: Proposal


class ThinkingWriter:
    """Writes for one pair.

    Args:
        generators: engines that take turns.
        prompts: templates in the query's language.
        settings: the recipe's search section.
        query: the query x.
        answer: the solution y.
        count: length of a text for the scorer (tokens).
        seed_for: seeds by purpose.
    """

    def __init__(
        self,
        generators: Sequence[Engine],
        prompts: PromptSet,
        settings: SearchSection,
        query: str,
        answer: str,
        *,
        count: Callable[[str], int],
        seed_for: Callable[..., int],
    ):
        self.generators, self.prompts, self.settings = generators, prompts, settings
        self.query, self.answer = query, answer
        self.count, self.seed_for = count, seed_for

    async def first_thinking(self, turn: int, attempt: int) -> tuple[str, str, Trajectory | None]:
        """A first thinking in segments; or why the sampled one is unfit, with a sentence where there is more to say.

        Args:
            turn: whose turn it is among the generators.
            attempt: index of the attempt, which decides the seed.
        """
        settings, seed = self.settings, self.seed_for("initial", attempt)
        generator = self.generators[turn % len(self.generators)]
        opener = random.Random(seed).choice(self.prompts.openers)
        prompt = self.prompts["initial"].render(generator, query=self.query, answer=self.answer, opener=opener)
        try:
            [completion] = await self._sample(
                generator, prompt, 1, settings.max_thinking_tokens, settings.min_thinking_tokens, ("</think>",), seed
            )
        except ContextOverflowError as error:
            return "context_overflow", str(error), None
        proposal = parse_thinking(opener, completion, settings.unclosed)
        if reason := proposal.refusal or check_thinking(proposal.text, self.answer, settings):
            return reason, "", None
        return self._searchable(split_segments(proposal.text, settings.min_segment_chars))

    def given_thinking(self, text: str) -> tuple[str, str, Trajectory | None]:
        """A thinking that came with the pair, unchanged, in segments; or why it is unfit, as ``first_thinking`` tells.

        Its length and its segments matter only if there are steps to come.
        """
        if reason := check_given(text, self.answer, self.settings):
            return reason, "", None
        trajectory = keep_text(text, self.settings.min_segment_chars)
        return self._searchable(trajectory) if self.settings.max_steps else ("", "", trajectory)

    def _searchable(self, trajectory: Trajectory) -> tuple[str, str, Trajectory | None]:
        """The trajectory, if it is long enough and has several segments."""
        tokens, least = self.count(trajectory.text), self.settings.min_thinking_tokens
        if len(trajectory.segments) < 2:
            return "one_segment", f"{tokens} tokens in one segment", None
        if tokens < least:
            return "short_thinking", f"{tokens} tokens, {least} are needed", None
        return "", "", trajectory

    async def refinements(self, best: Trajectory, index: int, step: int) -> list[Candidate]:
        """Candidates for a segment, checked.

        Args:
            best: the best trajectory so far.
            index: the segment.
            step: steps taken before, which decides the seed.
        """
        shares = [len(range(g, self.settings.candidates, len(self.generators))) for g in range(len(self.generators))]
        written = await asyncio.gather(*(self._write(g, n, best, index, step) for g, n in enumerate(shares)))
        others = (*best.segments[:index], *best.segments[index + 1 :])
        candidates: list[Candidate] = []
        for generator, texts in enumerate(written):
            for proposal in texts:
                checked = proposal
                if proposal.refusal is None:
                    whole = best.replaced(index, proposal.text).text
                    seen = (*others, *(c.proposal.text for c in candidates))
                    refusal = check_refinement(
                        proposal.text, whole, best.segments[index], seen, self.answer, self.settings
                    )
                    checked = Proposal(proposal.text, refusal)
                candidates.append(Candidate(generator, checked))
        return candidates

    async def _write(self, which: int, n: int, best: Trajectory, index: int, step: int) -> list[Proposal]:
        """A generator's refinements of a segment, parsed."""
        settings, segment, generator = self.settings, best.segments[index], self.generators[which]
        seed = self.seed_for("step", step, which) if which else self.seed_for("step", step)
        last = index == len(best.segments) - 1
        phrases = self.prompts.closers if last else self.prompts.triggers
        prompt = self.prompts["refine"].render(
            generator, query=self.query, answer=self.answer, before=best.before(index), segment=segment,
            after=best.after(index), opening=opening_words(segment),
            trigger=random.Random(seed).choice(phrases) if phrases else "",
        )  # fmt: skip
        begun = "<refine>" in prompt.assistant
        stop = ("</refine>", PARAGRAPH_END) if begun else ("</refine>",)
        least = min(settings.max_segment_tokens, generator.count_tokens(segment))
        try:
            completions = await self._sample(generator, prompt, n, settings.max_segment_tokens, least, stop, seed)
        except ContextOverflowError:
            return [Proposal("", "context_overflow")] * n
        return [parse_refinement(prompt.assistant, completion, settings.unclosed) for completion in completions]

    async def _sample(
        self, generator: Engine, prompt: Rendered, n: int, limit: int, least: int, stop: tuple[str, ...], seed: int
    ) -> list[Completion]:
        """Sample with the recipe's settings, within what the prompt leaves of the context.

        Raises:
            ContextOverflowError: if that is less than ``least`` tokens.
        """
        settings, info = self.settings, generator.info
        room = info.context_tokens - generator.count_tokens(prompt.text)
        if room < least:
            raise ContextOverflowError(
                f"the prompt leaves {max(room, 0)} of {info.context_tokens} tokens of {info.model}, {least} are needed"
            )
        return await generator.sample(
            prompt.text,
            n=n,
            max_tokens=min(limit, room),
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k,
            frequency_penalty=settings.frequency_penalty,
            stop=stop,
            seed=seed,
        )
