"""Scoring what many callers ask for in shared forward passes.

A job is one call of the engine: texts that share a beginning. Waiting jobs are taken together, a window at a time.
First their shared beginnings are computed or found kept, then their rows, in rounds: a round moves every row on to the
end of its next block. Most rows have one block; a long one has several, and so has one that may be abandoned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deepwriting.engines.base import Abandon
from deepwriting.engines.transformers.batches import SMALLEST_PASS, PassLimit, compute, grouped, make_room, overlaps
from deepwriting.engines.transformers.forward import CausalModel, Row, packable
from deepwriting.engines.transformers.memory import is_out_of_memory
from deepwriting.engines.transformers.prefixes import NOTHING, Ids, Prefix
from deepwriting.errors import RequestError

#: Tokens of a target between two questions whether the rest is needed.
ABANDON_BLOCK = 128
#: A window has up to this many batches' tokens: more to sort by width, more keys in memory.
WINDOW_BATCHES = 4


@dataclass(frozen=True)
class Scored:
    """Log-probabilities of one row's target (nats), and whether they are all there."""

    logprobs: NDArray[np.float32]
    complete: bool


@dataclass(eq=False)
class ScoreJob:
    """Texts to score that share a beginning.

    Attributes:
        rows: token ids of the whole texts.
        starts: for each row the index of its first token to score; at least 1.
        shared: tokens that all rows begin with; fewer than each start.
        keep: keep this many of the shared tokens for later calls.
        abandon: see ``Engine.score``.
        done: gets one result a row.
        failed: gets the reason.
        alone: whether the job must not share a window, because one that it was in failed.
        sizes: the pass limits before the job ran out of memory by itself.
        tried: size of the pass that did not fit then (tokens).
        results: of the rows that are finished.
    """

    rows: list[Ids]
    starts: list[int]
    shared: int
    keep: int
    abandon: Abandon | None
    done: Callable[[list[Scored]], None]
    failed: Callable[[Exception], None]
    alone: bool = False
    sizes: tuple[int, int] | None = None
    tried: int | None = None
    results: dict[int, Scored] = field(default_factory=dict)

    @property
    def beginning(self) -> Ids:
        """The tokens that all rows share."""
        return self.rows[0][: self.shared]

    @property
    def finished(self) -> bool:
        """Whether every row has its result."""
        return len(self.results) == len(self.rows)


@dataclass(eq=False, kw_only=True)
class _Target(Row):
    """A row of a job; what is scored so far."""

    job: ScoreJob
    index: int
    start: int
    parts: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def goal(self) -> int:
        """Tokens to compute: all but the last, after which nothing is asked."""
        return len(self.ids) - 1


class Scorer:
    """The scores that one engine has been asked for.

    Args:
        model: the language model.
        limit: how large a forward pass may be.
    """

    def __init__(self, model: CausalModel, limit: PassLimit):
        self.model = model
        self.limit = limit
        self.scored_tokens = 0
        self._waiting: deque[ScoreJob] = deque()

    def submit(self, job: ScoreJob) -> None:
        """Queue a job."""
        self._waiting.append(job)

    @property
    def busy(self) -> bool:
        """Whether anything is queued."""
        return bool(self._waiting)

    def step(self) -> None:
        """Score the next window of jobs. A job fails by itself: those that failed together are tried again alone."""
        jobs = self._window()
        try:
            self._run(jobs)
        except Exception as error:  # judged below, where the traceback no longer holds the failed pass's tensors
            failure = error.with_traceback(None)
        else:
            return
        jobs = [job for job in jobs if not job.finished]
        if is_out_of_memory(failure):
            self._give_way(jobs, failure)
        elif len(jobs) == 1:
            jobs[0].failed(failure)
        else:
            self._again(jobs, alone=True)

    def _window(self) -> list[ScoreJob]:
        """The jobs to run together: enough tokens for some batches, and none whose beginning another one computes."""
        jobs: list[ScoreJob] = []
        tokens, worth = 0, self.limit.worth_a_pass
        while self._waiting and tokens < WINDOW_BATCHES * self.limit.tokens:
            job = self._waiting[0]
            if jobs and (job.alone or jobs[0].alone):
                break
            known = len(self.model.store.longest(job.beginning)) if self.model.reusable else 0
            if self.model.reusable and overlaps(job.beginning, known, (other.beginning for other in jobs), worth):
                break
            tokens += job.shared - known + sum(len(row) - job.shared for row in job.rows)
            jobs.append(self._waiting.popleft())
        return jobs

    def _run(self, jobs: list[ScoreJob]) -> None:
        pasts = self._beginnings(jobs) if self.model.reusable else [NOTHING] * len(jobs)
        targets = [
            _Target(ids=ids, past=past, job=job, index=index, start=start)
            for job, past in zip(jobs, pasts, strict=True)
            for index, (ids, start) in enumerate(zip(job.rows, job.starts, strict=True))
            if index not in job.results
        ]
        while targets:
            for target in targets:
                self._aim(target)
            for batch in self._batches(targets):
                self._score(batch)
            targets = [target for target in targets if target.index not in target.job.results]

    def _batches(self, targets: list[_Target]) -> list[list[_Target]]:
        """Rows that go through the model together.

        On a CPU a job's short rows stay by themselves, in one row behind their common past: rows of several jobs would
        need a copy of a past for each, which costs more there than it saves (25 names behind 25 queries: 1.5 times).
        """
        if not self.model.paddable:
            return [[target] for target in targets]
        jobs: dict[int, list[_Target]] = {}
        for target in targets:
            jobs.setdefault(id(target.job), []).append(target)
        by_itself = self.model.reusable and self.model.device.type == "cpu"
        packed: list[list[_Target]] = []
        others: list[_Target] = []
        for rows in jobs.values():
            if by_itself and packable(rows):
                packed.append(rows)
            else:
                others += rows
        return [*packed, *grouped(others, self.limit.tokens, self.limit.worth_a_pass)]

    def _beginnings(self, jobs: list[ScoreJob]) -> list[Prefix]:
        """The keys of what each job's rows share, computed as far as that is worth a pass, and kept."""
        rows, goals = [], []
        for job in jobs:
            row = Row(job.beginning, self.model.store.longest(job.beginning))
            known, others = len(row.past), len(job.rows) - 1
            self.model.reused_tokens += known
            # What one row alone begins with is computed with the rest of it, unless later calls will ask for it.
            goal, saved = (job.shared, (job.shared - known) * others) if others else (job.keep, job.keep - known)
            rows.append(row)
            goals.append(goal if saved >= self.limit.worth_a_pass else known)
        compute(self.model, rows, goals, self.limit)
        for job, row in zip(jobs, rows, strict=True):
            self.model.store.keep(row.past.part(0, min(job.keep, len(row.past))))
        return [row.past for row in rows]

    def _aim(self, target: _Target) -> None:
        """Set the end of a row's next block."""
        target.end = target.goal
        if not self.model.reusable:
            # Where a text's length changes how its positions are encoded, the last token counts too.
            target.end += not self.model.paddable
            return
        if target.job.abandon is not None:
            target.end = min(target.end, target.start - 1 + sum(map(len, target.parts)) + ABANDON_BLOCK)
        target.end = min(target.end, len(target.past) + min(self.model.chunk, self.limit.chunk))
        target.retain = target.end < target.goal

    def _score(self, batch: list[_Target]) -> None:
        """One forward pass; take the scores from it, and ask whether to go on."""
        begins = [len(target.past) for target in batch]
        heads, wanted = [], []
        for target, begin, output in zip(batch, begins, self.model.advance(batch), strict=True):
            first = max(begin, target.start - 1)
            last = max(first, min(target.end, target.goal))
            heads.append(output[first - begin : last - begin])
            wanted.append(target.ids[first + 1 : last + 1])
        for target, logprobs in zip(batch, self.model.logprobs(heads, wanted), strict=True):
            target.parts.append(logprobs)
            complete = target.end >= target.goal
            if complete or (len(logprobs) > 0 and self._abandoned(target)):
                self._finish(target, complete)

    def _abandoned(self, target: _Target) -> bool:
        abandon = target.job.abandon
        return abandon is not None and abandon(np.concatenate(target.parts))

    def _finish(self, target: _Target, complete: bool) -> None:
        job = target.job
        self.scored_tokens += len(target.ids) if complete else target.end
        job.results[target.index] = Scored(np.concatenate(target.parts), complete)
        target.past = NOTHING
        if job.finished:
            job.done([job.results[index] for index in range(len(job.rows))])

    def _again(self, jobs: list[ScoreJob], *, alone: bool) -> None:
        """Put jobs back to the front of the queue."""
        for job in reversed(jobs):
            job.alone = job.alone or alone
            self._waiting.appendleft(job)

    def _give_way(self, jobs: list[ScoreJob], error: Exception) -> None:
        """After want of memory: drop what is kept and try again in smaller passes, each job alone."""
        make_room(self.model)
        tried = self.model.tried_tokens
        if len(jobs) > 1:
            if self.model.tried_rows > 1:  # else it was one long text, which must not make the passes of others small
                self.limit.lower(tried)
            self._again(jobs, alone=True)
            return
        [job] = jobs
        job.sizes = job.sizes or self.limit.sizes
        if tried > SMALLEST_PASS and tried < (job.tried or tried + 1):
            job.tried = tried
            self.limit.lower(tried)
            self._again(jobs, alone=True)
            return
        self.limit.restore(job.sizes)  # one text that never fits must not slow the others down
        longest = max(map(len, job.rows))
        failure = RequestError(f"no memory to score a text of {longest} tokens, not even {tried} tokens at a time")
        failure.__cause__ = error
        job.failed(failure)
