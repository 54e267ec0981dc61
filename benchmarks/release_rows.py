"""Releases to measure: searched rows of realistic size in our own made-up text, built into versions of a dataset.

Every row follows from the seed, its number and how often it was changed, so any version can be made without the others.
A row has an answer and a thinking of 2,000 to 4,000 characters each, segments, and a search of five steps with two
candidates each. Its measurements are drawn, not measured: nothing here depends on them but their size.
"""

from __future__ import annotations

import gzip
import importlib.util
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from synthetic.text import Texts

from deepwriting.builders.build import BuildReport, build_dataset
from deepwriting.schema import pair_id, row_id
from deepwriting.select.taxonomy import CATEGORIES, DOMAIN_OF

#: Name of the datasets, and of their repositories behind the user's name.
NAME = "essays"
#: Words of an answer and of a thinking, from and to: 2,000 to 4,000 characters.
WORDS = (370, 740)
STEPS = 5
CANDIDATES = 2
#: Rows of one source, in order of their numbers.
SOURCE_ROWS = 2_500
#: Documents in one shard.
SHARD_ROWS = 5_000
#: Facts about the run that the card and the checks before publishing ask for.
SETTINGS = {
    "recipe": "release-benchmark",
    "seed": 1,
    "models": {"generator": "made-up", "scorer": "made-up"},
    "prompts": {"en": "sha256:0", "zh": "sha256:0"},
}


class Rows:
    """Makes annotated documents.

    Args:
        seed: other seeds give other rows.
        pool: sentences to draw from.
    """

    def __init__(self, seed: int = 1, pool: int = 100_000):
        self.seed = seed
        self.texts = Texts(seed, pool)

    def _draw_from(self, key: str) -> random.Random:
        rng = self.texts.rng = self.texts.fill.rng = random.Random(f"{self.seed}:{key}")
        return rng

    def document(self, number: int, change: int = 0) -> dict[str, Any]:
        """One row as the stage ``build`` leaves it.

        Args:
            number: which row; decides query and answer.
            change: how often it has been searched anew; decides thinking, scores and trace.
        """
        rng = self._draw_from(f"pair {number}")
        query, answer = self.texts.request(), self.texts.answer("English", rng.randint(*WORDS))
        category = rng.choice(CATEGORIES)
        pair = pair_id(query, answer)
        rng = self._draw_from(f"search {number} {change}")
        initial = self.texts.answer("English", rng.randint(*WORDS))
        begun = initial.split("\n\n")
        final, trace = self._searched(begun, rng)
        scores = sorted((rng.uniform(1.2, 1.9) for _ in range(3)), reverse=True)
        metadata = {
            "row_id": row_id(pair, 0), "query": query, "thinking": "\n\n".join(final), "category": category,
            "domain": DOMAIN_OF[category], "category_probability": rng.random(), "language": "en",
            "source": f"source{number // SOURCE_ROWS}", "source_id": str(number), "license": "CC0-1.0",
            "provenance": orjson.dumps({"score": rng.randrange(5000)}).decode(), "pii_masked": 0, "rollout": 0,
            "generator": "made-up", "generator_revision": "r1", "scorer": "made-up", "scorer_revision": "r1",
            "score_no_thinking": scores[0], "score_before": scores[1], "score_after": scores[2],
            "perplexity_no_thinking": 2.7 ** (scores[0] + 1), "perplexity_before": 2.7 ** (scores[1] + 1),
            "perplexity_after": 2.7 ** (scores[2] + 1), "first_segment_scored": False,
            "scored_tokens": len(answer) // 5, "steps": STEPS, "accepted_edits": sum(t["accepted"] for t in trace),
            "stop_reason": "max_steps", "thinking_tokens_before": len(initial) // 4,
            "thinking_tokens_after": sum(map(len, final)) // 4, "answer_tokens": len(answer) // 4,
            "repetition": 0.0, "thinking_patterns": [{"pattern": "maybe", "count": rng.randint(1, 9)}],
            "thinking_pattern_count": rng.randint(1, 30), "end_pattern_count": 0, "copy_ratio": rng.random() / 20,
            "longest_copy": rng.randint(2, 9), "flags": [], "pipeline_version": "0.1.0", "keep": True,
            "drop_reasons": [], "initial_thinking": initial,
            "segments": [
                {"initial": one, "final": two, "edited": one != two} for one, two in zip(begun, final, strict=True)
            ],
            "trace": trace,
        }  # fmt: skip
        return {"text": answer, "id": pair, "metadata": metadata}

    def _searched(self, begun: Sequence[str], rng: random.Random) -> tuple[list[str], list[dict[str, Any]]]:
        """The segments after a made-up search, and its trace."""
        final, trace, score = list(begun), [], rng.uniform(1.5, 2.0)
        for step in range(1, STEPS + 1):
            at = (step - 1) % len(begun)
            segment, texts = final[at], [self.texts.answer("English", 45) for _ in range(CANDIDATES)]
            accepted = rng.choice((0, 0, None))
            for index, text in enumerate(texts):
                found = score + rng.uniform(0.01, 0.2) * (-1 if index == accepted else 1)
                trace.append({
                    "step": step, "segment_index": at, "segment": segment, "candidate_index": index,
                    "candidate": text, "generator": "made-up", "refusal": None, "score_current": score,
                    "score": found, "perplexity": 2.7 ** (found + 1), "accepted": index == accepted,
                })  # fmt: skip
            if accepted is not None:
                final[at], score = texts[accepted], trace[-CANDIDATES + accepted]["score"]
        return final, trace

    def write(self, folder: Path, changes: Mapping[int, int]) -> Path:
        """Write documents as the shards of a stage.

        Args:
            folder: where to; made.
            changes: number of a row -> how often it was changed.
        """
        folder.mkdir(parents=True)
        numbers = sorted(changes)
        for shard, begin in enumerate(range(0, len(numbers), SHARD_ROWS)):
            with gzip.open(folder / f"{shard:05d}.jsonl.gz", "wb", compresslevel=1) as stream:
                for number in numbers[begin : begin + SHARD_ROWS]:
                    stream.write(orjson.dumps(self.document(number, changes[number])) + b"\n")
        return folder


def build(shards: Path, out: Path, version: str, configs: Iterable[str] | None = None, **options: Any) -> BuildReport:
    """Build one version of the dataset."""
    wanted = None if configs is None else list(configs)
    return build_dataset(shards, out, name=NAME, version=version, settings=SETTINGS, configs=wanted, **options)


def local_hub(root: Path) -> Any:
    """A local Hub in a process of its own with all below ``root``, the one of the tests; ``stop()`` ends it."""
    file = Path(__file__).parents[1] / "tests" / "hub_server" / "fixtures.py"
    spec = importlib.util.spec_from_file_location("deepwriting_hub_fixtures", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.HubProcess(root / "data", root / "home")
