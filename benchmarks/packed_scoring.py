"""Scoring several alternatives as one row under a block mask, against a padded batch, side by side in one run.

    python benchmarks/packed_scoring.py [--model smollm2-135m] [--dtype float32] [--rounds 5]

Prints seconds of both ways, their ratio, and how far their log-probabilities differ, for alternatives of growing length
behind a shared prefix of 250 tokens. ``PACKED_TOKENS`` in ``deepwriting/engines/transformers/forward.py`` is set by it.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from deepwriting.engines import get_engine
from deepwriting.engines.transformers import forward
from deepwriting.engines.transformers.forward import Row
from deepwriting.recipe import TransformersSection

#: Tokens of the shared prefix, and scored tokens at the end of each alternative.
SHARED, SCORED = 250, 20
#: Mean lengths of the four alternatives (tokens); single ones lie up to a tenth above or below.
LENGTHS = (30, 60, 120, 215, 400)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    engine = get_engine(TransformersSection(model=options.model, dtype=options.dtype, prefix_cache_gb=0.0))
    causal = engine._causal  # type: ignore[attr-defined]
    random = np.random.default_rng(0)
    vocabulary = causal.model.get_input_embeddings().num_embeddings
    prefix = random.integers(10, vocabulary - 10, SHARED)
    print(f"{options.model} in {options.dtype}, {torch.get_num_threads()} threads, median of {options.rounds} rounds")
    print("tokens in all   padded (s)   packed (s)   padded/packed   largest difference (nats)")
    for length in LENGTHS:
        lengths = [round(length * factor) for factor in (0.9, 0.97, 1.03, 1.1)]
        rows = [np.concatenate([prefix, random.integers(10, vocabulary - 10, n)]) for n in lengths]
        starts = [len(row) - SCORED for row in rows]
        times: dict[int, list[float]] = {0: [], sum(lengths): []}
        results = {}
        with torch.inference_mode():
            beginning = Row(prefix, end=SHARED, retain=True)
            causal.advance([beginning])
            behind = [Row(ids, beginning.past, len(ids)) for ids in rows]
            targets = [ids[start:] for ids, start in zip(rows, starts, strict=True)]
            for _ in range(options.rounds):
                for limit in times:  # in turn, so that a slow moment of the machine hits both
                    forward.PACKED_TOKENS = limit
                    began = time.perf_counter()
                    outputs = causal.advance(behind)
                    results[limit] = causal.logprobs([out[-SCORED - 1 : -1] for out in outputs], targets)
                    times[limit].append(time.perf_counter() - began)
        padded, packed = (statistics.median(found) for found in times.values())
        worst = max(float(np.abs(a - b).max()) for a, b in zip(*results.values(), strict=True))
        print(f"{sum(lengths):13d} {padded:12.2f} {packed:12.2f} {padded / packed:15.2f} {worst:27.1e}")


if __name__ == "__main__":
    main()
