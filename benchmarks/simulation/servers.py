"""Devices and the engines on them: queueing, batching, memory for keys, kept prefixes.

Nothing here steps token by token. Between two events (a request comes, a prompt is computed, a sequence ends) all
sequences of a generator grow at the same pace, so the state at the next event follows from the one before. An engine
tells the event loop when its next event will be and takes that back when something comes in between.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial

import simpy

from simulation.costs import GeneratorCosts, ScorerCosts

#: Tokens that count as none: rounding.
_NOTHING = 1e-6


class LostError(Exception):
    """The server died with the request."""


@dataclass(eq=False)
class Job:
    """A request.

    Attributes:
        search: who asks; its earlier prompts may be kept.
        prompt: length of the prompt, or of all texts to score (tokens).
        shared: beginning of the prompt that the search's earlier prompt had too (tokens).
        common: beginning of the prompt that all prompts have (tokens).
        outputs: lengths of the continuations (tokens).
        texts: texts to score.
        done: happens when it is finished.
        left: prompt tokens still to compute.
        running: continuations that have not ended.
    """

    search: Hashable
    prompt: float
    done: simpy.Event
    shared: float = 0.0
    common: float = 0.0
    outputs: Sequence[float] = ()
    texts: int = 0
    left: float = 0.0
    running: int = 0

    @property
    def memory(self) -> float:
        """Tokens whose keys it holds, on average over its life."""
        return self.prompt + sum(self.outputs) / 2


class Device:
    """A GPU: its engines share its time while more than one of them has work.

    Args:
        speed: 1 for a sound one, less for a straggler.
    """

    def __init__(self, speed: float = 1.0):
        self.speed = speed
        self.engines: list[Engine] = []

    def rebalance(self) -> None:
        """Some engine has got work or has run out of it."""
        busy = sum(engine.busy for engine in self.engines)
        for engine in self.engines:
            engine.settle()
            engine.share = self.speed / max(busy, 1)
            engine.plan()


class Engine(ABC):
    """What generators and scorers have in common.

    Args:
        env: the simulation.
        device: where it computes.
        restart: seconds from its death until it serves again.
    """

    def __init__(self, env: simpy.Environment, device: Device, restart: float = 0.0):
        self.env, self.device, self.restart = env, device, restart
        device.engines.append(self)
        self.alive = True
        self.revived = env.event()
        self.share = device.speed
        self.busy = False
        self.in_flight: dict[Job, None] = {}
        self.load = 0
        self.busy_seconds = 0.0
        self.deaths = 0
        self._at = env.now
        self._version = 0

    # What the two kinds do differently.

    @abstractmethod
    def _take(self, job: Job) -> None:
        """Put a request where it waits."""

    @abstractmethod
    def _progress(self, seconds: float) -> None:
        """Let the work go on for so much undivided device time (seconds)."""

    @abstractmethod
    def _turn(self) -> None:
        """Finish what is due and begin what can begin."""

    @abstractmethod
    def _next(self) -> float | None:
        """Seconds of undivided device time until the next event; ``None`` without work."""

    @abstractmethod
    def _has_work(self) -> bool:
        """Whether anything waits or is under way."""

    @abstractmethod
    def _forget(self) -> None:
        """Lose everything: the server has died."""

    # What they share.

    def submit(self, job: Job) -> simpy.Event:
        """Queue a request; the event happens when it is done, or fails with ``LostError``."""
        self.settle()
        self.in_flight[job] = None
        self.load += 1
        self._take(job)
        self._changed()
        return job.done

    def settle(self) -> None:
        """Bring the state up to now."""
        passed = self.env.now - self._at
        self._at = self.env.now
        if self.busy and passed > 0:
            self.busy_seconds += passed
            self._progress(passed * self.share)

    def plan(self) -> None:
        """Tell the event loop when the next event is."""
        self._version += 1
        seconds = self._next() if self.alive else None
        if seconds is not None:
            wake = self.env.timeout(max(seconds, 0.0) / self.share)
            wake.callbacks.append(partial(self._wake, self._version))

    def _wake(self, version: int, event: simpy.Event) -> None:
        if version == self._version:
            self.settle()
            self._changed()

    def _changed(self) -> None:
        self._turn()
        busy = self.alive and self._has_work()
        if busy != self.busy and len(self.device.engines) > 1:
            self.busy = busy
            self.device.rebalance()
        else:
            self.busy = busy
            self.plan()

    def _finished(self, job: Job) -> None:
        del self.in_flight[job]
        self.load -= 1
        job.done.succeed()

    def die(self) -> None:
        """Lose everything in flight; serve again after the restart."""
        if not self.alive:
            return
        self.settle()
        self.alive, self.deaths = False, self.deaths + 1
        lost, self.in_flight, self.load = list(self.in_flight), {}, 0
        self._forget()
        self._changed()
        for job in lost:
            job.done.fail(LostError())
            job.done.defused = True  # whoever asked may have died too
        self.env.timeout(self.restart).callbacks.append(self._revive)

    def _revive(self, event: simpy.Event) -> None:
        self.alive = True
        revived, self.revived = self.revived, self.env.event()
        revived.succeed()


class Generator(Engine):
    """A server that samples: one continuous batch, prompts computed in between in chunks, as vLLM does.

    Args:
        env: the simulation.
        device: where it computes.
        costs: what it takes.
        restart: seconds from its death until it serves again.
    """

    def __init__(self, env: simpy.Environment, device: Device, costs: GeneratorCosts, restart: float = 0.0):
        super().__init__(env, device, restart)
        if costs.memory <= 0:
            raise ValueError("the generator's weights leave no memory for a context")
        self.costs = costs
        self.waiting: deque[Job] = deque()
        self.prompting: deque[Job] = deque()
        self.sequences: list[tuple[float, int, float, Job]] = []  # end on the clock, number, length, request
        self.kept: OrderedDict[Hashable, float] = OrderedDict()
        self.sampled = self.prompted = self.reused = 0.0
        self.held = 0.0
        self._kept_tokens = self._context = self._clock = 0.0
        self._pending = 0.0
        self._planned_sequences = self._number = 0

    def _take(self, job: Job) -> None:
        job.running = len(job.outputs)
        self.waiting.append(job)

    def _has_work(self) -> bool:
        return bool(self.sequences or self.prompting)

    def _forget(self) -> None:
        self.waiting.clear()
        self.prompting.clear()
        self.sequences.clear()
        self.kept.clear()
        self._kept_tokens = self._context = self._pending = self.held = 0.0
        self._planned_sequences = 0

    def _pass(self) -> tuple[float, float]:
        """Seconds of the present pass, and prompt tokens in it."""
        costs = self.costs
        chunk = min(max(costs.chunk - len(self.sequences), 1), self._pending)
        seconds = costs.step + costs.per_sequence * len(self.sequences) + costs.per_context_token * self._context
        return seconds + chunk / costs.prompt_rate, chunk

    def _next(self) -> float | None:
        seconds, chunk = self._pass()
        ahead = []
        if self.sequences:
            ahead.append((self.sequences[0][0] - self._clock) * seconds)
        if self.prompting:
            ahead.append(self.prompting[0].left / max(chunk, _NOTHING) * seconds)
        return min(ahead) if ahead else None

    def _progress(self, seconds: float) -> None:
        one, chunk = self._pass()
        passes = seconds / one
        self._clock += passes
        self._context += len(self.sequences) * passes
        self.sampled += len(self.sequences) * passes
        rest = passes * chunk
        self.prompted += rest
        self._pending = max(self._pending - rest, 0.0)
        for job in self.prompting:
            taken = min(rest, job.left)
            job.left -= taken
            rest -= taken
            if rest <= 0:
                break

    def _turn(self) -> None:
        while self.sequences and self.sequences[0][0] <= self._clock + _NOTHING:
            _, _, tokens, job = heapq.heappop(self.sequences)
            self._context -= job.prompt + tokens
            self._planned_sequences -= 1
            job.running -= 1
            if not job.running:
                self.held -= job.memory
                self._keep(job)
                self._finished(job)
        while self.prompting and self.prompting[0].left <= _NOTHING:
            job = self.prompting.popleft()
            for tokens in job.outputs:
                self._number += 1
                heapq.heappush(self.sequences, (self._clock + tokens, self._number, tokens, job))
                self._context += job.prompt
        if not self.prompting:
            self._pending = 0.0
        if not self.sequences:
            self._context = 0.0
        self._admit()

    def _admit(self) -> None:
        costs = self.costs
        while self.waiting:
            job = self.waiting[0]
            alone = not (self.sequences or self.prompting)
            full = self.held + job.memory > costs.memory
            if (full or self._planned_sequences + len(job.outputs) > costs.sequences) and not alone:
                return
            self.waiting.popleft()
            reused = min(job.common, job.prompt) if costs.keeps_prefixes else 0.0
            if (kept := self.kept.pop(job.search, None)) is not None:
                self._kept_tokens -= kept
                reused = max(reused, min(job.shared, kept))
            self.reused += reused
            job.left = max(job.prompt - reused, 1.0)
            self._pending += job.left
            self.held += job.memory
            self._planned_sequences += len(job.outputs)
            self.prompting.append(job)
            self._make_room()

    def _keep(self, job: Job) -> None:
        if self.costs.keeps_prefixes:
            self._kept_tokens += job.prompt - self.kept.pop(job.search, 0.0)
            self.kept[job.search] = job.prompt
            self._make_room()

    def _make_room(self) -> None:
        while self.kept and self.held + self._kept_tokens > self.costs.memory:
            self._kept_tokens -= self.kept.popitem(last=False)[1]


class Scorer(Engine):
    """An engine that scores: what waits is computed together, a window at a time.

    Args:
        env: the simulation.
        device: where it computes.
        costs: what it takes.
        restart: seconds from its death until it serves again.
    """

    def __init__(self, env: simpy.Environment, device: Device, costs: ScorerCosts, restart: float = 0.0):
        super().__init__(env, device, restart)
        self.costs = costs
        self.waiting: deque[Job] = deque()
        self.window: list[Job] = []
        self.scored = 0.0
        self._left = 0.0

    def _take(self, job: Job) -> None:
        self.waiting.append(job)

    def _has_work(self) -> bool:
        return bool(self.window)

    def _forget(self) -> None:
        self.waiting.clear()
        self.window = []

    def _next(self) -> float | None:
        return self._left if self.window else None

    def _progress(self, seconds: float) -> None:
        self._left -= seconds

    def _turn(self) -> None:
        if self.window and self._left <= 1e-9:
            done, self.window = self.window, []
            for job in done:
                self._finished(job)
        if not self.window and self.waiting:
            tokens = 0.0
            while self.waiting and (not self.window or tokens + self.waiting[0].prompt <= self.costs.window):
                job = self.waiting.popleft()
                tokens += job.prompt
                self.window.append(job)
            texts = sum(job.texts for job in self.window)
            self.scored += tokens
            self._left = self.costs.call + self.costs.text * texts + tokens / self.costs.rate
