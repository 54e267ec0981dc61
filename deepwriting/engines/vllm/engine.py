"""The engine that runs a model with vLLM inside this process: CUDA, or the CPU with a build for it.

The coroutines tokenise and wait; ``worker.py`` drives vLLM, which batches whatever is in flight and keeps the
prefixes that it has computed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from deepwriting.engines.alignment import Aligned, Tokeniser, check_context
from deepwriting.engines.base import Abandon, Completion, EngineInfo, FinishReason, TargetScore, Usage
from deepwriting.engines.futures import request_error, resolve
from deepwriting.engines.models import resolve_model
from deepwriting.engines.vllm.core import Llm
from deepwriting.engines.vllm.scoring import ScoringRoute, choose_route
from deepwriting.engines.vllm.start import engine_args, prepare
from deepwriting.engines.vllm.worker import VllmRequest, VllmWorker
from deepwriting.errors import EngineError
from deepwriting.seeds import derive_seed

log = logging.getLogger(__name__)


class VllmEngine:
    """Samples and scores with vLLM.

    A text is reproducible as far as vLLM's arithmetic is: a continuation's random numbers depend on its seed and index
    alone, but the batch that it happens to be computed in may change the last bits of its logits. On the CPU scores
    were equal to the bit alone, together and in short chunks, in float32 and bfloat16; a GPU was not at hand.

    Args:
        model: embedded name, local directory or Hub id.
        revision: Hub revision.
        dtype: ``auto``, ``float32``, ``bfloat16``, ``float16``.
        context_tokens: use less context than the model has (tokens).
        max_batch: most sequences in flight at the same time.
        gpu_memory_utilization: share of the GPU's memory (on a CPU: of the memory) that vLLM takes.
        tensor_parallel: GPUs that share the model.
        enforce_eager: start faster and run slower: no compilation, no CUDA graphs.
        options: more of vLLM's engine arguments, by its names.

    Raises:
        ModelNotFoundError: if the model cannot be found.
        EngineError: if vLLM is not installed, does not know an option, or does not start.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        context_tokens: int | None = None,
        max_batch: int = 256,
        gpu_memory_utilization: float = 0.9,
        tensor_parallel: int = 1,
        enforce_eager: bool = False,
        options: dict[str, Any] | None = None,
    ):
        prepare()
        resolved = resolve_model(model, revision)
        self._text = Tokeniser.load(resolved)
        self._pending: set[asyncio.Future[Any]] = set()
        self._failure: Exception | None = None
        self._sampled = self._prompts = self._scored = self._reused = 0
        self._route: ScoringRoute
        self._info: EngineInfo

        def start() -> Llm:
            args = engine_args(
                resolved, dtype=dtype, context_tokens=context_tokens, max_batch=max_batch,
                gpu_memory_utilization=gpu_memory_utilization, tensor_parallel=tensor_parallel,
                enforce_eager=enforce_eager, options=options or {},
            )  # fmt: skip
            llm = Llm(args)
            config = llm.config
            self._info = EngineInfo(
                engine="vllm",
                model=model,
                revision=resolved.revision or getattr(config.model_config.hf_config, "_commit_hash", None) or "unknown",
                dtype=str(config.model_config.dtype).removeprefix("torch."),
                device=str(config.device_config.device_type),
                context_tokens=config.model_config.max_model_len - 1,  # see engine_args
            )
            self._route = choose_route(llm)
            return llm

        self._worker = VllmWorker(start, self._fail)
        log.info(
            "%s (%s) on %s in %s by vLLM, context %d tokens, scores by %s",
            model, self._info.revision, self._info.device, self._info.dtype, self._info.context_tokens,
            self._route.name,
        )  # fmt: skip

    @property
    def info(self) -> EngineInfo:
        """What stands behind this engine."""
        return self._info

    @property
    def usage(self) -> Usage:
        """Tokens processed so far; the prompt of ``n`` continuations counts ``n`` times, and so does its reuse."""
        return Usage(
            sampled_tokens=self._sampled,
            prompt_tokens=self._prompts,
            scored_tokens=self._scored,
            reused_tokens=self._reused,
        )

    def count_tokens(self, text: str) -> int:
        """Length of a text (tokens), without special tokens."""
        return self._text.count(text)

    def control_tokens(self) -> Sequence[str]:
        """Texts that the tokeniser reads as control tokens."""
        return self._text.control_tokens()

    def render(self, user: str, assistant: str = "") -> str:
        """The prompt for a user turn, ending inside the assistant turn; base models get plain text."""
        return self._text.render(user, assistant)

    async def sample(
        self,
        prompt: str,
        *,
        n: int,
        max_tokens: int,
        temperature: float,
        top_p: float,
        top_k: int,
        frequency_penalty: float,
        stop: Sequence[str],
        seed: int,
    ) -> list[Completion]:
        """Sample continuations; see ``Engine.sample``.

        Each continuation is a request with a seed of its own: within one request vLLM would derive the seeds from the
        number of continuations too. Their common prompt is in the prefix cache after the first of them.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if n < 1 or max_tokens < 1:
            raise EngineError(f"n is {n} and max_tokens is {max_tokens}; at least 1 of each is allowed")
        ids = self._text.prompt(prompt).tolist()
        check_context(len(ids) + max_tokens, self._info.context_tokens, self._info.model)
        try:
            params = [
                SamplingParams(
                    max_tokens=max_tokens, temperature=temperature, top_p=top_p, top_k=top_k,
                    frequency_penalty=frequency_penalty, stop=list(stop), seed=derive_seed(seed, index),
                    output_kind=RequestOutputKind.FINAL_ONLY,
                )
                for index in range(n)
            ]  # fmt: skip
        except Exception as error:  # vLLM's validation has error classes of its own
            raise request_error(error) from error

        def completion(_: int, output: Any) -> Completion:
            [found] = output.outputs
            self._prompts += len(ids)
            self._sampled += len(found.token_ids)
            self._reused += output.num_cached_tokens or 0
            return Completion(found.text, len(found.token_ids), _finish_reason(found))

        return await self._ask([(ids, each) for each in params], completion)

    async def score(
        self, prefix: str, middles: Sequence[str], target: str, *, abandon: Abandon | None = None
    ) -> list[TargetScore]:
        """Score a target after each middle; see ``Engine.score``. ``abandon`` is never asked."""
        return await self._score([(prefix + middle, target) for middle in middles])

    async def score_each(self, prefix: str, targets: Sequence[str]) -> list[TargetScore]:
        """Score several targets after one prefix; see ``Engine.score_each``."""
        return await self._score([(prefix, target) for target in targets])

    async def _score(self, texts: list[tuple[str, str]]) -> list[TargetScore]:
        if not texts:
            return []
        aligned: dict[tuple[str, str], Aligned] = {}  # equal texts are computed once
        for text in texts:
            if text not in aligned:
                aligned[text] = self._text.align(*text)
                check_context(len(aligned[text].ids), self._info.context_tokens, self._info.model)
        rows = list(aligned.values())

        def scored(index: int, output: Any) -> TargetScore:
            self._scored += len(rows[index].ids)
            return TargetScore(self._route.read(output, rows[index]), len(rows[index].ids))

        found = await self._ask([(row.ids.tolist(), self._route.params(row)) for row in rows], scored)
        scores = dict(zip(aligned, found, strict=True))
        return [scores[text] for text in texts]

    def close(self) -> None:
        """End vLLM and give its memory back; waits for the step in flight."""
        self._fail(EngineError("it was closed"))
        self._worker.close()

    async def _ask(self, prompts: list[tuple[list[int], Any]], read: Callable[[int, Any], Any]) -> list[Any]:
        """Have vLLM answer several requests together, and read each answer in the worker's thread, by index."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answers: dict[int, Any] = {}

        def done(index: int, output: Any) -> None:
            try:
                answers[index] = read(index, output)
            except EngineError as error:
                resolve(future, error)
            else:
                if len(answers) == len(prompts):
                    resolve(future, [answers[i] for i in range(len(prompts))])

        def failed(error: Exception) -> None:
            resolve(future, request_error(error))

        requests = [
            VllmRequest(ids, params, partial(done, index), failed) for index, (ids, params) in enumerate(prompts)
        ]
        found: list[Any] | None = None
        self._pending.add(future)  # before the check: an engine that stops after it finds the future here
        try:
            if self._failure is not None:
                raise EngineError(f"the engine stopped: {self._failure}") from self._failure
            self._worker.submit(requests)
            found = await future
        finally:
            self._pending.discard(future)
            if found is None:  # the caller left, or one request failed: vLLM need not go on with the others
                self._worker.abandon(requests)
        return found

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        for future in list(self._pending):
            resolve(future, EngineError(f"the engine stopped: {type(error).__name__}: {error}"))


def _finish_reason(found: Any) -> FinishReason:
    if found.finish_reason == "length":
        return "length"
    if found.finish_reason == "stop":
        # A stop string is named; an end token is not, or by its id.
        return "stop" if isinstance(found.stop_reason, str) else "eos"
    raise EngineError(f"vLLM ended a continuation for the reason {found.finish_reason!r}")
