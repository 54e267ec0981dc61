"""A run's search on a cluster: tasks with searches in flight, pools of servers, journals, faults."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from simulation.costs import Costs, GeneratorCosts, ScorerCosts
from simulation.pool import Pool
from simulation.rows import Row, Step
from simulation.servers import Device, Generator, Job, Scorer

HOUR = 3600.0
#: Seconds between two samples of what is in flight.
SAMPLE_SECONDS = 60.0


@dataclass(frozen=True)
class Cluster:
    """What a search runs on.

    Attributes:
        generators: servers that sample.
        scorers: engines that score; 0 puts one beside every generator, on the same GPU.
        gpus_each: GPUs of one generator.
        workers: tasks at the same time, one event loop each.
        tasks: tasks in all; a worker takes the next when it is through with one.
        concurrency: searches in flight in each task.
        shared: whether all tasks share all servers. Otherwise each worker has its own.
        sticky: whether a search stays with the server that keeps its prefix.
        journal_seconds: time until an event is on the remote; 0 for a local journal.
        server_hours: mean time between deaths of one server; ``None`` for never.
        worker_hours: mean time between deaths of one worker.
        slow_share: share of the GPUs that are stragglers.
        slow_speed: their speed.
        seed: decides when faults happen and who is slow.
    """

    generators: int = 1
    scorers: int = 0
    gpus_each: int = 1
    workers: int = 1
    tasks: int = 1
    concurrency: int = 64
    shared: bool = True
    sticky: bool = True
    journal_seconds: float = 0.0
    server_hours: float | None = None
    worker_hours: float | None = None
    slow_share: float = 0.0
    slow_speed: float = 1.0
    seed: int = 0

    @property
    def gpus(self) -> int:
        """GPUs in all."""
        return self.generators * self.gpus_each + self.scorers


@dataclass
class Outcome:
    """What became of a simulated search.

    Attributes:
        seconds: until the last row is through, the servers' start included.
        ends: when each row was through, in that order (seconds).
        row_seconds: how long each row was in flight.
        useful: tokens sampled for rows that were finished.
        sampled: tokens sampled in all; more, when servers or workers died.
        prompted: prompt tokens computed.
        reused: prompt tokens that were kept from before.
        generator_busy: share of the time in which generators had work, mean.
        scorer_busy: likewise.
        in_flight: sequences in a generator's batch, mean over time and generators.
        resent: requests asked again because a server died.
        repeated: steps begun again because a worker died.
        server_deaths: deaths of servers.
        worker_deaths: deaths of workers.
        journal_seconds: time that steps waited for the remote journal, summed.
        puts: objects written to the remote journal.
        host_busy: share of the time in which a task's event loop was busy, mean.
        shares: row -> its share of the time, as a pilot's clock deals it out; for a pilot only.
    """

    seconds: float = 0.0
    ends: list[float] = field(default_factory=list)
    row_seconds: list[float] = field(default_factory=list)
    useful: float = 0.0
    sampled: float = 0.0
    prompted: float = 0.0
    reused: float = 0.0
    generator_busy: float = 0.0
    scorer_busy: float = 0.0
    in_flight: float = 0.0
    resent: int = 0
    repeated: int = 0
    server_deaths: int = 0
    worker_deaths: int = 0
    journal_seconds: float = 0.0
    puts: int = 0
    host_busy: float = 0.0
    shares: dict[int, float] = field(default_factory=dict)

    @property
    def rows_per_hour(self) -> float:
        """Over the whole time."""
        return len(self.ends) / self.seconds * HOUR

    @property
    def steady_rows_per_hour(self) -> float:
        """Between the first tenth of the rows and the ninth: without start and tail."""
        low, high = len(self.ends) // 10, 9 * len(self.ends) // 10
        return (high - low) / (self.ends[high] - self.ends[low]) * HOUR

    @property
    def tail_seconds(self) -> float:
        """From the end of 99 % of the rows to that of the last."""
        return self.ends[-1] - self.ends[int(0.99 * len(self.ends))]


class _Journal:
    """A task's journal on a remote: what comes while an object is being written goes into the next one."""

    def __init__(self, env: simpy.Environment, latency: float, outcome: Outcome):
        self.env, self.latency, self.outcome = env, latency, outcome
        self._begins = self._ends = -1.0

    def commit(self) -> float:
        """Seconds until an event that comes now is on the remote."""
        now = self.env.now
        if now > self._begins:  # the next object has not been agreed on: it begins now, or when the present one ends
            self._begins = max(now, self._ends)
            self._ends = self._begins + self.latency
            self.outcome.puts += 1
        waited = self._ends - now
        self.outcome.journal_seconds += waited
        return waited


@dataclass(eq=False)
class _Worker:
    """A process with an event loop; works through its tasks."""

    tasks: deque[deque[Row]]
    generators: Pool
    scorers: Pool
    journal: _Journal
    free_at: float = 0.0
    host_seconds: float = 0.0
    up_at: float = 0.0
    searches: list[simpy.Process] = field(default_factory=list)


class Run:
    """One simulated search.

    Args:
        cluster: what it runs on.
        costs: what things take.
        rows: the rows, in the order of the shards.
        generator: what a generator takes, if not what the costs say.
        scorer: what a scorer takes, likewise.
        pilot: deal the time out among the rows in flight, as ``deepwriting/pilot_run.py`` does.
    """

    def __init__(
        self,
        cluster: Cluster,
        costs: Costs,
        rows: Sequence[Row],
        *,
        generator: GeneratorCosts | None = None,
        scorer: ScorerCosts | None = None,
        pilot: bool = False,
    ):
        self.cluster, self.costs, self.rows = cluster, costs, rows
        self._pilot = pilot
        self._active: set[int] = set()
        self._dealt = 0.0
        self.env = simpy.Environment()
        self.outcome = Outcome()
        self.random = random.Random(cluster.seed)
        self._host = costs["host.step_ms"] / 1000
        beside = not cluster.scorers
        generator = generator or GeneratorCosts.of(costs, beside_scorer=beside, gpus=cluster.gpus_each)
        scorer = scorer or ScorerCosts.of(costs)
        restart = costs["generator.start_seconds"]
        self.generators = [Generator(self.env, self._device(), generator, restart) for _ in range(cluster.generators)]
        places = [server.device for server in self.generators] if beside else None
        self.scorers = [
            Scorer(self.env, places[index] if places else self._device(), scorer, costs["scorer.start_seconds"])
            for index in range(cluster.scorers or cluster.generators)
        ]
        self.workers = self._workers()
        self._open = len(rows)
        self._samples = self._sequences = 0

    def _device(self) -> Device:
        slow = self.random.random() < self.cluster.slow_share
        return Device(self.cluster.slow_speed if slow else 1.0)

    def _workers(self) -> list[_Worker]:
        cluster = self.cluster
        if cluster.tasks < cluster.workers:
            raise ValueError(f"{cluster.workers} workers for {cluster.tasks} tasks")
        pools = [Pool(self.env, self.generators, sticky=cluster.sticky)], [Pool(self.env, self.scorers, sticky=False)]
        if not cluster.shared:
            if len(self.generators) != cluster.workers or len(self.scorers) != cluster.workers:
                raise ValueError("servers that are not shared: one generator and one scorer a worker")
            pools = [Pool(self.env, [one]) for one in self.generators], [Pool(self.env, [one]) for one in self.scorers]
        self.pools = [*pools[0], *pools[1]]
        # datatrove deals the shards out in turn: task t has rows t, t + tasks, ...
        tasks = [deque(self.rows[task :: cluster.tasks]) for task in range(cluster.tasks)]
        return [
            _Worker(
                deque(tasks[at :: cluster.workers]), pools[0][at % len(pools[0])], pools[1][at % len(pools[1])],
                _Journal(self.env, cluster.journal_seconds, self.outcome),
            )
            for at in range(cluster.workers)
        ]  # fmt: skip

    def go(self) -> Outcome:
        """Simulate to the end of the last row."""
        start = max(self.costs["generator.start_seconds"], self.costs["scorer.start_seconds"])
        done = self.env.all_of([self.env.process(self._work(worker, start)) for worker in self.workers])
        self.env.process(self._watch(start))
        for server in (*self.generators, *self.scorers):
            if self.cluster.server_hours:
                self.env.process(self._kill_server(server))
        for worker in self.workers:
            if self.cluster.worker_hours:
                self.env.process(self._kill_worker(worker))
        self.env.run(until=done)
        return self._conclude(start)

    def _conclude(self, start: float) -> Outcome:
        outcome, worked = self.outcome, max(self.env.now - start, 1e-9)
        outcome.seconds = self.env.now
        outcome.sampled = sum(server.sampled for server in self.generators)
        outcome.prompted = sum(server.prompted for server in self.generators)
        outcome.reused = sum(server.reused for server in self.generators)
        outcome.generator_busy = sum(server.busy_seconds for server in self.generators) / worked / len(self.generators)
        outcome.scorer_busy = sum(server.busy_seconds for server in self.scorers) / worked / len(self.scorers)
        outcome.in_flight = self._sequences / max(self._samples, 1) / len(self.generators)
        outcome.resent = sum(pool.resent for pool in self.pools)
        outcome.server_deaths = sum(server.deaths for server in (*self.generators, *self.scorers))
        outcome.host_busy = sum(worker.host_seconds for worker in self.workers) / worked / len(self.workers)
        return outcome

    # Searches

    def _work(self, worker: _Worker, start: float) -> Iterator[Any]:
        yield self.env.timeout(start)
        while worker.tasks:
            rows = worker.tasks.popleft()
            worker.searches = [
                self.env.process(self._searches(worker, rows)) for _ in range(min(self.cluster.concurrency, len(rows)))
            ]
            if worker.searches:
                yield self.env.all_of(worker.searches)

    def _searches(self, worker: _Worker, rows: deque[Row]) -> Iterator[Any]:
        """One place among a task's searches in flight: takes row after row."""
        while rows:
            row, began, index = rows.popleft(), self.env.now, 0
            self._deal(self._active.add, row)
            while index < len(row.steps):
                try:
                    while self.env.now < worker.up_at:
                        yield self.env.timeout(worker.up_at - self.env.now)
                    yield from self._step(worker, row, row.steps[index])
                    index += 1
                except simpy.Interrupt:  # the worker has died, and will go on at this step
                    self.outcome.repeated += 1
            self._deal(self._active.discard, row)
            worker.generators.forget(row.number)
            self.outcome.useful += row.sampled
            self.outcome.ends.append(self.env.now)
            self.outcome.row_seconds.append(self.env.now - began)
            self._open -= 1

    def _deal(self, change: Callable[[int], None], row: Row) -> None:
        """Deal the time since the last change out among the rows in flight, then change who they are."""
        if self._pilot:
            for number in self._active:
                share = (self.env.now - self._dealt) / len(self._active)
                self.outcome.shares[number] = self.outcome.shares.get(number, 0.0) + share
            self._dealt = self.env.now
            change(row.number)

    def _step(self, worker: _Worker, row: Row, step: Step) -> Iterator[Any]:
        env = self.env
        if step.outputs:
            yield from worker.generators.ask(
                row.number,
                lambda: Job(row.number, step.prompt, env.event(), step.shared, step.common, step.outputs),
            )
        if self._host:
            worker.free_at = max(worker.free_at, env.now) + self._host
            worker.host_seconds += self._host
            yield env.timeout(worker.free_at - env.now)
        if step.texts:
            yield from worker.scorers.ask(
                row.number, lambda: Job(row.number, step.scored, env.event(), texts=step.texts)
            )
        if step.journalled and worker.journal.latency:
            yield env.timeout(worker.journal.commit())

    # Faults, and watching

    def _kill_server(self, server: Generator | Scorer) -> Iterator[Any]:
        assert self.cluster.server_hours is not None
        while self._open:
            yield self.env.timeout(self.random.expovariate(1 / (self.cluster.server_hours * HOUR)))
            server.die()

    def _kill_worker(self, worker: _Worker) -> Iterator[Any]:
        assert self.cluster.worker_hours is not None
        while self._open:
            yield self.env.timeout(self.random.expovariate(1 / (self.cluster.worker_hours * HOUR)))
            worker.up_at = self.env.now + self.costs["host.restart_seconds"]
            self.outcome.worker_deaths += 1
            for search in worker.searches:
                if search.is_alive:
                    search.interrupt()

    def _watch(self, start: float) -> Iterator[Any]:
        yield self.env.timeout(start)
        while self._open:
            self._samples += 1
            self._sequences += sum(len(server.sequences) for server in self.generators)
            yield self.env.timeout(SAMPLE_SECONDS)
