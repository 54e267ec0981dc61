"""Sampling many continuations at once: sequences join the batch as they come and leave as they finish."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from deepwriting.engines.base import Completion, FinishReason
from deepwriting.engines.drawing import draw, row_generator
from deepwriting.engines.forward import CausalModel
from deepwriting.engines.prefixes import Ids, cache_from
from deepwriting.engines.slots import SlotCache

#: Tokens decoded to look for a stop string, beyond its own length in bytes (a token can be a single byte).
STOP_TAIL_TOKENS = 8


@dataclass(eq=False)
class SampleRequest:
    """A request for ``n`` continuations of one prompt; ``done`` gets the completions, or ``failed`` the reason."""

    ids: Ids
    n: int
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    frequency_penalty: float
    stop: Sequence[str]
    seed: int
    done: Callable[[list[Completion]], None]
    failed: Callable[[Exception], None]
    admitted: int = 0
    completions: dict[int, Completion] = field(default_factory=dict)


@dataclass
class _Sequence:
    request: SampleRequest
    index: int
    random: np.random.Generator
    tokens: list[int] = field(default_factory=list)

    @property
    def cached(self) -> int:
        """Tokens whose keys are in the cache: all but the newest."""
        return len(self.request.ids) + len(self.tokens) - 1


class Decoder:
    """Continuous batching over a fixed number of slots.

    Args:
        model: the language model.
        tokenizer: its tokenizer.
        slots: most sequences decoded at the same time.
    """

    def __init__(self, model: CausalModel, tokenizer: Any, slots: int):
        self.model = model
        self.tokenizer = tokenizer
        self.slots = slots
        self.sampled_tokens = 0
        self.prompt_tokens = 0
        self._waiting: deque[SampleRequest] = deque()
        self._active: list[_Sequence] = []
        self._cache = SlotCache(model.layers, slots) if model.reusable else None
        config = model.model.generation_config
        eos = config.eos_token_id if config.eos_token_id is not None else tokenizer.eos_token_id
        self._eos = set(eos) if isinstance(eos, list) else {eos}

    def submit(self, request: SampleRequest) -> None:
        """Queue a request."""
        self._waiting.append(request)

    @property
    def busy(self) -> bool:
        """Whether anything is queued or in flight."""
        return bool(self._waiting or self._active)

    def step(self) -> None:
        """Admit what fits, then decode one token for every sequence in flight.

        What cannot be computed, for example for want of memory, fails the requests concerned and no others.
        """
        if self._cache is None:
            request = self._waiting.popleft()
            try:
                self._sample_alone(request)
            except Exception as error:
                request.failed(error)
            return
        while self._waiting and (count := self._room(self._waiting[0])):
            try:
                self._admit(self._cache, self._waiting[0], count)
            except Exception as error:
                self._fail(self._cache, {self._waiting[0]}, error)
            else:
                if self._waiting[0].admitted == self._waiting[0].n:
                    self._waiting.popleft()
        if self._active:
            try:
                self._decode(self._cache)
            except Exception as error:
                self._fail(self._cache, {sequence.request for sequence in self._active}, error)

    def _room(self, request: SampleRequest) -> int:
        """How many of a request's continuations can start now: those that are left, at most one for each slot."""
        count = min(request.n - request.admitted, self.slots)
        return count if len(self._active) + count <= self.slots else 0

    def _admit(self, cache: SlotCache, request: SampleRequest, count: int) -> None:
        self.prompt_tokens += len(request.ids)
        logits, prefix = self.model.next_logits(request.ids, keep=len(request.ids))
        indices = range(request.admitted, request.admitted + count)
        sequences = [_Sequence(request, i, row_generator(request.seed, i)) for i in indices]
        request.admitted += count
        self._draw(sequences, logits[None].repeat(count, 1))
        for sequence in sequences:
            if not self._finish(sequence):
                cache.load(len(self._active), prefix, request.max_tokens)
                self._active.append(sequence)

    def _fail(self, cache: SlotCache, requests: set[SampleRequest], error: Exception) -> None:
        for row in range(len(self._active) - 1, -1, -1):
            if self._active[row].request in requests:
                self._drop(cache, row)
        self._waiting = deque(request for request in self._waiting if request not in requests)
        for request in requests:
            request.failed(error)

    def _drop(self, cache: SlotCache, row: int) -> None:
        """Free a row; the last one moves into it, so that the active rows stay together."""
        last = self._active.pop()
        if row < len(self._active):
            cache.move(len(self._active), row, last.cached)
            self._active[row] = last

    def _decode(self, cache: SlotCache) -> None:
        mask, positions = cache.aim([sequence.cached for sequence in self._active], self.model.device)
        newest = torch.tensor([[s.tokens[-1]] for s in self._active], device=self.model.device)
        logits = self.model.model(
            newest, past_key_values=cache, attention_mask=mask, position_ids=positions, use_cache=True
        ).logits[:, -1]
        self._draw(self._active, logits)
        for row in range(len(self._active) - 1, -1, -1):
            if self._finish(self._active[row]):
                self._drop(cache, row)

    def _sample_alone(self, request: SampleRequest) -> None:
        """One sequence after the other with the model's own cache: for caches that cannot be cut or stacked."""
        self.prompt_tokens += len(request.ids)
        for index in range(request.n):
            sequence = _Sequence(request, index, row_generator(request.seed, index))
            cache = cache_from(None, 1, self.model.model.config)
            inputs = self.model.tokens(request.ids)
            while True:
                logits = self.model.model(inputs, past_key_values=cache, use_cache=True).logits[:, -1]
                self._draw([sequence], logits)
                if self._finish(sequence):
                    break
                inputs = torch.tensor([[sequence.tokens[-1]]], device=self.model.device)

    def _draw(self, sequences: list[_Sequence], logits: torch.Tensor) -> None:
        logits = logits.float()
        groups: dict[tuple[float, float, int], list[int]] = {}
        for row, sequence in enumerate(sequences):
            request = sequence.request
            if request.frequency_penalty and sequence.tokens:
                used, counts = np.unique(sequence.tokens, return_counts=True)
                loss = torch.from_numpy(counts.astype(np.float32)).to(logits) * request.frequency_penalty
                logits[row].index_add_(0, torch.from_numpy(used).to(logits.device), loss, alpha=-1)
            groups.setdefault((request.temperature, request.top_p, request.top_k), []).append(row)
        for (temperature, top_p, top_k), rows in groups.items():
            uniforms = [float(sequences[row].random.random()) for row in rows]
            tokens = draw(logits[rows], temperature=temperature, top_p=top_p, top_k=top_k, uniforms=uniforms)
            for row, token in zip(rows, tokens, strict=True):
                sequences[row].tokens.append(token)
        self.sampled_tokens += len(sequences)

    def _finish(self, sequence: _Sequence) -> bool:
        """Whether a sequence has ended; if so its completion is recorded."""
        request, tokens = sequence.request, sequence.tokens
        reason: FinishReason | None = None
        if tokens[-1] in self._eos:
            reason = "eos"
        elif self._stopped(request.stop, tokens):
            reason = "stop"
        elif len(tokens) >= request.max_tokens:
            reason = "length"
        if reason is None:
            return False
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        if reason == "stop":
            text = text[: min((at for stop in request.stop if (at := text.find(stop)) >= 0), default=len(text))]
        request.completions[sequence.index] = Completion(text, len(tokens), reason)
        if len(request.completions) == request.n:
            request.done([request.completions[i] for i in range(request.n)])
        return True

    def _stopped(self, stops: Sequence[str], tokens: list[int]) -> bool:
        if not stops:
            return False
        tail = tokens[-(max(len(stop.encode()) for stop in stops) + STOP_TAIL_TOKENS) :]
        text = self.tokenizer.decode(tail, skip_special_tokens=True)
        return any(stop in text for stop in stops)
