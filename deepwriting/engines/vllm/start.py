"""What vLLM is started with: its environment and its arguments."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
from typing import Any

from deepwriting.engines.models import ResolvedModel
from deepwriting.engines.vllm.core import brief
from deepwriting.errors import EngineError

#: vLLM writes its log to stdout, where this project's commands write their results.
ENVIRONMENT = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}
#: On a CPU a second process gains nothing, and pinned threads would pin those of every other engine in this process.
CPU_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
#: Memory for the logits of one scheduling step (bytes). vLLM builds them for every scored token of a step, beside the
#: memory that it has set aside: about 7.5 GiB at 8192 tokens and a vocabulary of 152k. Two are left over on a GPU of
#: 24 GB of which vLLM takes nine tenths.
LOGITS_BYTES = 2 * 1024**3
#: Bytes for each token and word of the vocabulary, as read in vLLM 0.30's sampler: logits in 16 bits, their log-softmax
#: in float32, and a truth value for the rank.
LOGIT_BYTES = 2 + 4 + 1
#: Steps have at least and at most so many tokens. Thinner matrix products leave a GPU idle (a judgement, not measured
#: here); the upper end is vLLM 0.30's own default on most GPUs.
STEP_TOKENS = (1024, 8192)
#: Engine arguments that have a parameter of ours; as options they would contradict it.
OURS = {
    "model": "model", "tokenizer": "model", "revision": "revision", "dtype": "dtype",
    "max_model_len": "context_tokens", "max_num_seqs": "max_batch",
    "gpu_memory_utilization": "gpu_memory_utilization", "tensor_parallel_size": "tensor_parallel",
    "enforce_eager": "enforce_eager",
}  # fmt: skip


def prepare() -> None:
    """Import vLLM with an environment that suits a library; variables that are set already stay as they are.

    Raises:
        EngineError: if vLLM is not installed, or cannot be imported.
    """
    if importlib.util.find_spec("vllm") is None:
        raise EngineError("vLLM is not installed; pip install 'deepwriting[vllm]' installs it")
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        importlib.import_module("vllm.v1.engine.llm_engine")  # fails here if a part of the installation is missing
        from vllm.platforms import current_platform
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(f"vLLM is installed but cannot be imported: {type(error).__name__}: {error}") from error
    if current_platform.is_cpu():
        for name, value in CPU_ENVIRONMENT.items():
            os.environ.setdefault(name, value)


def engine_args(
    resolved: ResolvedModel,
    *,
    dtype: str,
    context_tokens: int | None,
    max_batch: int,
    gpu_memory_utilization: float,
    tensor_parallel: int,
    enforce_eager: bool,
    options: dict[str, Any],
) -> Any:
    """Arguments (``EngineArgs``) with which vLLM starts.

    The context has one token less than the model's: vLLM samples a token even where only the prompt's log-probabilities
    are wanted, and that token has to fit too.

    Args:
        resolved: where the model's files are.
        dtype: ``auto``, ``float32``, ``bfloat16``, ``float16``.
        context_tokens: use less context than the model has (tokens).
        max_batch: most sequences in flight at the same time.
        gpu_memory_utilization: share of the device's memory that vLLM takes.
        tensor_parallel: GPUs that share the model.
        enforce_eager: no compilation, no CUDA graphs.
        options: more engine arguments, by vLLM's names.

    Raises:
        EngineError: if an option is unknown, has a parameter of ours, or makes no configuration.
    """
    from vllm import EngineArgs

    known = {field.name for field in dataclasses.fields(EngineArgs)}
    for name in options:
        if name in OURS:
            raise EngineError(f"the vLLM option {name!r} is set by {OURS[name]!r}; use that instead")
        if name not in known:
            raise EngineError(f"vLLM has no engine argument {name!r}; its EngineArgs list {len(known)} of them")
    defaults: dict[str, Any] = {
        "enable_prefix_caching": True,
        "logprobs_mode": "raw_logprobs",
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if resolved.on_hub and resolved.revision:
        defaults |= {"revision": resolved.revision, "tokenizer_revision": resolved.revision}
    try:
        args = EngineArgs(
            model=resolved.path, dtype=dtype, max_num_seqs=max_batch, gpu_memory_utilization=gpu_memory_utilization,
            tensor_parallel_size=tensor_parallel, enforce_eager=enforce_eager, **defaults | options,
        )  # fmt: skip
        model = args.create_model_config()
    except Exception as error:  # vLLM's refusals have classes of their own
        raise EngineError(f"vLLM cannot use {resolved.name!r}: {brief(error)}") from error
    if context_tokens is not None:
        args.max_model_len = min(context_tokens + 1, model.max_model_len)
    if args.max_num_batched_tokens is None:
        args.max_num_batched_tokens = max(step_tokens(model.get_vocab_size()), max_batch)
    return args


def step_tokens(vocabulary: int) -> int:
    """Most tokens that one scheduling step may have, so that their logits stay below ``LOGITS_BYTES``.

    Args:
        vocabulary: size of the model's vocabulary.
    """
    shortest, longest = STEP_TOKENS
    return min(max(LOGITS_BYTES // (vocabulary * LOGIT_BYTES), shortest), longest)
