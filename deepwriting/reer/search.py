"""The iterative local search (paper, section 2.2).

    1. Initialisation         a first thinking z(0) from query and solution         ``_initialise``
                              or the one that came with the pair                    ``_take_over``
    2. Node expansion         candidates for one segment                            ``ThinkingWriter.refinements``
    3. Evaluation, selection  the candidate under which y is least surprising       ``_evaluate``, ``_choose``
    4. Termination            the target score, the step limit, or no segment left  ``refine``

The search knows engines only by ``sample`` and ``score``. Each finished step is in the journal before the next begins,
and a search that finds its row in the journal goes on where that ends.

Whatever does not fit into a context is found out before it is computed, and y is never cut: a pair whose y does not fit
is skipped, and a candidate that does not fit is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deepwriting.engines.base import Engine
from deepwriting.errors import ContextOverflowError, RequestError
from deepwriting.recipe import SearchSection
from deepwriting.reer.found import Found, Skipped, model_columns, trace_rows
from deepwriting.reer.given import Given
from deepwriting.reer.journal import Journal, RowJournal
from deepwriting.reer.prompts import PromptSet
from deepwriting.reer.racing import Rival, abandon_rule
from deepwriting.reer.scoring import Score, SolutionScorer
from deepwriting.reer.segments import Trajectory
from deepwriting.reer.writing import Candidate, ThinkingWriter
from deepwriting.schema import row_id
from deepwriting.seeds import derive_seed


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
        generators: engines that write thinkings and candidates; several take turns.
        scorer: engine that is surprised by y.
        prompts: templates by language.
        settings: the recipe's search section.
        seed: the recipe's seed.
        journal: where finished steps go.
    """

    def __init__(
        self,
        generators: Sequence[Engine],
        scorer: Engine,
        prompts: Mapping[str, PromptSet],
        settings: SearchSection,
        *,
        seed: int,
        journal: Journal,
    ):
        self.generators = tuple(generators)
        self.scorer = scorer
        self.prompts = prompts
        self.settings = settings
        self.seed = seed
        self.journal = journal

    async def search(
        self, pair: str, query: str, answer: str, language: str, rollout: int = 0, given: Given | None = None
    ) -> Found | Skipped:
        """Find a trajectory for a pair.

        Args:
            pair: the pair's id.
            query: the query x.
            answer: the solution y.
            language: ``en`` or ``zh``; chooses the templates.
            rollout: index of the trajectory among several for the same pair.
            given: a thinking that came with the pair; rollout 0 begins with it, all others with a new one.
        """
        row = row_id(pair, rollout)
        known = self.journal.row(row)
        if known.end is not None and "skipped" in known.end:
            return Skipped(known.end["skipped"], known.end["detail"], known.end["refusals"])
        run = _Run(self, row, query, answer, language, rollout, given if rollout == 0 else None)
        try:
            state = await run.begin(known)
            if isinstance(state, Skipped):
                return self._skip(row, state)
            reason = await run.refine(state)
        except RequestError as error:  # the engine goes on; without this pair it can
            return self._skip(row, Skipped("request_failed", str(error)))
        if known.end is None:
            self.journal.write("end", row, stop_reason=reason)
        return run.found(state, reason)

    def _skip(self, row: str, skipped: Skipped) -> Skipped:
        self.journal.write("end", row, skipped=skipped.reason, detail=skipped.detail, refusals=dict(skipped.refusals))
        return skipped


class _Run:
    """The search of one row."""

    def __init__(
        self,
        search: LocalSearch,
        row: str,
        query: str,
        answer: str,
        language: str,
        rollout: int,
        given: Given | None,
    ):
        self.generators, self.scorer = search.generators, search.scorer
        self.settings, self.journal, self.seed = search.settings, search.journal, search.seed
        self.prompts = search.prompts[language]
        self.row, self.answer, self.rollout, self.given = row, answer, rollout, given
        self.writer = ThinkingWriter(
            search.generators,
            self.prompts,
            search.settings,
            query,
            answer,
            count=search.scorer.count_tokens,
            seed_for=self.seed_for,
        )
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

    async def begin(self, known: RowJournal) -> _State | Skipped:
        """The state before the first open step: from what is known of the row, or a first thinking with its scores."""
        start = known.start
        if start is None:
            begun = await self._initialise()
            if isinstance(begun, Skipped):
                return begun
            trajectory, none, before, refusals = begun
            kept = {"gaps": list(trajectory.gaps)} if trajectory.gaps else {}
            start = self.journal.write(
                "start", self.row, segments=list(trajectory.segments), joiner=trajectory.joiner, **kept,
                none=none.record, before=before.record, refusals=dict(refusals),
            )  # fmt: skip
            await self.journal.safe()
        initial = Trajectory(tuple(start["segments"]), start["joiner"], tuple(start.get("gaps", ())))
        before = Score(**start["before"])
        state = _State(initial, initial, Score(**start["none"]), before, before, refusals=Counter(start["refusals"]))
        for step in known.steps:
            self._take(state, step)
        return state

    async def _initialise(self) -> tuple[Trajectory, Score, Score, Counter[str]] | Skipped:
        settings = self.settings
        context = self.scorer.info.context_tokens
        if (least := self.score.least_tokens) > context:
            model = self.scorer.info.model
            return Skipped(
                "context_overflow", f"{least} tokens without a thinking do not fit into {context} of {model}"
            )
        if self.given is not None:
            return await self._take_over(self.given)
        refusals: Counter[str] = Counter()
        reason = detail = ""
        for attempt in range(settings.initial_attempts):
            reason, detail, trajectory = await self.writer.first_thinking(self.rollout + attempt, attempt)
            if trajectory is not None:
                try:
                    none, before = await self.score(["", trajectory.text])
                except ContextOverflowError as error:
                    reason, detail = "context_overflow", str(error)
                else:
                    return trajectory, none, before, refusals
            refusals[f"initial_{reason}"] += 1
        return Skipped(f"initial_{reason}", detail or f"{settings.initial_attempts} first thinkings refused", refusals)

    async def _take_over(self, given: Given) -> tuple[Trajectory, Score, Score, Counter[str]] | Skipped:
        """Begin with the thinking that came with the pair: there is only one, so there is no second try."""
        reason, detail, trajectory = self.writer.given_thinking(given.thinking)
        if trajectory is not None:
            try:
                none, before = await self.score(["", trajectory.text])
            except ContextOverflowError as error:
                reason, detail = "context_overflow", str(error)
            else:
                return trajectory, none, before, Counter()
        reason = f"given_{reason}"
        return Skipped(reason, detail or "the thinking that came with the pair is refused", {reason: 1})

    # 4. Termination

    async def refine(self, state: _State) -> str:
        """Take steps until the search ends; returns why."""
        while True:
            if state.score.value <= self.settings.stop_score:
                return "target_score"
            if len(state.steps) >= self.settings.max_steps:
                return "max_steps"
            if len(state.steps) >= self.settings.passes * len(state.initial.segments):
                return "all_segments"
            scores, step = await self._step(state)
            self._take(state, self.journal.write("step", self.row, **step), scores)
            await self.journal.safe()

    def _take(self, state: _State, step: dict[str, Any], scores: Mapping[int, Score] | None = None) -> None:
        """Bring a finished step, new or from the journal, into the state."""
        state.steps.append(step)
        for candidate in step["candidates"]:
            if candidate["refusal"]:
                state.refusals[candidate["refusal"]] += 1
        if (accepted := step["accepted"]) is not None:
            chosen = step["candidates"][accepted]
            state.best = state.best.replaced(step["segment_index"], chosen["text"])
            known = Score(chosen["score"], chosen["perplexity"], state.before.tokens)
            state.score = scores[accepted] if scores else known

    # 3. Evaluation and selection

    async def _step(self, state: _State) -> tuple[dict[int, Score], dict[str, Any]]:
        """One step: its scores by candidate, and its record for the journal."""
        index = len(state.steps) % len(state.best.segments)
        candidates = await self.writer.refinements(state.best, index, len(state.steps))
        scores, refusals = await self._evaluate(state, candidates, index)
        records = [
            {
                "text": candidate.proposal.text,
                "generator": candidate.generator,
                "refusal": candidate.proposal.refusal or refusals.get(i),
                "score": scores[i].value if i in scores else None,
                "perplexity": scores[i].perplexity if i in scores else None,
            }
            for i, candidate in enumerate(candidates)
        ]
        record = {
            "step": len(state.steps) + 1,
            "segment_index": index,
            "segment": state.best.segments[index],
            "score_current": state.score.value,
            "candidates": records,
            "accepted": self._choose(state, index, [c.proposal.text for c in candidates], scores),
        }
        return scores, record

    @property
    def _least_gain(self) -> float:
        """What any edit has to gain: more than the scorer's noise, and the recipe's minimum (nats)."""
        return self.scorer.info.noise_nats + self.settings.min_gain

    async def _evaluate(
        self, state: _State, candidates: Sequence[Candidate], index: int
    ) -> tuple[dict[int, Score], dict[int, str]]:
        """Scores of the candidates that may be used, and why some of them got none."""
        fit = [i for i, candidate in enumerate(candidates) if candidate.proposal.refusal is None]
        if not fit:
            return {}, {}
        texts = [state.best.replaced(index, candidates[i].proposal.text).text for i in fit]
        abandon = None
        if self.settings.prune or self.settings.race_confidence is not None:
            if state.score.losses is None:  # from the journal, which keeps no tokens
                [again] = await self.score([state.best.text])
                state.score = replace(state.score, losses=again.losses)
            assert state.score.losses is not None
            abandon = abandon_rule(Rival(state.score.losses, self._least_gain), self.settings)
        results = await self.score.candidates(texts, state.best.before(index), abandon)
        scores = {i: result for i, result in zip(fit, results, strict=True) if isinstance(result, Score)}
        return scores, {i: result for i, result in zip(fit, results, strict=True) if isinstance(result, str)}

    def _choose(self, state: _State, index: int, texts: Sequence[str], scores: Mapping[int, Score]) -> int | None:
        """The candidate that replaces the segment, or ``None``: the original stays if nothing improves."""
        penalty = self.settings.length_penalty
        costs = {i: score.value for i, score in scores.items()}
        if penalty:
            old = self.scorer.count_tokens(state.best.segments[index])
            for i in costs:
                costs[i] += penalty * max(0, self.scorer.count_tokens(texts[i]) - old) / 100
        best = min(costs, key=lambda i: costs[i], default=None)
        if best is None or not costs[best] < state.score.value - self._least_gain:
            return None
        return best

    def found(self, state: _State, reason: str) -> Found:
        """The finished row."""
        infos = [generator.info for generator in self.generators]
        taken = [step["candidates"][step["accepted"]] for step in state.steps if step["accepted"] is not None]
        edited_by = {candidate["generator"] for candidate in taken}
        values = {
            **model_columns(infos, self.scorer.info, self.given, edited_by),
            "score_no_thinking": state.none.value,
            "score_before": state.before.value,
            "score_after": state.score.value,
            "perplexity_no_thinking": state.none.perplexity,
            "perplexity_before": state.before.perplexity,
            "perplexity_after": state.score.perplexity,
            "first_segment_scored": self.score.first_segment_scored,
            "scored_tokens": state.before.tokens,
            "steps": len(state.steps),
            "accepted_edits": len(taken),
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
        trace = trace_rows(state.steps, infos)
        return Found(state.best.text, values, segments, trace, dict(state.refusals))
