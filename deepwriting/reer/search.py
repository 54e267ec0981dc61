"""The iterative local search (paper, section 2.2).

    1. Initialisation        a first thinking z(0) from query and solution       ``_initialise``
    2. Node expansion        candidates for one segment                          ``_expand``
    3. Evaluation, selection the candidate under which y is least surprising     ``_step``
    4. Termination           the target score, the step limit, or no segment left ``search``

The search knows engines only by ``sample`` and ``score``. Each finished step is in the journal before the next begins,
and a search that finds its row in the journal goes on where that ends.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepwriting.engines.base import Completion, Engine
from deepwriting.errors import ContextOverflowError
from deepwriting.recipe import SearchSection
from deepwriting.reer.candidates import (
    Proposal,
    check_refinement,
    check_thinking,
    opening_words,
    parse_refinement,
    parse_thinking,
)
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import PromptSet, Rendered
from deepwriting.reer.scoring import Score, SolutionScorer
from deepwriting.reer.segments import Trajectory, split_segments
from deepwriting.schema import row_id
from deepwriting.seeds import derive_seed

#: Where a refinement that the prompt has begun ends besides its closing tag: with its paragraph.
PARAGRAPH_END = "\n"


@dataclass(frozen=True)
class Skipped:
    """A pair that could not be searched.

    Attributes:
        reason: short reason, counted and written to the rejects.
        detail: one sentence.
        refusals: how often candidates were refused, by reason.
    """

    reason: str
    detail: str
    refusals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A searched trajectory: the values of the row's search columns, its segments and its steps."""

    thinking: str
    values: Mapping[str, Any]
    segments: list[dict[str, Any]]
    trace: list[dict[str, Any]]
    refusals: Mapping[str, int]


@dataclass
class _State:
    """Where a search stands."""

    initial: Trajectory
    best: Trajectory
    none: Score
    before: Score
    score: Score
    steps: list[dict[str, Any]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)


class LocalSearch:
    """Searches the trajectory of one pair at a time; safe to use from many concurrent tasks.

    Args:
        generator: engine that writes thinkings and candidates.
        scorer: engine that is surprised by y.
        prompts: templates by language.
        settings: the recipe's search section.
        seed: the recipe's seed.
        journal: where finished steps go.
    """

    def __init__(
        self,
        generator: Engine,
        scorer: Engine,
        prompts: Mapping[str, PromptSet],
        settings: SearchSection,
        *,
        seed: int,
        journal: Journal,
    ):
        self.generator = generator
        self.scorer = scorer
        self.prompts = prompts
        self.settings = settings
        self.seed = seed
        self.journal = journal

    async def search(self, pair: str, query: str, answer: str, language: str, rollout: int = 0) -> Found | Skipped:
        """Find a trajectory for a pair.

        Args:
            pair: the pair's id.
            query: the query x.
            answer: the solution y.
            language: ``en`` or ``zh``; chooses the templates.
            rollout: index of the trajectory among several for the same pair.
        """
        row = row_id(pair, rollout)
        known = self.journal.row(row)
        if known.end is not None and "skipped" in known.end:
            return Skipped(known.end["skipped"], known.end["detail"], known.end["refusals"])
        run = _Run(self, row, query, answer, language)
        try:
            state = await run.begin()
            if isinstance(state, Skipped):
                self.journal.write("end", row, skipped=state.reason, detail=state.detail, refusals=dict(state.refusals))
                return state
            reason = await run.refine(state)
        except ContextOverflowError as error:
            self.journal.write("end", row, skipped="context_overflow", detail=str(error), refusals={})
            return Skipped("context_overflow", str(error))
        if known.end is None:
            self.journal.write("end", row, stop_reason=reason)
        return run.found(state, reason)


class _Run:
    """The search of one row."""

    def __init__(self, search: LocalSearch, row: str, query: str, answer: str, language: str):
        self.generator, self.scorer = search.generator, search.scorer
        self.settings, self.journal, self.seed = search.settings, search.journal, search.seed
        self.prompts = search.prompts[language]
        self.row, self.query, self.answer = row, query, answer
        self.score = SolutionScorer(
            search.scorer,
            self.prompts,
            query,
            answer,
            clip_logprob=search.settings.clip_logprob,
            score_first_segment=search.settings.score_first_segment,
        )

    def seed_for(self, *what: object) -> int:
        """A seed for one request: depends on the recipe's seed, the row and ``what``, not on the order of work."""
        return derive_seed(self.seed, self.row, *what)

    # 1. Initialisation

    async def begin(self) -> _State | Skipped:
        """The state before the first open step: from the journal, or a first thinking with its scores."""
        known = self.journal.row(self.row)
        if known.start is None:
            begun = await self._initialise()
            if isinstance(begun, Skipped):
                return begun
            trajectory, refusals = begun
            none, before = await self.score(["", trajectory.text])
            known.start = self.journal.write(
                "start", self.row, segments=list(trajectory.segments), joiner=trajectory.joiner,
                none=vars(none), before=vars(before), refusals=dict(refusals),
            )  # fmt: skip
        start = known.start
        initial = Trajectory(tuple(start["segments"]), start["joiner"])
        before = Score(**start["before"])
        state = _State(initial, initial, Score(**start["none"]), before, before, refusals=Counter(start["refusals"]))
        for step in known.steps:
            self._take(state, step)
        return state

    async def _initialise(self) -> tuple[Trajectory, Counter[str]] | Skipped:
        settings = self.settings
        refusals: Counter[str] = Counter()
        reason = detail = ""
        for attempt in range(settings.initial_attempts):
            detail = ""
            seed = self.seed_for("initial", attempt)
            opener = random.Random(seed).choice(self.prompts.openers)
            prompt = self.prompts["initial"].render(self.generator, query=self.query, answer=self.answer, opener=opener)
            [completion] = await self._sample(prompt, 1, settings.max_thinking_tokens, ("</think>",), seed)
            proposal = parse_thinking(opener, completion, settings.unclosed)
            reason = proposal.refusal or check_thinking(proposal.text, self.answer, settings) or ""
            if not reason:
                trajectory = split_segments(proposal.text, settings.min_segment_chars)
                tokens = self.scorer.count_tokens(trajectory.text)
                if len(trajectory.segments) < 2:
                    reason, detail = "one_segment", f"{tokens} tokens in one segment"
                elif tokens < settings.min_thinking_tokens:
                    reason, detail = "short_thinking", f"{tokens} tokens, {settings.min_thinking_tokens} are needed"
                else:
                    return trajectory, refusals
            refusals[f"initial_{reason}"] += 1
        return Skipped(f"initial_{reason}", detail or f"{settings.initial_attempts} first thinkings refused", refusals)

    async def _sample(
        self, prompt: Rendered, n: int, max_tokens: int, stop: tuple[str, ...], seed: int
    ) -> list[Completion]:
        settings = self.settings
        return await self.generator.sample(
            prompt.text,
            n=n,
            max_tokens=max_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k,
            frequency_penalty=settings.frequency_penalty,
            stop=stop,
            seed=seed,
        )

    # 4. Termination

    async def refine(self, state: _State) -> str:
        """Take steps until the search ends; returns why."""
        while True:
            if state.score.value <= self.settings.stop_score:
                return "target_score"
            if len(state.steps) >= self.settings.max_steps:
                return "max_steps"
            if len(state.steps) >= len(state.initial.segments):
                return "all_segments"
            self._take(state, self.journal.write("step", self.row, **await self._step(state)))

    def _take(self, state: _State, step: dict[str, Any]) -> None:
        """Bring a finished step, new or from the journal, into the state."""
        state.steps.append(step)
        for candidate in step["candidates"]:
            if candidate["refusal"]:
                state.refusals[candidate["refusal"]] += 1
        if step["accepted"] is not None:
            chosen = step["candidates"][step["accepted"]]
            state.best = state.best.replaced(step["segment_index"], chosen["text"])
            state.score = Score(chosen["score"], chosen["perplexity"], state.before.tokens)

    # 3. Evaluation and selection

    async def _step(self, state: _State) -> dict[str, Any]:
        index = len(state.steps)
        proposals = await self._expand(state.best, index)
        fit = [i for i, proposal in enumerate(proposals) if proposal.refusal is None]
        texts = [state.best.replaced(index, proposals[i].text).text for i in fit]
        scores = dict(zip(fit, await self.score(texts, state.best.before(index)), strict=True)) if fit else {}
        accepted = min(scores, key=lambda i: scores[i].value, default=None)
        needed = self.scorer.info.noise_nats + self.settings.min_gain
        if accepted is not None and not scores[accepted].value < state.score.value - needed:
            accepted = None
        candidates = [
            {
                "text": proposal.text,
                "refusal": proposal.refusal,
                "score": scores[i].value if i in scores else None,
                "perplexity": scores[i].perplexity if i in scores else None,
            }
            for i, proposal in enumerate(proposals)
        ]
        return {
            "step": index + 1,
            "segment_index": index,
            "segment": state.best.segments[index],
            "score_current": state.score.value,
            "candidates": candidates,
            "accepted": accepted,
        }

    # 2. Node expansion

    async def _expand(self, best: Trajectory, index: int) -> list[Proposal]:
        settings, segment = self.settings, best.segments[index]
        seed = self.seed_for("step", index)
        last = index == len(best.segments) - 1
        phrases = self.prompts.closers if last else self.prompts.triggers
        prompt = self.prompts["refine"].render(
            self.generator, query=self.query, answer=self.answer, before=best.before(index), segment=segment,
            after=best.after(index), opening=opening_words(segment),
            trigger=random.Random(seed).choice(phrases) if phrases else "",
        )  # fmt: skip
        begun = "<refine>" in prompt.assistant
        stop = ("</refine>", PARAGRAPH_END) if begun else ("</refine>",)
        completions = await self._sample(prompt, settings.candidates, settings.max_segment_tokens, stop, seed)
        others = (*best.segments[:index], *best.segments[index + 1 :])
        proposals: list[Proposal] = []
        for completion in completions:
            proposal = parse_refinement(prompt.assistant, completion, settings.unclosed)
            if proposal.refusal is None:
                whole = best.replaced(index, proposal.text).text
                seen = (*others, *(p.text for p in proposals))
                refusal = check_refinement(proposal.text, whole, segment, seen, self.answer, settings)
                proposal = Proposal(proposal.text, refusal)
            proposals.append(proposal)
        return proposals

    def found(self, state: _State, reason: str) -> Found:
        """The finished row."""
        generator, scorer = self.generator.info, self.scorer.info
        values = {
            "generator": generator.model,
            "generator_revision": generator.revision,
            "scorer": scorer.model,
            "scorer_revision": scorer.revision,
            "score_no_thinking": state.none.value,
            "score_before": state.before.value,
            "score_after": state.score.value,
            "perplexity_no_thinking": state.none.perplexity,
            "perplexity_before": state.before.perplexity,
            "perplexity_after": state.score.perplexity,
            "first_segment_scored": self.score.first_segment_scored,
            "scored_tokens": state.before.tokens,
            "steps": len(state.steps),
            "accepted_edits": sum(step["accepted"] is not None for step in state.steps),
            "stop_reason": reason,
            "thinking_tokens_before": self.scorer.count_tokens(state.initial.text),
            "thinking_tokens_after": self.scorer.count_tokens(state.best.text),
            "answer_tokens": self.scorer.count_tokens(self.answer),
            "initial_thinking": state.initial.text,
        }
        segments = [
            {"initial": old, "final": new, "edited": old != new}
            for old, new in zip(state.initial.segments, state.best.segments, strict=True)
        ]
        return Found(state.best.text, values, segments, _trace(state.steps), dict(state.refusals))


def _trace(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps as rows of the ``steps`` config, without the row id."""
    return [
        {
            "step": step["step"],
            "segment_index": step["segment_index"],
            "segment": step["segment"],
            "candidate_index": index,
            "candidate": candidate["text"],
            "refusal": candidate["refusal"],
            "score_current": step["score_current"],
            "score": candidate["score"],
            "perplexity": candidate["perplexity"],
            "accepted": index == step["accepted"],
        }
        for step in steps
        for index, candidate in enumerate(step["candidates"])
    ]
