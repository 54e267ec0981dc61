"""The engine that runs a transformers model in this process: CPU, CUDA or Apple's MPS.

The coroutines tokenise and wait; ``worker.py`` does the model work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch

from deepwriting.engines.alignment import Tokeniser, check_context
from deepwriting.engines.base import Abandon, Completion, EngineInfo, TargetScore, Usage
from deepwriting.engines.futures import request_error, resolve
from deepwriting.engines.models import ResolvedModel, resolve_model
from deepwriting.engines.placement import choose_device, choose_dtype
from deepwriting.engines.quiet import quiet_transformers
from deepwriting.engines.transformers.batches import PassLimit
from deepwriting.engines.transformers.decoder import Decoder
from deepwriting.engines.transformers.forward import CausalModel
from deepwriting.engines.transformers.norms import fuse_norms
from deepwriting.engines.transformers.prefixes import PrefixStore, common_length
from deepwriting.engines.transformers.scoring import Scored, ScoreJob, Scorer
from deepwriting.engines.transformers.sequences import SampleRequest
from deepwriting.engines.transformers.worker import Lane, join_worker
from deepwriting.errors import EngineError, ModelNotFoundError

log = logging.getLogger(__name__)

#: Context length assumed when a model's configuration names none (tokens).
DEFAULT_CONTEXT = 4096


class TransformersEngine:
    """Samples and scores with a causal language model of transformers.

    Args:
        model: embedded name, local directory or Hub id.
        revision: Hub revision.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        dtype: ``auto``, ``float32``, ``bfloat16``, ``float16``.
        max_batch: most sequences sampled at the same time.
        max_batch_tokens: most tokens in one forward pass over several texts, filling included; ``None`` takes what is
            best for the device. Becomes less by itself where memory is short.
        prefix_cache_gb: memory for kept prefixes (GB).
        context_tokens: use less context than the model has (tokens).

    Raises:
        ModelNotFoundError: if the model cannot be found.
        EngineError: if device or dtype are not to be had.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        max_batch: int = 32,
        max_batch_tokens: int | None = None,
        prefix_cache_gb: float = 1.0,
        context_tokens: int | None = None,
    ):
        place = choose_device(device)
        precision = choose_dtype(dtype, place)
        resolved = resolve_model(model, revision)
        self._texts = Tokeniser.load(resolved)
        self.tokenizer = self._texts.tokenizer
        store = PrefixStore(int(prefix_cache_gb * 1e9))
        self._worker = join_worker(place, self)
        try:
            self._causal = self._worker.call(lambda: CausalModel(_load(resolved, place, precision), store))
        except BaseException:
            self._worker.leave(self)
            raise
        config = self._causal.model.config
        limit = PassLimit(place, max_batch_tokens)
        self._decoder = Decoder(self._causal, self.tokenizer, max_batch, limit)
        self._scorer = Scorer(self._causal, limit)
        context = getattr(config.get_text_config(), "max_position_embeddings", None) or DEFAULT_CONTEXT
        self._info = EngineInfo(
            engine="transformers",
            model=model,
            revision=resolved.revision or getattr(config, "_commit_hash", None) or "unknown",
            dtype=str(precision).removeprefix("torch."),
            device=str(place),
            context_tokens=min(context_tokens or context, context),
        )
        self._failure: BaseException | None = None
        self._pending: set[asyncio.Future[Any]] = set()
        self._lane = Lane(self._scorer, self._decoder, self._fail)
        self._worker.add(self._lane)
        log.info(
            "%s (%s) on %s in %s, context %d tokens, prefix reuse %s",
            model, self._info.revision, self._info.device, self._info.dtype, self._info.context_tokens,
            "on" if self._causal.reusable else "off: this model's keys cannot be used again",
        )  # fmt: skip

    @property
    def info(self) -> EngineInfo:
        """What stands behind this engine."""
        return self._info

    @property
    def usage(self) -> Usage:
        """Tokens processed so far."""
        return Usage(
            sampled_tokens=self._decoder.sampled_tokens,
            prompt_tokens=self._decoder.prompt_tokens,
            scored_tokens=self._scorer.scored_tokens,
            reused_tokens=self._causal.reused_tokens,
        )

    def count_tokens(self, text: str) -> int:
        """Length of a text (tokens), without special tokens."""
        return self._texts.count(text)

    def control_tokens(self) -> Sequence[str]:
        """Texts that the tokeniser reads as control tokens."""
        return self._texts.control_tokens()

    def render(self, user: str, assistant: str = "") -> str:
        """The prompt for a user turn, ending inside the assistant turn; base models get plain text."""
        return self._texts.render(user, assistant)

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
        """Sample continuations; see ``Engine.sample``."""
        if n < 1 or max_tokens < 1:
            raise EngineError(f"n is {n} and max_tokens is {max_tokens}; at least 1 of each is allowed")
        if not temperature >= 0:
            raise EngineError(f"temperature is {temperature}; 0 or more is allowed")
        ids = self._texts.prompt(prompt)
        self._check_context(len(ids) + max_tokens)

        def work(future: asyncio.Future[Any]) -> None:
            self._decoder.submit(
                SampleRequest(
                    ids,
                    n,
                    max_tokens,
                    temperature,
                    top_p,
                    top_k,
                    frequency_penalty,
                    tuple(stop),
                    seed,
                    done=lambda completions: resolve(future, completions),
                    failed=lambda error: resolve(future, request_error(error)),
                )
            )

        completions: list[Completion] = await self._submit(work)
        return completions

    async def score(
        self, prefix: str, middles: Sequence[str], target: str, *, abandon: Abandon | None = None
    ) -> list[TargetScore]:
        """Score a target after each middle; see ``Engine.score``. ``abandon`` is called in the worker's thread."""
        return await self._score([(prefix + middle, target) for middle in middles], prefix, abandon)

    async def score_each(self, prefix: str, targets: Sequence[str]) -> list[TargetScore]:
        """Score several targets after one prefix; see ``Engine.score_each``."""
        return await self._score([(prefix, target) for target in targets], prefix, None)

    async def _score(self, texts: list[tuple[str, str]], prefix: str, abandon: Abandon | None) -> list[TargetScore]:
        if not texts:
            return []
        different = list(dict.fromkeys(texts))  # the same text is computed once
        aligned = [self._texts.align(head, target) for head, target in different]
        rows, starts = [text.ids for text in aligned], [text.start for text in aligned]
        self._check_context(max(map(len, rows)))
        shared = min(min(starts) - 1, *(common_length(rows[0], row) for row in rows))
        keep = min(shared, common_length(self._texts.encode(prefix)[0], rows[0]))

        def work(future: asyncio.Future[Any]) -> None:
            self._scorer.submit(
                ScoreJob(
                    rows,
                    starts,
                    shared,
                    keep,
                    abandon,
                    done=lambda results: resolve(future, results),
                    failed=lambda error: resolve(future, request_error(error)),
                )
            )

        results: list[Scored] = await self._submit(work)
        scores = {
            text: TargetScore(result.logprobs, len(ids), result.complete)
            for text, ids, result in zip(different, rows, results, strict=True)
        }
        return [scores[text] for text in texts]

    def close(self) -> None:
        """Give the model back; waits for the step in flight."""
        self._worker.leave(self, self._lane)
        self._fail(EngineError("it was closed"))

    def _check_context(self, tokens: int) -> None:
        check_context(tokens, self._info.context_tokens, self._info.model)

    async def _submit(self, work: Callable[[asyncio.Future[Any]], None]) -> Any:
        """Have the worker thread call ``work`` with a future, and wait until somebody resolves that."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.add(future)  # before the check: an engine that stops after it finds the future here
        try:
            if self._failure is not None:
                raise EngineError(f"the engine stopped: {self._failure}") from self._failure
            self._worker.submit(future, lambda: work(future))
            return await future
        finally:
            self._pending.discard(future)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        for future in list(self._pending):
            resolve(future, EngineError(f"the engine stopped: {type(error).__name__}: {error}"))


def _load(resolved: ResolvedModel, device: torch.device, dtype: torch.dtype) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    revision = {"revision": resolved.revision} if resolved.on_hub and resolved.revision else {}
    try:
        # Tensors made in inference mode, in which the worker's thread is, could not be used outside of it.
        with torch.inference_mode(mode=False), quiet_transformers():
            network = AutoModelForCausalLM.from_pretrained(resolved.path, dtype=dtype, **revision)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelNotFoundError(f"model {resolved.name!r} could not be loaded: {reason}") from error
    network = network.to(device).eval()
    if device.type == "cuda":
        fuse_norms(network)
    return network
