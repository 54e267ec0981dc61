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

#: Tokens decoded to look for a stop string, beyond the stop string's own length in characters.
STOP_TAIL_TOKENS = 8


@dataclass
class SampleRequest:
    """A request for ``n`` continuations of one prompt; ``done`` gets the completions."""

    ids: Ids
    n: int
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    frequency_penalty: float
    stop: Sequence[str]
    seed: int
    shared_tokens: int
    done: Callable[[list[Completion]], None]
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
        """Admit what fits, then decode one token for every sequence in flight."""
        if self._cache is None:
            self._sample_alone(self._waiting.popleft())
            return
        while self._waiting and (not self._active or len(self._active) + self._waiting[0].n <= self.slots):
            self._admit(self._waiting.popleft())
        if self._active:
            self._decode(self._cache)

    def _admit(self, request: SampleRequest) -> None:
        assert self._cache is not None
        self.prompt_tokens += len(request.ids)
        logits, prefix = self.model.next_logits(request.ids, keep=request.shared_tokens)
        sequences = [_Sequence(request, i, row_generator(request.seed, i)) for i in range(request.n)]
        self._draw(sequences, logits[None].repeat(request.n, 1))
        for sequence in sequences:
            if not self._finish(sequence):
                self._cache.load(len(self._active), prefix, request.max_tokens)
                self._active.append(sequence)

    def _decode(self, cache: SlotCache) -> None:
        mask, positions = cache.aim([sequence.cached for sequence in self._active], self.model.device)
        newest = torch.tensor([[s.tokens[-1]] for s in self._active], device=self.model.device)
        logits = self.model.model(
            newest, past_key_values=cache, attention_mask=mask, position_ids=positions, use_cache=True
        ).logits[:, -1]
        self._draw(self._active, logits)
        for row in range(len(self._active) - 1, -1, -1):
            if self._finish(self._active[row]):
                last = len(self._active) - 1
                if row != last:
                    cache.move(last, row, self._active[last].cached)
                    self._active[row] = self._active[last]
                self._active.pop()

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
            text = text[: min(at for stop in request.stop if (at := text.find(stop)) >= 0)]
        request.completions[sequence.index] = Completion(text, len(tokens), reason)
        if len(request.completions) == request.n:
            request.done([request.completions[i] for i in range(request.n)])
        return True

    def _stopped(self, stops: Sequence[str], tokens: list[int]) -> bool:
        if not stops:
            return False
        tail = tokens[-(max(map(len, stops)) + STOP_TAIL_TOKENS) :]
        text = self.tokenizer.decode(tail, skip_special_tokens=True)
        return any(stop in text for stop in stops)
