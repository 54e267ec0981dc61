"""Is the simulation of ``cluster_simulation.py`` any good? Simulated time over measured time, printed as a ratio.

    python benchmarks/cluster_simulation_check.py               # all of it, a few minutes on two cores
    python benchmarks/cluster_simulation_check.py --only pocket --pairs 200 --concurrency 8 32

``pocket``: a real search of this machine with the one-layer model of the tests. What a pass costs is measured on the
idle engine around the searches (decoding, prompts, scoring; the event loop's part of a step on a pilot of 8 pairs).
Then pairs are searched with several numbers of searches in flight, every request is recorded, and the simulation is
asked how long these requests take. The costs come from other work than the searches, so the ratio can be wrong. The
same is asked of rows like those of the pilot, which is all that ``deepwriting plan`` knows, and of its forecast.

``host``: what a step takes in a task's event loop, at the lengths of a large run.

``published``: the benchmark of a 32B model on one H100 by others (``PUBLISHED``). Prompt speed and memory are fitted to
its case of 2,000 tokens; the other cases are predicted.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import simpy
from common import planning, print_table, sentences
from pocket import pocket_model, write_pairs, write_recipe
from simulation.cluster import Cluster, Run
from simulation.costs import Costs, GeneratorCosts, ScorerCosts, fit_passes
from simulation.rows import Row, Step, pilot_rows
from simulation.servers import Device, Generator, Job

import deepwriting.prompts
from deepwriting.engines.alignment import Tokeniser
from deepwriting.engines.base import Completion, Engine
from deepwriting.engines.models import resolve_model
from deepwriting.engines.transformers.engine import TransformersEngine
from deepwriting.forecast import forecast
from deepwriting.pilot import Pilot
from deepwriting.recipe import load_recipe
from deepwriting.reer.candidates import check_refinement, parse_refinement
from deepwriting.reer.found import Skipped
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.search import LocalSearch
from deepwriting.reer.segments import split_segments

#: https://github.com/gpustack/gpustack/blob/main/docs/performance-lab/qwen3-32b/h100.md, vLLM 0.11.0 as it comes:
#: requests, prompt tokens, sampled tokens (both of all requests), seconds.
PUBLISHED = {
    "2,000 tokens in, 100 out": (500, 998_175, 50_000, 328.04),
    "4,000 in, 200 out": (500, 1_997_942, 99_790, 976.29),
    "ShareGPT": (1000, 217_393, 201_422, 178.01),
}
#: From the same page: a pass with few sequences took 43.4 ms, one with about a hundred 50.2 ms; the card of 2 TB/s that
#: these figures fit reads the keys of its full memory in 4.5 ms of them.
PUBLISHED_PASS = GeneratorCosts(0.039, 0.00007, 262_144 / 2.0e12, 6000.0, 8192, 34_000, 256, keeps_prefixes=False)
#: Spread of ShareGPT's lengths, which the page does not give (sigma of the logarithm).
SHAREGPT_SPREAD = 1.0
_CALLS: ContextVar[list[Any]] = ContextVar("calls")


class Recorder:
    """An engine that writes down what each search asks of it.

    Args:
        engine: who does the work.
    """

    def __init__(self, engine: Engine):
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def sample(self, prompt: str, **settings: Any) -> Any:
        """Sample; note the lengths."""
        completions = await self._engine.sample(prompt, **settings)
        _CALLS.get().append(("sample", self.count_tokens(prompt), tuple(float(c.tokens) for c in completions)))
        return completions

    async def score(self, prefix: str, middles: Sequence[str], target: str, **settings: Any) -> Any:
        """Score; note the lengths."""
        scores = await self._engine.score(prefix, middles, target, **settings)
        whole = sum(score.total_tokens for score in scores)
        _CALLS.get().append(("score", len(scores), whole - (len(scores) - 1) * self.count_tokens(prefix), whole))
        return scores


def recorded(number: int, calls: Sequence[Any], size: int, skipped: bool) -> Row:
    """A row from what its search asked for."""
    steps: list[Step] = []
    for call in calls:
        if call[0] == "sample":
            steps.append(Step(call[1], call[2], 0, 0, 0, journalled=False))
        elif steps and not steps[-1].texts:
            steps[-1] = replace(steps[-1], texts=call[1], scored=call[2], whole=call[3])
        else:
            steps.append(Step(0, (), call[1], call[2], call[3], journalled=False))
    return Row(number, tuple(steps), size, skipped)


@dataclass
class Measured:
    """A real search."""

    seconds: float = 0.0
    host_seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    shares: dict[int, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Requests to the generator."""
        return sum(bool(step.outputs) for row in self.rows for step in row.steps)


class Pocket:
    """The one-layer model of the tests, its costs and its searches.

    Args:
        root: a scratch folder.
        pairs: pairs to search.
    """

    def __init__(self, root: Path, pairs: int):
        model = pocket_model(root)
        path = write_recipe(root / "check.yaml", write_pairs(root / "pairs.jsonl", pairs), model,
                            search={"max_steps": 4, "max_thinking_tokens": 120}, generator={})  # fmt: skip
        self.recipe = load_recipe(str(path))[0]
        self.pairs = _read_pairs(root / "pairs.jsonl")
        self.engine = TransformersEngine(str(model), device="cpu", dtype="float32")
        self.root, self.lives, self.rounds = root, 0, 0
        self.sampling: list[tuple[float, ...]] = []
        self.scoring: list[tuple[float, ...]] = []

    def search(self, pairs: Sequence[dict[str, str]], concurrency: int) -> Measured:
        """Search pairs for real."""
        self.lives += 1
        with Journal(self.root / f"journal{self.lives}.jsonl", "check") as journal:
            engine, settings = Recorder(self.engine), self.recipe.search
            search = LocalSearch(
                [engine], engine, load_prompts(settings.prompts), settings, seed=self.recipe.seed, journal=journal
            )
            measured = Measured()
            began, host = time.perf_counter(), time.thread_time()
            asyncio.run(self._all(search, pairs, concurrency, measured))
            measured.seconds = time.perf_counter() - began
            measured.host_seconds = time.thread_time() - host
        return measured

    async def _all(self, search: LocalSearch, pairs: Sequence[dict[str, str]], most: int, measured: Measured) -> None:
        gate, active, last = asyncio.Semaphore(most), set[int](), time.perf_counter()

        def deal(change: Callable[[int], None], number: int) -> None:
            nonlocal last
            now = time.perf_counter()
            for one in active:
                measured.shares[one] = measured.shares.get(one, 0.0) + (now - last) / len(active)
            last = now
            change(number)

        async def one(number: int, pair: dict[str, str]) -> None:
            async with gate:
                deal(active.add, number)
                calls: list[Any] = []
                _CALLS.set(calls)
                found = await search.search(pair["id"], pair["query"], pair["answer"], "en")
                deal(active.discard, number)
                size = len(pair["query"].encode()) + len(pair["answer"].encode())
                measured.rows.append(recorded(number, calls, size, isinstance(found, Skipped)))

        async with asyncio.TaskGroup() as group:
            for number, pair in enumerate(pairs):
                group.create_task(one(number, pair))

    def measure(self) -> None:
        """Measure passes of the idle engine once more, over texts that it has not kept from before."""
        self.rounds += 1
        self.sampling += self._sampling()
        self.scoring += self._scoring()

    def _sampling(self) -> list[tuple[float, ...]]:
        """Passes, sequences, prompt tokens and seconds of batches of several sizes behind prompts of two lengths."""
        table = []
        for count in (1, 8, 32):
            for length in (40, 400):
                prompts = [self._text(length, f"{self.rounds}:{count}:{length}:{index}") for index in range(count)]
                seconds, passes = asyncio.run(self._sampled(prompts))
                tokens = sum(self.engine.count_tokens(prompt) for prompt in prompts)
                table.append((passes, passes * count, tokens, seconds))
        return table

    def generator_costs(self) -> GeneratorCosts:
        """What explains the measured passes best."""
        found = np.asarray(self.sampling)
        whole = found[:, :3] / found[:, 3:]
        step, sequence, prompt = np.linalg.lstsq(whole, np.ones(len(whole)), rcond=None)[0]
        return GeneratorCosts(
            float(step), max(float(sequence), 0.0), 0.0, 1 / float(prompt), 512, 1e9, 32, keeps_prefixes=False
        )

    async def _sampled(self, prompts: Sequence[str]) -> tuple[float, float]:
        began = time.perf_counter()
        found = await asyncio.gather(
            *(
                self.engine.sample(
                    prompt, n=1, max_tokens=40, temperature=0.8, top_p=0.85, top_k=40, frequency_penalty=0.0, stop=(),
                    seed=index,
                )
                for index, prompt in enumerate(prompts)
            )
        )  # fmt: skip
        return time.perf_counter() - began, max(one[0].tokens for one in found)

    def _scoring(self) -> list[tuple[float, ...]]:
        """Texts, tokens and seconds of passes over texts of several numbers and lengths."""
        table = []
        for count in (1, 4, 32):
            for length in (60, 240):
                texts = [self._text(length, f"s{self.rounds}:{count}:{length}:{index}") for index in range(count)]
                seconds = asyncio.run(self._scored(texts))
                table.append((count, sum(self.engine.count_tokens(text) + 8 for text in texts), seconds))
        return table

    def scorer_costs(self) -> ScorerCosts:
        """What explains the measured passes best."""
        return ScorerCosts(*fit_passes(self.scoring), window=4 * 512)

    async def _scored(self, texts: Sequence[str]) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(self.engine.score(text, [""], " before anybody speaks late") for text in texts))
        return time.perf_counter() - began

    def _text(self, tokens: int, seed: str) -> str:
        import random

        rng, text = random.Random(seed), ""
        while self.engine.count_tokens(text) < tokens:
            text += rng.choice(sentences("en")) + " "
        return text


def _read_pairs(file: Path) -> list[dict[str, str]]:
    import json

    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def check_pocket(pairs: int, concurrencies: Sequence[int]) -> None:
    """Real searches beside simulated ones."""
    costs = Costs.read().but(generator__start_seconds=0, scorer__start_seconds=0)
    with tempfile.TemporaryDirectory() as scratch:
        pocket = Pocket(Path(scratch), pairs + 16)
        pocket.search(pocket.pairs[pairs : pairs + 4], 4)  # warms up
        pilot = pocket.search(pocket.pairs[pairs : pairs + 8], 8)
        measured_pilot = Pilot(
            {str(row.number): row.measured(pilot.shares[row.number]) for row in pilot.rows}, concurrency=8
        )
        planned = forecast(measured_pilot, pairs=pairs, rollouts=1).seconds.value
        costs = costs.but(host__step_ms=pilot.host_seconds / pilot.steps * 1e3)
        like = pilot_rows(measured_pilot, pairs, 1, candidates=pocket.recipe.search.candidates)
        # Neighbours on the machine come and go: the costs are measured before, between and after the searches.
        pocket.measure()
        real = {}
        for concurrency in concurrencies:
            real[concurrency] = pocket.search(pocket.pairs[:pairs], concurrency)
            pocket.measure()
        generator, scorer = pocket.generator_costs(), pocket.scorer_costs()
        print(
            f"a pass {generator.step * 1e3:.2f} ms + {generator.per_sequence * 1e3:.3f} a sequence, prompts "
            f"{generator.prompt_rate:,.0f} tokens/s; scoring {scorer.call * 1e3:.2f} ms + {scorer.text * 1e3:.3f} a "
            f"text + {scorer.rate:,.0f} tokens/s; event loop {costs['host.step_ms']:.2f} ms a step"
        )
        found = []
        for concurrency, searched in real.items():
            cluster = Cluster(concurrency=concurrency)
            replayed, guessed = (
                Run(cluster, costs, rows, generator=generator, scorer=scorer).go().seconds
                for rows in (searched.rows, like)
            )
            found.append(
                {
                    "in flight": concurrency, "rows": pairs, "requests": searched.steps,
                    "measured s": searched.seconds, "simulated s": replayed, "ratio": replayed / searched.seconds,
                    "from a pilot of 8": guessed, "ratio ": guessed / searched.seconds, "deepwriting plan": planned,
                    "ratio  ": planned / searched.seconds,
                }
            )  # fmt: skip
        pocket.engine.close()
    seconds = dict.fromkeys(("measured s", "simulated s", "from a pilot of 8", "deepwriting plan"), ".1f")
    print_table(found, seconds | {"ratio" + " " * n: ".2f" for n in range(3)})


def check_host() -> None:
    """What a step takes in a task's event loop at the lengths of the costs: prompts, guards, tokens, journal.

    The answer is made of the same sentences as the thinking, which is the worst that the search for copies meets.
    """
    costs, settings = Costs.read(), load_recipe("deepwriting-20k")[0].search
    texts = Tokeniser.load(resolve_model("smollm2-135m"))
    count = texts.count
    answer = planning("en", round(costs["lengths.answer"]), count, "answer")
    thinking = split_segments(planning("en", round(costs["lengths.thinking"]), count, "thinking"), 100)
    index = len(thinking.segments) // 2
    segment = thinking.segments[index]
    template = (Path(deepwriting.prompts.__file__).parent / "default" / "en" / "refine.txt").read_text(encoding="utf-8")
    written = planning("en", round(costs["lengths.candidate"]), count, "candidate").replace("\n\n", " ")
    completion = Completion(f"{written}</analyze>\n<refine>\n{segment} {written[:200]}.\n", 350, "stop")
    seconds = []
    with tempfile.TemporaryDirectory() as scratch, Journal(Path(scratch) / "journal.jsonl", "check") as journal:
        for step in range(20):
            began = time.thread_time()
            texts.encode(template + answer + thinking.text + segment)
            count(template + answer + thinking.text + segment)
            count(segment)
            proposals = [parse_refinement("<analyze>", completion, settings.unclosed) for _ in range(2)]
            for proposal in proposals:
                whole = thinking.replaced(index, proposal.text).text
                others = (*thinking.segments[:index], *thinking.segments[index + 1 :])
                check_refinement(proposal.text, whole, segment, others, answer, settings)
                texts.encode(template + whole + answer)
            journal.write("step", "row", step=step, segment=segment, candidates=[vars(one) for one in proposals])
            seconds.append(time.thread_time() - began)
    print(f"event loop: {sorted(seconds)[len(seconds) // 2] * 1e3:.1f} ms a step, {len(answer)} characters of answer")


def check_published() -> None:
    """Others' benchmark of vLLM with a 32B model beside the simulated server."""
    first, *_ = PUBLISHED
    low, high = 2000.0, 20_000.0
    for _ in range(20):  # the prompt speed at which the first case takes as long as it did
        middle = (low + high) / 2
        took = burst(first, replace(PUBLISHED_PASS, prompt_rate=middle))
        low, high = (middle, high) if took > PUBLISHED[first][3] else (low, middle)
    fitted = replace(PUBLISHED_PASS, prompt_rate=middle)
    print(f"prompts at {middle:,.0f} tokens/s fit {first}")
    rows = []
    for name, (_, _, sampled, seconds) in PUBLISHED.items():
        took = burst(name, fitted)
        rows.append({"": name, "published s": seconds, "simulated s": took, "ratio": took / seconds,
                     "tokens/s": sampled / took})  # fmt: skip
    print_table(rows, {"published s": ".0f", "simulated s": ".0f", "ratio": ".2f", "tokens/s": ",.0f"})


def burst(name: str, costs: GeneratorCosts) -> float:
    """Seconds until all requests of a published case are done, when they all come at once."""
    count, prompts, sampled, _ = PUBLISHED[name]
    rng, spread = np.random.default_rng(0), SHAREGPT_SPREAD if name == "ShareGPT" else 0.0
    lengths = [rng.lognormal(0, spread, count) for _ in range(2)]
    incoming, outgoing = (drawn / drawn.sum() * total for drawn, total in zip(lengths, (prompts, sampled), strict=True))
    env = simpy.Environment()
    server = Generator(env, Device(), costs)
    done = [
        server.submit(Job(index, float(prompt), env.event(), outputs=(float(max(out, 1)),)))
        for index, (prompt, out) in enumerate(zip(incoming, outgoing, strict=True))
    ]
    env.run(until=env.all_of(done))
    return float(env.now)


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=("published", "host", "pocket"), default=["published", "host", "pocket"]
    )
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[8, 32])
    options = parser.parse_args()
    if "published" in options.only:
        check_published()
    if "host" in options.only:
        check_host()
    if "pocket" in options.only:
        check_pocket(options.pairs, options.concurrency)


if __name__ == "__main__":
    main()
