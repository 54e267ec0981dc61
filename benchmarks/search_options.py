"""What the options beyond the paper do: each against the search without it, on the same pairs, engines and seeds.

    python benchmarks/search_options.py [--recipe quickstart] [--pairs 12] [--steps 4] [--markdown FILE]

Pruning and racing are judged on the very steps of the plain search: every candidate is scored to its end, and each rule
is asked behind every block where it would have ended, and whether the candidate would have been accepted. The other
options change the path of a search and get a search of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common import Pair, sample_pairs
from tables import Table

from deepwriting.engines import close_engines, get_engine
from deepwriting.engines.base import Abandon, Engine, TargetScore
from deepwriting.recipe import SearchSection, load_recipe
from deepwriting.reer.found import Found
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.racing import EarlyEnd
from deepwriting.reer.search import LocalSearch

#: Rules that are asked: name, whether to prune, confidence of the race.
RULES = (("prune", True, None), *((f"race {c:g}", False, c) for c in (0.8, 0.9, 0.95, 0.99)))
#: Options that get a search of their own.
VARIANTS: dict[str, dict[str, Any]] = {
    "passes: 2": {"passes": 2},
    "length_penalty: 0.01": {"length_penalty": 0.01},
    "length_penalty: 0.05": {"length_penalty": 0.05},
    "prune: true": {"prune": True},
    "race_confidence: 0.95": {"race_confidence": 0.95},
}


@dataclass
class Asked:
    """What a rule would have done.

    Attributes:
        candidates: candidates that it was asked about.
        tokens: their scored tokens.
        saved: tokens behind the places where it would have ended.
        ended: candidates that it would have ended.
        wrongly: those among them that beat their rival.
    """

    candidates: int = 0
    tokens: int = 0
    saved: int = 0
    ended: int = 0
    wrongly: int = 0


@dataclass
class Judge:
    """A scorer that scores everything to the end and asks every rule what it would have done."""

    engine: Engine
    block: int
    asked: dict[str, Asked] = field(default_factory=lambda: {name: Asked() for name, _, _ in RULES})

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def score(
        self, prefix: str, middles: Sequence[str], target: str, *, abandon: Abandon | None = None
    ) -> list[TargetScore]:
        """Score; see ``Engine.score``."""
        scores = await self.engine.score(prefix, middles, target)
        if isinstance(abandon, EarlyEnd):
            for score in scores:
                self._judge(score, abandon)
        return scores

    def _judge(self, score: TargetScore, given: EarlyEnd) -> None:
        size, rival = len(score.logprobs), given.rival
        losses = -score.logprobs.astype(float).clip(given.clip_logprob, 0.0)
        won = losses.mean() < rival.losses.mean() - rival.needed
        for name, prune, confidence in RULES:
            rule, asked = replace(given, prune=prune, confidence=confidence), self.asked[name]
            asked.candidates += 1
            asked.tokens += size
            end = next((at for at in range(self.block, size, self.block) if rule(score.logprobs[:at])), None)
            if end is not None:
                asked.ended += 1
                asked.saved += size - end
                asked.wrongly += won


def main() -> None:
    """Search with each option, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--books", type=Path, help="folder with Project Gutenberg books (*.txt)")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--block", type=int, default=128, help="tokens between two questions to a rule")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)[0]
    pairs = sample_pairs(options.pairs, options.books)
    base = recipe.search.model_copy(update={"max_steps": options.steps})
    generator, scorer = get_engine(recipe.engines.generator), get_engine(recipe.engines.scoring)
    try:
        judge = Judge(scorer, options.block)
        # Pruning on, so that the search hands the rival over; the judge ends nothing.
        plain, seconds = _search(pairs, generator, judge, base.model_copy(update={"prune": True}), recipe.seed)
        early = Table("rule", "candidates", "ended early", "scored tokens saved", "would-be winners ended")
        for name, asked in judge.asked.items():
            early.add(
                name, str(asked.candidates), f"{asked.ended / max(asked.candidates, 1):.0%}",
                f"{asked.saved / max(asked.tokens, 1):.1%}", f"{asked.wrongly} of {asked.ended}",
            )  # fmt: skip
        paths = Table("search", "rows", "score before", "score after", "accepted", "thinking (tokens, mean)", "seconds")
        paths.add("as in the paper", *_figures(plain), f"{seconds:.0f}")
        for name, changes in VARIANTS.items():
            found, seconds = _search(pairs, generator, scorer, base.model_copy(update=changes), recipe.seed)
            paths.add(name, *_figures(found), f"{seconds:.0f}")
    finally:
        close_engines()
    report = f"{early.markdown()}\n\n{paths.markdown()}"
    print(report)
    if options.markdown is not None:
        options.markdown.write_text(report + "\n", encoding="utf-8")


def _search(
    pairs: Sequence[Pair], generator: Engine, scorer: Any, settings: SearchSection, seed: int
) -> tuple[list[Found], float]:
    prompts = load_prompts(settings.prompts)

    async def all_pairs(search: LocalSearch) -> list[Any]:
        return await asyncio.gather(*(search.search(p.id, p.query, p.answer, p.language) for p in pairs))

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.jsonl", "benchmark") as journal:
        search = LocalSearch([generator], scorer, prompts, settings, seed=seed, journal=journal)
        results = asyncio.run(all_pairs(search))
    return [result for result in results if isinstance(result, Found)], time.perf_counter() - began


def _figures(found: Sequence[Found]) -> list[str]:
    values = [result.values for result in found]
    steps, accepted = (sum(v[key] for v in values) for key in ("steps", "accepted_edits"))
    return [
        str(len(values)),
        *(f"{statistics.mean(v[key] for v in values):.3f}" for key in ("score_before", "score_after")),
        f"{accepted} of {steps}",
        f"{statistics.mean(v['thinking_tokens_after'] for v in values):.0f}",
    ]


if __name__ == "__main__":
    main()
