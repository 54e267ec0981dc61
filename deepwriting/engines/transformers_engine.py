"""The engine that runs a transformers model in this process: CPU, CUDA or Apple's MPS.

The coroutines tokenise and wait; ``worker.py`` does the model work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from deepwriting.engines.base import Completion, EngineInfo, TargetScore, Usage
from deepwriting.engines.decoder import Decoder, SampleRequest
from deepwriting.engines.forward import CausalModel
from deepwriting.engines.models import ResolvedModel, resolve_model
from deepwriting.engines.placement import choose_device, choose_dtype
from deepwriting.engines.prefixes import Ids, PrefixStore, common_length
from deepwriting.engines.quiet import quiet_transformers
from deepwriting.engines.worker import Lane, request_error, resolve, worker_for
from deepwriting.errors import ContextOverflowError, EngineError, ModelNotFoundError

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
        prefix_cache_gb: float = 1.0,
        context_tokens: int | None = None,
    ):
        place = choose_device(device)
        precision = choose_dtype(dtype, place)
        resolved = resolve_model(model, revision)
        self.tokenizer, network = _load(resolved, place, precision)
        self._causal = CausalModel(network, PrefixStore(int(prefix_cache_gb * 1e9)))
        self._decoder = Decoder(self._causal, self.tokenizer, max_batch)
        limit = getattr(network.config.get_text_config(), "max_position_embeddings", None) or DEFAULT_CONTEXT
        self._info = EngineInfo(
            engine="transformers",
            model=model,
            revision=resolved.revision or getattr(network.config, "_commit_hash", None) or "unknown",
            dtype=str(precision).removeprefix("torch."),
            device=str(place),
            context_tokens=min(context_tokens or limit, limit),
        )
        self._scored_tokens = 0
        self._failure: BaseException | None = None
        self._pending: set[asyncio.Future[Any]] = set()
        self._lane = Lane(self._decoder, self._fail)
        self._worker = worker_for(place)
        self._worker.add(self._lane)
        log.info(
            "%s (%s) on %s in %s, context %d tokens, prefix reuse %s",
            model, self._info.revision, self._info.device, self._info.dtype, self._info.context_tokens,
            "on" if self._causal.reusable else "off: this model's cache cannot be cut",
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
            scored_tokens=self._scored_tokens,
            reused_tokens=self._causal.reused_tokens,
        )

    def count_tokens(self, text: str) -> int:
        """Length of a text (tokens), without special tokens."""
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def control_tokens(self) -> Sequence[str]:
        """Texts that the tokeniser reads as control tokens."""
        return sorted(self.tokenizer.get_added_vocab())

    def render(self, user: str, assistant: str = "") -> str:
        """The prompt for a user turn, ending inside the assistant turn; base models get plain text."""
        if self.tokenizer.chat_template:
            turns = [{"role": "user", "content": user}]
            rendered: str = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            return rendered + assistant
        adds_bos = self.tokenizer("a")["input_ids"][:1] == [self.tokenizer.bos_token_id]
        return f"{self.tokenizer.bos_token if adds_bos else ''}{user}\n\n{assistant}"

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
        ids = self._encode(prompt)[0]
        if len(ids) == 0:
            raise EngineError("the prompt has no tokens; there is nothing to continue")
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

    async def score(self, prefix: str, middles: Sequence[str], target: str) -> list[TargetScore]:
        """Score a target after each middle; see ``Engine.score``."""
        return await self._score([(prefix + middle, target) for middle in middles], prefix)

    async def score_each(self, prefix: str, targets: Sequence[str]) -> list[TargetScore]:
        """Score several targets after one prefix; see ``Engine.score_each``."""
        return await self._score([(prefix, target) for target in targets], prefix)

    async def _score(self, texts: list[tuple[str, str]], prefix: str) -> list[TargetScore]:
        if not texts:
            return []
        rows, starts = [], []
        for head, target in texts:
            ids, ends = self._encode(head + target)
            self._check_context(len(ids))
            start = int(np.searchsorted(ends, len(head), side="right"))
            if start == 0:
                raise EngineError("nothing stands before the target; a score needs a prefix")
            if start >= len(ids):
                raise EngineError("the target has no tokens; an empty text cannot be scored")
            rows.append(ids)
            starts.append(start)
        shared = min(min(starts) - 1, *(common_length(rows[0], row) for row in rows))
        keep = min(shared, common_length(self._encode(prefix)[0], rows[0]))

        def work(future: asyncio.Future[Any]) -> None:
            self._scored_tokens += sum(map(len, rows))
            resolve(future, self._causal.suffix_logprobs(rows, shared, starts, keep=keep))

        results = await self._submit(work)
        return [TargetScore(logprobs, len(row)) for logprobs, row in zip(results, rows, strict=True)]

    def close(self) -> None:
        """Give the model back; waits for the step in flight."""
        self._worker.remove(self._lane)
        self._fail(EngineError("it was closed"))

    def _encode(self, text: str) -> tuple[Ids, Ids]:
        """Token ids of a text and, for each token, the index of the character behind it."""
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = np.asarray(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        # Bytes of one character can be spread over tokens whose offsets repeat: the ends never go back.
        return np.asarray(encoded["input_ids"], dtype=np.int64), np.maximum.accumulate(offsets[:, 1])

    def _check_context(self, tokens: int) -> None:
        if tokens > self._info.context_tokens:
            raise ContextOverflowError(
                f"{tokens} tokens do not fit into {self._info.context_tokens} of {self._info.model}"
            )

    async def _submit(self, work: Callable[[asyncio.Future[Any]], None]) -> Any:
        """Have the worker thread do ``work``, which resolves the future it is given, and wait for the result."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending.add(future)  # before the check: an engine that stops after it finds the future here
        try:
            if self._failure is not None:
                raise EngineError(f"the engine stopped: {self._failure}") from self._failure
            self._worker.submit(future, work)
            return await future
        finally:
            self._pending.discard(future)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        for future in list(self._pending):
            resolve(future, EngineError(f"the engine stopped: {type(error).__name__}: {error}"))


def _load(resolved: ResolvedModel, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    revision = {"revision": resolved.revision} if resolved.on_hub and resolved.revision else {}
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(resolved.path, **revision)
            network = AutoModelForCausalLM.from_pretrained(resolved.path, dtype=dtype, **revision)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelNotFoundError(f"model {resolved.name!r} could not be loaded: {reason}") from error
    if not tokenizer.is_fast:
        raise EngineError(f"model {resolved.name!r} has no fast tokenizer; character offsets need one")
    return tokenizer, network.to(device).eval()
