"""How far from the machine's limit: our engine's prefill and decoding as a share of measured matrix products.

    python benchmarks/ceiling.py --dtypes float32 bfloat16
    python benchmarks/ceiling.py --device cuda --dtypes bfloat16 --random-weights 8b --requests 1 8 32

First the ceilings: the speed of the model's own matrix products (every linear layer at 512 and 2,048 rows, weighted as
in the model) and of one large square product, and the bandwidth at which weights are read, which bounds decoding. Then
the engine, through its public interface: prefill (a text of n tokens with a short y), scoring where a quarter of the
text is y, and decoding of 1, 8, 32 sequences. The ceilings are measured in a process of their own: a second pool of
OpenMP threads in the engine's process would slow the engine down.

Work is counted as 2 operations for each weight a token passes, plus attention over what stands before it (4 x heads x
head dimension for each pair of tokens and layer, half of the square). The output layer counts only for scored tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import common
import torch

from deepwriting.engines.transformers.engine import TransformersEngine

#: Side of the large square product, by kind of device.
SQUARE = {"cpu": 2048, "cuda": 8192, "mps": 4096}
#: Rows (tokens) of the model's own products.
ROWS = 2048
#: Scored tokens of a prefill: as few as a score can have.
SHORT_TARGET = " it"
PREFILLS = (512, 2048)
SEQUENCES = (1, 8, 32)
DECODED = 48


@dataclass(frozen=True)
class Work:
    """What a model computes.

    Attributes:
        shapes: linear layers without the output layer: (inputs, outputs) and how often each occurs.
        head: shape of the output layer.
        attention: operations for each pair of tokens, over all layers.
    """

    shapes: Counter[tuple[int, int]]
    head: tuple[int, int]
    attention: float

    @property
    def body(self) -> float:
        """Operations for each token, without attention and output layer."""
        return sum(2.0 * k * n * times for (k, n), times in self.shapes.items())

    def prefill(self, tokens: int, scored: int) -> float:
        """Operations for a text of ``tokens`` of which ``scored`` pass the output layer."""
        return self.body * tokens + self.attention * tokens**2 / 2 + 2.0 * self.head[0] * self.head[1] * scored

    def decode(self, context: float) -> float:
        """Operations for one new token behind ``context``."""
        return self.body + self.attention * context + 2.0 * self.head[0] * self.head[1]

    @property
    def weights(self) -> float:
        """Weights that a decoding step reads."""
        return sum(k * n * times for (k, n), times in self.shapes.items()) + self.head[0] * self.head[1]


def work_of(folder: str) -> Work:
    """Count the linear layers of a model without loading it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        network: Any = AutoModelForCausalLM.from_config(config)
    head = network.get_output_embeddings()
    linear = [m for m in network.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    text = config.get_text_config()
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    attention = 4.0 * text.num_attention_heads * size * text.num_hidden_layers
    shapes = Counter((m.in_features, m.out_features) for m in linear)
    return Work(shapes, (head.in_features, head.out_features), attention)


def best_seconds(work: Callable[[], Any], device: str, rounds: int) -> float:
    """The fastest of several rounds: a ceiling is what the machine can do, not what it does on average."""

    def once() -> float:
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        return time.perf_counter() - began

    once()
    return min(once() for _ in range(rounds))


def wait(device: str) -> None:
    """Let the device finish."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def product_rate(k: int, n: int, rows: int, device: str, dtype: torch.dtype, rounds: int) -> float:
    """Operations per second of a ``(rows, k) x (k, n)`` product, as a linear layer does it."""
    x, weight = torch.randn(rows, k, device=device, dtype=dtype), torch.randn(n, k, device=device, dtype=dtype)
    return 2.0 * rows * k * n / best_seconds(lambda: torch.nn.functional.linear(x, weight), device, rounds)


def bandwidth(device: str, dtype: torch.dtype, rounds: int) -> float:
    """Bytes per second at which a vector meets a matrix much larger than any cache (512 MB)."""
    side = 16384
    matrix = torch.randn(512 * 2**20 // dtype.itemsize // side, side, device=device, dtype=dtype)
    vector = torch.randn(side, device=device, dtype=dtype)
    return matrix.nbytes / best_seconds(lambda: matrix @ vector, device, rounds)


def ceilings(work: Work, device: str, dtype: torch.dtype, rounds: int) -> tuple[list[dict[str, Any]], float, float]:
    """Measure what the machine can do; runs in a process of its own.

    Returns:
        A table, the best speed of the large product and of the model's own ones (operations/s), and the bandwidth at
        which weights are read (bytes/s).
    """
    rows: list[dict[str, Any]] = []
    seconds = 0.0
    for (k, n), times in sorted(work.shapes.items()):
        rate = product_rate(k, n, ROWS, device, dtype, rounds)
        seconds += times * 2.0 * k * n / rate
        rows.append({"matrix product": f"{ROWS} x {k} x {n}", "times": times, "GFLOP/s": rate / 1e9})
    rate = product_rate(*work.head, 512, device, dtype, rounds)
    rows.append(
        {"matrix product": f"512 x {work.head[0]} x {work.head[1]} (output layer)", "times": 1, "GFLOP/s": rate / 1e9}
    )
    own = work.body / seconds
    rows.append({"matrix product": "all layers as in the model", "times": None, "GFLOP/s": own / 1e9})
    side = SQUARE[device.split(":")[0]]
    square = product_rate(side, side, side, device, dtype, rounds)
    rows.append({"matrix product": f"{side} x {side} x {side}", "times": 1, "GFLOP/s": square / 1e9})
    return rows, max(square, own), bandwidth(device, dtype, rounds)


def text_of(engine: Any, tokens: int, salt: str) -> str:
    """A text of about ``tokens`` tokens that begins as no other."""
    return f"({salt}) " + common.planning("en", tokens - 8, engine.count_tokens, salt)


def measure(options: argparse.Namespace, dtype: str) -> None:
    """Ceilings and engine in one precision."""
    folder = common.model_folder(options.model, options.random_weights, dtype)
    work, precision, device = work_of(folder), getattr(torch, dtype), options.device
    print(
        f"\n{options.random_weights or options.model} in {dtype} on {device}: {work.weights / 1e6:.0f} M weights at "
        f"work, {torch.get_num_threads()} threads, best of {options.rounds} rounds"
    )
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        products, top, reading = apart.submit(ceilings, work, device, precision, options.rounds).result()
    common.print_table(products, {"GFLOP/s": ".0f"})
    print(f"weights can be read at {reading / 1e9:.1f} GB/s\n")
    engine = TransformersEngine(folder, device=device, dtype=dtype, prefix_cache_gb=0.0, max_batch=max(SEQUENCES))
    rows = [
        prefill(engine, work, top, tokens, share, requests, options)
        for share in (0.0, 0.25)
        for tokens in PREFILLS
        for requests in options.requests
    ]
    common.print_table(rows, {"seconds": ".2f", "tokens/s": ".0f", "of ceiling": ".0%", "peak MB": ".0f"})
    print()
    rows = [decode(engine, work, top, reading, precision, sequences, options) for sequences in SEQUENCES]
    common.print_table(
        rows, {"seconds": ".2f", "tokens/s": ".1f", "of ceiling": ".1%", "of bandwidth": ".0%", "peak MB": ".0f"}
    )
    engine.close()


def prefill(
    engine: TransformersEngine, work: Work, top: float, tokens: int, share: float, requests: int,
    options: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """Scoring of ``requests`` texts at a time, of which ``share`` is y (0: one token)."""
    target = " " + common.planning("en", round(tokens * share), engine.count_tokens, "y") if share else SHORT_TARGET
    length = round(tokens * (1 - share))
    # New texts for every round, written before the clock starts: nothing may be known from the round before.
    batches = iter(
        [[text_of(engine, length, f"{turn}.{i}") for i in range(requests)] for turn in range(options.rounds + 1)]
    )
    done: dict[str, int] = {}

    async def once() -> None:
        results = await asyncio.gather(*(engine.score("", [text], target) for text in next(batches)))
        done["tokens"] = sum(result.total_tokens for [result] in results)
        done["scored"] = sum(len(result.logprobs) for [result] in results)

    common.reset_peak(options.device)
    seconds = best_seconds(lambda: asyncio.run(once()), options.device, options.rounds)
    operations = requests * work.prefill(done["tokens"] // requests, done["scored"] // requests)
    return {
        "scoring": f"{done['tokens'] // requests} tokens, y {done['scored'] // requests}", "requests": requests,
        "seconds": seconds, "tokens/s": done["tokens"] / seconds, "of ceiling": operations / seconds / top,
        "peak MB": common.peak_mb(options.device),
    }  # fmt: skip


def decode(
    engine: TransformersEngine, work: Work, top: float, reading: float, dtype: torch.dtype, sequences: int,
    options: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """Sampling of several continuations of one short prompt."""
    prompt = engine.render("Write a long story about a lighthouse keeper, a letter and the sea.")
    done: dict[str, int] = {}
    seeds = iter(range(10**6))

    async def once() -> None:
        before = engine.usage.sampled_tokens
        await engine.sample(
            prompt, n=sequences, max_tokens=DECODED, temperature=0.8, top_p=0.85, top_k=40, frequency_penalty=0.0,
            stop=(), seed=next(seeds),
        )  # fmt: skip
        done["tokens"] = engine.usage.sampled_tokens - before

    common.reset_peak(options.device)
    seconds = best_seconds(lambda: asyncio.run(once()), options.device, options.rounds)
    prompt_tokens = engine.count_tokens(prompt)
    operations = done["tokens"] * work.decode(prompt_tokens + DECODED / 2) + work.prefill(prompt_tokens, 1)
    return {
        "decoding": f"{sequences} sequences", "sampled": done["tokens"], "seconds": seconds,
        "tokens/s": done["tokens"] / seconds, "of ceiling": operations / seconds / top,
        "of bandwidth": DECODED * work.weights * dtype.itemsize / seconds / reading,
        "peak MB": common.peak_mb(options.device),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    common.add_model_arguments(parser)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--requests", type=int, nargs="+", default=[1, 4], help="texts scored at the same time")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    try:
        for dtype in options.dtypes:
            measure(options, dtype)
            common.remove_models()
    finally:
        common.remove_models()


if __name__ == "__main__":
    main()
