"""The whole search: ours against the reference algorithm done straight, on the same pairs, model and settings.

    python benchmarks/whole_search.py --pairs 6 --texts /work/shared/data/gutenberg
    python benchmarks/whole_search.py --prepared              # both meet the same candidates: equal work
    python benchmarks/whole_search.py --random-weights 8b --device cuda --dtype bfloat16 --concurrency 64
    python benchmarks/whole_search.py --server http://localhost:8000/v1 --server-model smollm2

The ways: ours (``LocalSearch`` with many searches in flight), and ``reference_search.py`` with transformers and, given
``--server``, through a vLLM server. Settings are the quickstart's but for what the options name. Each way loads its own
copy of the model, outside the clock, and all ways take turns in every round.

Two samplers draw different random numbers, so the ways take different paths: seconds are also given a step and a
sampled token. With ``--prepared`` (implied by random weights) both meet the same candidates, and then the paths have to
agree too. In any case trajectories of each way are scored again by the other; the script ends with exit code 1 if
scores of one text differ by more than the engine's noise (float32: 1e-4 nats).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import torch
from prepared import PreparedEngine
from reference_backends import PlainServer, PlainTransformers
from reference_search import ReferenceSearch

from deepwriting.engines.base import SCORE_NOISE_NATS, Engine
from deepwriting.engines.quiet import quiet_transformers
from deepwriting.engines.transformers.engine import TransformersEngine
from deepwriting.recipe import SearchSection, load_recipe
from deepwriting.reer.found import Found
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.scoring import SolutionScorer
from deepwriting.reer.search import LocalSearch

SEED = 42
#: Two ways of computing one score may differ by this in float32 (nats); the bound that the project promises.
TOLERANCE_NATS = 1e-4


@dataclass
class Outcome:
    """What one way did with all pairs.

    Attributes:
        seconds: wall time, without loading.
        searched: pairs that were searched; the others were skipped for their first thinking.
        steps: steps taken.
        accepted: steps that changed a segment.
        sampled: tokens sampled.
        scored: tokens of all scored texts.
        trajectories: first and best thinking of each searched pair, with their search scores.
    """

    seconds: float = 0.0
    searched: int = 0
    steps: int = 0
    accepted: int = 0
    sampled: int = 0
    scored: int = 0
    trajectories: list[tuple[common.Pair, str, float]] = field(default_factory=list)


class Bench:
    """Pairs, settings and model of one comparison."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.pairs = common.sample_pairs(options.pairs, options.texts)
        base = load_recipe("quickstart")[0].search.model_dump()
        wanted = {
            "max_steps": options.steps, "candidates": options.candidates, "prompts": options.prompts,
            "max_thinking_tokens": options.max_thinking_tokens, "max_segment_tokens": options.max_segment_tokens,
        }  # fmt: skip
        self.settings = SearchSection.model_validate(base | {k: v for k, v in wanted.items() if v is not None})
        self.prompts = load_prompts(self.settings.prompts)
        self.prepared = options.prepared or options.random_weights is not None
        self.folder = common.model_folder(options.model, options.random_weights, options.dtype)

    def engine(self) -> TransformersEngine:
        """Our engine, loaded."""
        options = self.options
        return TransformersEngine(
            self.folder, device=options.device, dtype=options.dtype, max_batch=options.max_batch,
            prefix_cache_gb=options.prefix_cache_gb,
        )  # fmt: skip

    def plain(self) -> PlainTransformers:
        """The reference's model, loaded."""
        options = self.options
        with quiet_transformers():
            return PlainTransformers(
                self.folder, device=options.device, dtype=options.dtype, together=options.together,
                prepared=self.prepared,
            )  # fmt: skip

    def server(self) -> PlainServer:
        """The reference's server."""
        options = self.options
        return PlainServer(
            options.server, model=options.server_model or self.folder, folder=self.folder, dtype=options.dtype,
            prepared=self.prepared,
        )  # fmt: skip

    def ours(self) -> Outcome:
        """Our search over all pairs."""
        inner = self.engine()
        engine: Engine = PreparedEngine(inner) if self.prepared else inner
        asyncio.run(engine.score("Warming", [" up", " down"], " before the clock starts"))
        known = inner.usage
        with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.jsonl", "benchmark") as journal:
            search = LocalSearch([engine], engine, self.prompts, self.settings, seed=SEED, journal=journal)
            began = time.perf_counter()
            results = asyncio.run(self._concurrently(search))
            outcome = Outcome(time.perf_counter() - began)
        outcome.sampled = inner.usage.sampled_tokens - known.sampled_tokens
        outcome.scored = inner.usage.scored_tokens - known.scored_tokens
        for pair, result in zip(self.pairs, results, strict=True):
            if isinstance(result, Found):
                outcome.searched += 1
                outcome.steps += result.values["steps"]
                outcome.accepted += result.values["accepted_edits"]
                outcome.trajectories += [
                    (pair, result.values["initial_thinking"], result.values["score_before"]),
                    (pair, result.thinking, result.values["score_after"]),
                ]
        inner.close()
        return outcome

    async def _concurrently(self, search: LocalSearch) -> list[Any]:
        gate = asyncio.Semaphore(self.options.concurrency)

        async def one(pair: common.Pair) -> Any:
            async with gate:
                return await search.search(pair.id, pair.query, pair.answer, pair.language)

        return await asyncio.gather(*(one(pair) for pair in self.pairs))

    def reference(self, backend: PlainTransformers | PlainServer) -> Outcome:
        """The reference search over all pairs."""
        backend.logprobs("Warming up", " before the clock starts")
        backend.sample("Warming up", 1, 2, ("</refine>",), 0, self.settings)
        backend.sampled_tokens = backend.scored_tokens = 0
        search = ReferenceSearch(backend, self.prompts, self.settings, seed=SEED)
        began = time.perf_counter()
        results = [search.search(pair) for pair in self.pairs]
        outcome = Outcome(time.perf_counter() - began)
        outcome.sampled, outcome.scored = backend.sampled_tokens, backend.scored_tokens
        for result in results:
            if not result.skipped:
                outcome.searched += 1
                outcome.steps += result.steps
                outcome.accepted += result.accepted
                outcome.trajectories += [
                    (result.pair, result.initial, result.before),
                    (result.pair, result.final, result.after),
                ]
        return outcome

    def rescore(self, outcomes: dict[str, Outcome], count: int) -> dict[str, float]:
        """Score trajectories of each way by the other; largest difference to what was reported (nats)."""
        engine, plain = self.engine(), self.plain()
        reference = ReferenceSearch(plain, self.prompts, self.settings, seed=SEED)
        differences = {}
        for name, outcome in outcomes.items():
            found = outcome.trajectories[:: max(1, len(outcome.trajectories) // count)][:count]
            again = [
                reference.score(pair, thinking) if name == "ours" else asyncio.run(self._ours(engine, pair, thinking))
                for pair, thinking, _ in found
            ]
            differences[name] = max(
                (abs(new - old) for new, (_, _, old) in zip(again, found, strict=True)), default=float("nan")
            )
        engine.close()
        return differences

    async def _ours(self, engine: Engine, pair: common.Pair, thinking: str) -> float:
        score = SolutionScorer(
            engine, self.prompts[pair.language], pair.query, pair.answer, clip_logprob=self.settings.clip_logprob,
            score_first_segment=self.settings.score_first_segment,
        )  # fmt: skip
        return (await score([thinking]))[0].value


def free(device: str) -> None:
    """Give back the memory of a model that is not used any more."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--texts", type=Path, help="folder with books, a third of the pairs comes from them")
    parser.add_argument("--steps", type=int, help="most steps [the quickstart's]")
    parser.add_argument("--candidates", type=int, help="candidates a step [the quickstart's]")
    parser.add_argument("--max-thinking-tokens", type=int, help="[the quickstart's]")
    parser.add_argument("--max-segment-tokens", type=int, help="[the quickstart's]")
    parser.add_argument("--prompts", help="prompt set [the quickstart's]")
    parser.add_argument("--concurrency", type=int, default=32, help="our searches in flight")
    parser.add_argument("--max-batch", type=int, default=32, help="most sequences that our engine samples at a time")
    parser.add_argument("--prefix-cache-gb", type=float, default=1.0)
    parser.add_argument("--dtype", default="float32", choices=sorted(SCORE_NOISE_NATS))
    parser.add_argument("--prepared", action="store_true", help="equal work: prepared texts in place of sampled ones")
    parser.add_argument("--together", action="store_true", help="the reference samples a step's candidates in one call")
    parser.add_argument("--server", metavar="URL", help="also drive the reference through this vLLM server")
    parser.add_argument("--server-model", help="the model as that server calls it [the folder]")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rescore", type=int, default=4, help="trajectories of each way to score again")
    common.add_model_arguments(parser)
    options = parser.parse_args()
    try:
        sys.exit(compare(Bench(options)))
    finally:
        common.remove_models()


def compare(bench: Bench) -> int:
    """Run all ways in turns, print the tables, and return the exit code."""
    options = bench.options
    ways: dict[str, Callable[[], Outcome]] = {"ours": bench.ours, "reference": lambda: bench.reference(bench.plain())}
    if options.server:
        ways["reference, server"] = lambda: bench.reference(bench.server())
    print(
        f"{options.random_weights or options.model} in {options.dtype} on {options.device}, {len(bench.pairs)} pairs, "
        f"{bench.settings.max_steps} steps, {bench.settings.candidates} candidates, "
        f"ours {options.concurrency} at a time{', prepared texts' if bench.prepared else ''}"
    )
    outcomes: dict[str, Outcome] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            outcomes[name] = way()
            seconds[name].append(outcomes[name].seconds)
            free(options.device)
    rows = []
    for name, outcome in outcomes.items():
        wall, base = common.median(seconds[name]), common.median(seconds["ours"])
        per_step, our_step = wall / max(outcome.steps, 1), base / max(outcomes["ours"].steps, 1)
        per_token, our_token = wall / max(outcome.sampled, 1), base / max(outcomes["ours"].sampled, 1)
        rows.append(
            {
                "way": name, "wall s": wall, "x ours": wall / base, "searched": outcome.searched,
                "steps": outcome.steps, "accepted": outcome.accepted, "sampled": outcome.sampled,
                "scored": outcome.scored, "s/step": per_step, "x ours ": per_step / our_step,
                "ms/sampled token": 1000 * per_token, "x ours  ": per_token / our_token,
            }
        )  # fmt: skip
    digits = {"wall s": ".1f", "s/step": ".2f", "ms/sampled token": ".1f"}
    common.print_table(rows, digits | {"x ours" + " " * i: ".2f" for i in range(3)})
    allowed = max(TOLERANCE_NATS, SCORE_NOISE_NATS[options.dtype])
    differences = bench.rescore(outcomes, options.rescore)
    wrong = 0
    for name, difference in differences.items():
        print(f"scores of {name}, computed again by the other: differ by up to {difference:.1e} nats")
        wrong += not difference <= allowed
    if bench.prepared:
        wrong += not agree(outcomes, allowed)
    if wrong:
        print(f"FAILED: more than {allowed:.1e} nats")
    return 1 if wrong else 0


def agree(outcomes: dict[str, Outcome], allowed: float) -> bool:
    """Whether all ways have taken the same path, and found the same scores on it."""
    same = True
    ours = outcomes["ours"].trajectories
    for name, outcome in outcomes.items():
        pairs = list(zip(ours, outcome.trajectories, strict=False))
        texts = sum(one[1] == other[1] for one, other in pairs)
        worst = max((abs(one[2] - other[2]) for one, other in pairs if one[1] == other[1]), default=float("nan"))
        print(f"{name}: {texts} of {len(ours)} trajectories as ours, their scores differ by up to {worst:.1e} nats")
        same &= worst <= allowed
    return same


if __name__ == "__main__":
    main()
