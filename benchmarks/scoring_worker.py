"""One way of scoring in a process of its own; ``scoring.py`` starts it, maybe with another interpreter.

Reads JSON lines from stdin: first the way, the model and how to run it, then one case a line. Answers each with a JSON
line: ``{"ready": …}``, then seconds and mean NLL of the case's texts. Uses deepwriting only for ours, so that the
environments of the others need not have it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Case = dict[str, Any]
#: Scores the texts of a case: their mean NLL (nats).
Way = Callable[[Case], list[float]]
#: Makes ready what a search would have from its step before; not on the clock.
Before = Callable[[Case], None]


def ours(setup: dict[str, Any]) -> tuple[Way, Before]:
    """``TransformersEngine.score``: with what the step before has left in its store, or with an empty one."""
    import asyncio

    from deepwriting.engines.transformers.engine import TransformersEngine

    kept = setup["way"] == "ours"
    engine = TransformersEngine(
        setup["model"], device=setup["device"], dtype=setup["dtype"], prefix_cache_gb=1.0 if kept else 0.0
    )

    def score(case: Case) -> list[float]:
        results = asyncio.run(engine.score(case["prefix"], case["middles"], case["target"]))
        return [-float(result.logprobs.astype("float64").mean()) for result in results]

    def before(case: Case) -> None:
        if kept and case["before"]:
            asyncio.run(engine.score(case["before"], [" "], case["target"]))

    return score, before


def forward(setup: dict[str, Any]) -> tuple[Way, Before]:
    """One full forward pass a text, with the logits of every position."""
    import torch
    from transformers import AutoModelForCausalLM

    network: Any = AutoModelForCausalLM.from_pretrained(setup["model"], dtype=getattr(torch, setup["dtype"]))
    network = network.to(setup["device"]).eval()

    def one(ids: list[int], start: int) -> float:
        row = torch.tensor([ids], device=network.device)
        logits = network(row, use_cache=False).logits[0].float()
        logs = torch.log_softmax(logits[start - 1 : -1], dim=-1).gather(1, row[0, start:, None])
        return -float(logs.double().mean())

    def score(case: Case) -> list[float]:
        with torch.inference_mode():
            return [one(ids, start) for ids, start in zip(case["rows"], case["starts"], strict=True)]

    return score, lambda case: None


def lm_eval(setup: dict[str, Any]) -> tuple[Way, Before]:
    """``loglikelihood`` of lm-evaluation-harness' HFLM, all candidates of a step in one call.

    The request goes in behind its tokenisation, which would count the line breaks before y as part of y.
    Below float32 its scores are coarser: by default it normalises in the precision of the model.
    """
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-not-found]

    model: Any = HFLM(
        pretrained=setup["model"], device=setup["device"], dtype=setup["dtype"], batch_size=setup["batch"],
        max_length=setup["longest"], add_bos_token=False,
    )  # fmt: skip

    def score(case: Case) -> list[float]:
        requests = [
            (("", ""), ids[:start], ids[start:]) for ids, start in zip(case["rows"], case["starts"], strict=True)
        ]
        results = model._loglikelihood_tokens(requests, disable_tqdm=True)
        return [-total / len(cont) for (total, _), (_, _, cont) in zip(results, requests, strict=True)]

    return score, lambda case: None


def vllm(setup: dict[str, Any]) -> tuple[Way, Before]:
    """VLLM's ``prompt_logprobs``, one request a text, one after the other, as the original search does."""
    from vllm import LLM, SamplingParams

    model: Any = LLM(
        model=setup["model"], dtype=setup["dtype"], max_model_len=setup["longest"] + 8, enforce_eager=True,
        gpu_memory_utilization=setup["gpu_share"],
    )  # fmt: skip
    parameters = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)

    def one(ids: list[int], start: int) -> float:
        [result] = model.generate([{"prompt_token_ids": ids}], parameters, use_tqdm=False)
        logs = [result.prompt_logprobs[at][ids[at]].logprob for at in range(start, len(ids))]
        return -float(sum(logs)) / len(logs)

    def score(case: Case) -> list[float]:
        return [one(ids, start) for ids, start in zip(case["rows"], case["starts"], strict=True)]

    return score, lambda case: None


WAYS: dict[str, Callable[[dict[str, Any]], tuple[Way, Before]]] = {
    "ours": ours,
    "ours, nothing kept": ours,
    "full forward": forward,
    "lm_eval": lm_eval,
    "vllm": vllm,
}


def peak_mb(device: str, *, reset: bool = False) -> float:
    """Most memory since the last reset (MB): of the tensors on a GPU, or of this process (see ``common.status_mb``)."""
    if device.startswith("cuda"):
        import torch

        peak = torch.cuda.max_memory_allocated() / 2**20
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return peak
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    """Answer until stdin ends."""
    # What libraries print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.remove(str(Path(__file__).parent))  # no module of this folder may stand for one of a library

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    setup = json.loads(sys.stdin.readline())
    score, before = WAYS[setup["way"]](setup)
    loaded = peak_mb(setup["device"], reset=True)
    answer(ready=loaded)
    for line in sys.stdin:
        case = json.loads(line)
        before(case)
        began = time.perf_counter()
        nll = score(case)
        answer(seconds=time.perf_counter() - began, nll=nll, peak=peak_mb(setup["device"]))


if __name__ == "__main__":
    main()
