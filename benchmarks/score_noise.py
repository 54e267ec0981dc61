"""How far the mean NLL of one text differs between the ways of computing it: a score's numerical noise.

    python benchmarks/score_noise.py [--model smollm2-135m] [--dtypes float32 float16 bfloat16] [--texts 20]
    VLLM/bin/python benchmarks/score_noise.py --engine vllm

Each text is a bundled pair: the prompt of its query, a made-up thinking, its answer. Its mean NLL is computed by one
plain forward pass of transformers and in the ways in which the engine may come to compute it: with and without a kept
prefix, packed with short alternatives, in a padded batch, in one batch with other callers' texts, in blocks. With
``--engine vllm`` the ways are those that a caller of vLLM has: alone, with a kept prefix, beside others, together with
other callers; the environment needs vLLM and this package. For each dtype the largest difference between any two ways
is printed, for each text, with its 95th percentile and maximum over the texts. ``SCORE_NOISE_NATS`` in
``deepwriting/engines/base.py`` is set by it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from common import sample_pairs
from transformers import AutoModelForCausalLM

from deepwriting.engines.alignment import Tokeniser
from deepwriting.engines.base import Engine
from deepwriting.engines.models import resolve_model
from deepwriting.engines.transformers import batches, forward
from deepwriting.engines.transformers.engine import TransformersEngine

#: The alternatives scored beside a text; their thinking differs from the first token on.
OTHERS = ("Something else entirely, told from its end.", "Begin with a question.")
#: Longest answer (characters): longer ones average the noise away and take longer.
ANSWER_CHARS = 900


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="auto", help="of the transformers engine and of the plain pass")
    parser.add_argument("--texts", type=int, default=20)
    options = parser.parse_args()
    for dtype in options.dtypes:
        if options.engine == "vllm":
            report(options.model, dtype, vllm_scores(options.model, dtype, options.texts))
        else:
            engine = TransformersEngine(options.model, dtype=dtype, device=options.device)
            try:
                report(options.model, dtype, (ways(engine, *text) for text in texts(engine, options.texts)))
            finally:
                engine.close()


def report(model: str, dtype: str, scores: Iterable[dict[str, float]]) -> None:
    """Print the noise of one engine; the first way of each text is the plain one."""
    found: dict[str, list[float]] = {}
    for ways_of_text in scores:
        for way, score in ways_of_text.items():
            found.setdefault(way, []).append(score)
    table = np.array(list(found.values()))
    spread = table.max(axis=0) - table.min(axis=0)
    print(f"{model} in {dtype}, {table.shape[1]} texts")
    print("way                  against plain: mean     95 %      max   (nats)")
    for way, row in zip(found, np.abs(table - table[0]), strict=True):
        print(f"{way:24s} {row.mean():17.1e} {np.percentile(row, 95):8.1e} {row.max():8.1e}")
    for name, few in (("any two ways", spread), ("any two of the engine's", np.ptp(table[1:], axis=0))):
        print(f"{name:24s} {few.mean():17.1e} {np.percentile(few, 95):8.1e} {few.max():8.1e}", flush=True)


def texts(engine: Engine, count: int) -> list[tuple[str, str, str]]:
    """Prefixes, middles and targets; a pair is used again with other thinking if there are too few."""
    pairs = sample_pairs(count)
    made = []
    for index in range(count):
        pair = pairs[index % len(pairs)]
        sentence = f"So the text number {index} asks for this: {pair.query[: 80 + 20 * (index % 7)]} "
        middle = sentence + "I keep the order, I name things plainly, and I end before I explain. " * (1 + index % 3)
        target = f"\n</think>\n<answer>\n{pair.answer[:ANSWER_CHARS]}"
        made.append((engine.render(pair.query) + "<think>\n", middle, target))
    return made


def ways(engine: TransformersEngine, prefix: str, middle: str, target: str) -> dict[str, float]:
    """The mean NLL of one target after one thinking, by way of computing it; the plain one is the first."""

    def score(*middles: str, tokens: int = 512, packed: int = 0, fresh: bool = True, blocks: bool = False) -> float:
        if fresh:
            engine._causal.store.clear()
        engine._scorer.limit.tokens, forward.PACKED_TOKENS = tokens, packed
        engine._scorer.limit.worth_a_pass = tokens  # together what may be together
        abandon = (lambda _: False) if blocks else None
        return mean_nll(asyncio.run(engine.score(prefix, middles, target, abandon=abandon))[0])

    found = {
        "plain forward": plain(engine._causal.model, engine._texts, prefix + middle, target),
        "alone": score(middle),
    }
    found["kept prefix"] = score(middle, fresh=False)
    found["beside others, alone"] = score(middle, *OTHERS, tokens=1)
    found["packed"] = score(middle, *OTHERS, tokens=100_000, packed=100_000)
    found["padded batch"] = score(middle, *OTHERS, tokens=100_000)
    engine._causal.store.clear()
    engine._scorer.limit.tokens = 100_000
    found["with other callers"] = asyncio.run(together(engine, prefix, middle, target))
    found["in blocks"] = score(middle, *OTHERS, tokens=100_000, blocks=True)
    found["one row in blocks"] = score(middle, tokens=batches.CPU_TOKENS, blocks=True)
    return found


def vllm_scores(model: str, dtype: str, count: int) -> Iterator[dict[str, float]]:
    """For each text its mean NLL in the ways that a caller of vLLM has; the plain one is the first."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    from deepwriting.engines.vllm.engine import VllmEngine

    resolved = resolve_model(model)
    network = AutoModelForCausalLM.from_pretrained(resolved.path, dtype=getattr(torch, dtype)).eval()
    tokeniser = Tokeniser.load(resolved)
    engine = VllmEngine(model, dtype=dtype, enforce_eager=True, max_batch=16, options={"kv_cache_memory_bytes": 2**29})

    def score(prefix: str, *middles: str, target: str) -> float:
        return mean_nll(runner.run(engine.score(prefix, middles, target))[0])

    try:
        with asyncio.Runner() as runner:
            for prefix, middle, target in texts(engine, count):
                yield {
                    "plain forward": plain(network, tokeniser, prefix + middle, target),
                    "alone": score(prefix, middle, target=target),
                    "kept prefix": score(prefix, middle, target=target),
                    "beside others": score(prefix, middle, *OTHERS, target=target),
                    "with other callers": runner.run(together(engine, prefix, middle, target)),
                }
    finally:
        engine.close()


async def together(engine: Engine, prefix: str, middle: str, target: str) -> float:
    """Beside other callers' texts."""
    others = [engine.score(f"{i}. {prefix}", [other], target) for i, other in enumerate(OTHERS)]
    return mean_nll((await asyncio.gather(engine.score(prefix, [middle], target), *others))[0][0])


def plain(network: Any, tokeniser: Tokeniser, head: str, target: str) -> float:
    """By one forward pass over the whole text."""
    text = tokeniser.align(head, target)
    with torch.inference_mode():
        ids = torch.from_numpy(text.ids)[None].to(network.device)
        logits = network(ids, use_cache=False).logits[0, text.start - 1 : -1].float()
        logs = torch.log_softmax(logits, dim=-1)
        return -float(logs.gather(1, ids[0, text.start :, None]).mean())


def mean_nll(score: Any) -> float:
    """Of a complete score (nats)."""
    return -float(score.logprobs.astype(np.float64).mean())


if __name__ == "__main__":
    main()
