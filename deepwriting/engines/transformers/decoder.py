"""Sampling many continuations at once: sequences join the batch as they come and leave as they finish."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import torch

from deepwriting.engines.transformers.alone import sample_alone
from deepwriting.engines.transformers.batches import SMALLEST_PASS, PassLimit, compute, make_room, overlaps
from deepwriting.engines.transformers.drawing import NO_TOKEN
from deepwriting.engines.transformers.forward import CausalModel, Row
from deepwriting.engines.transformers.memory import is_out_of_memory
from deepwriting.engines.transformers.sequences import Ending, SampledSequence, SampleRequest, draw_next
from deepwriting.engines.transformers.slots import SlotCache
from deepwriting.errors import RequestError

log = logging.getLogger(__name__)

#: A request and how many of its continuations start now.
_Start = tuple[SampleRequest, int]


class Decoder:
    """Continuous batching over a number of slots.

    Args:
        model: the language model.
        tokenizer: its tokenizer.
        slots: most sequences decoded at the same time; lowered when memory does not suffice for them.
        limit: how large the passes over prompts may be.
    """

    def __init__(self, model: CausalModel, tokenizer: Any, slots: int, limit: PassLimit | None = None):
        self.model = model
        self.slots = slots
        self.limit = limit or PassLimit(model.device)
        self.sampled_tokens = 0
        self.prompt_tokens = 0
        self._waiting: deque[SampleRequest] = deque()
        self._active: list[SampledSequence] = []
        self._cache = SlotCache(model.layers, slots) if model.reusable else None
        eos = getattr(model.model.generation_config, "eos_token_id", None)
        eos = eos if eos is not None else tokenizer.eos_token_id
        self._ending = Ending(tokenizer, set(eos) if isinstance(eos, list) else {eos})

    def submit(self, request: SampleRequest) -> None:
        """Queue a request."""
        self._waiting.append(request)

    @property
    def busy(self) -> bool:
        """Whether anything is queued or in flight."""
        return bool(self._waiting or self._active)

    def step(self) -> None:
        """Admit what fits, then decode one token for every sequence in flight.

        What cannot be computed fails the requests concerned and no others.
        """
        if self._cache is None:
            self._step_alone()
            return
        while self._waiting and (starts := self._next_starts()):
            self._admit(self._cache, starts)
        if self._active:
            self._decode(self._cache)

    def _next_starts(self) -> list[_Start]:
        """The requests whose prompts are computed together next: all their continuations must find a slot."""
        starts: list[_Start] = []
        room, widest = self.slots - len(self._active), 0
        for request in self._waiting:
            count = min(len(request.todo), self.slots)
            known = len(self.model.store.longest(request.ids[:-1]))
            widest = max(widest, len(request.ids) - known)
            if count > room or (starts and (request.alone or starts[0][0].alone)):
                break
            if starts and (len(starts) + 1) * widest > self.limit.tokens:
                break
            if overlaps(request.ids, known, (other.ids for other, _ in starts), self.limit.worth_a_pass):
                break
            starts.append((request, count))
            room -= count
        return starts

    def _admit(self, cache: SlotCache, starts: list[_Start]) -> None:
        """Compute prompts and draw the first tokens. Nothing is changed before all of that has worked."""
        loading = False
        try:
            rows = [Row(request.ids, self.model.store.longest(request.ids[:-1])) for request, _ in starts]
            known = sum(len(row.past) for row in rows)
            last = compute(self.model, rows, [len(row.ids) for row in rows], self.limit)
            counts = [count for _, count in starts]
            logits_RV = self.model.logits(torch.stack(last))
            logits_BV = logits_RV.repeat_interleave(torch.tensor(counts, device=logits_RV.device), dim=0)
            sequences = [SampledSequence(request, index) for request, n in starts for index in request.todo[:n]]
            tokens = draw_next(sequences, logits_BV)
            prompts = [row.past for row, count in zip(rows, counts, strict=True) for _ in range(count)]
            loading = True
            cache.begin(prompts[0])
            longest = max(len(request.ids) + request.max_tokens for request, _ in starts)
            cache.reserve(len(self._active) + len(sequences), longest)
            for offset, prompt in enumerate(prompts):
                cache.load(len(self._active) + offset, prompt)
            for row in rows:
                self.model.store.keep(row.past)
        except Exception as error:  # judged below, where the traceback no longer holds the failed pass's tensors
            failure = error.with_traceback(None)
        else:
            self.model.reused_tokens += known
            for request, count in starts:
                self.prompt_tokens += len(request.ids)
                del request.todo[:count]
            self._waiting = deque(request for request in self._waiting if request.todo)
            self._active += sequences
            self._append(cache, sequences, tokens)
            return
        if is_out_of_memory(failure):
            self._admit_less(starts, failure, loading)
        elif len(starts) == 1:
            self._fail(cache, {starts[0][0]}, failure)
        else:
            for request, _ in starts:
                request.alone = True

    def _admit_less(self, starts: list[_Start], error: Exception, loading: bool) -> None:
        """After want of memory for prompts: try smaller passes, then fewer sequences, then give up on one."""
        make_room(self.model)
        tried, (request, count) = self.model.tried_tokens, starts[0]
        if len(starts) > 1:
            if self.model.tried_rows > 1:
                self.limit.lower(tried)
            for other, _ in starts:
                other.alone = True
        elif not loading and tried > SMALLEST_PASS and tried < (request.tried or tried + 1):
            request.tried = tried
            self.limit.lower(tried)
        elif count > 1 or self._active:
            self._lower_slots(max((len(self._active) + count) // 2, 1) if count > 1 else len(self._active))
        else:
            failure = RequestError(f"no memory to continue a prompt of {len(request.ids)} tokens, even by itself")
            failure.__cause__ = error
            assert self._cache is not None
            self._fail(self._cache, {request}, failure)

    def _lower_slots(self, slots: int) -> None:
        if slots < self.slots:
            log.warning("no memory for %d sequences at a time; going on with at most %d", self.slots, slots)
            self.slots = slots

    def _decode(self, cache: SlotCache) -> None:
        """One token for every sequence in flight."""
        try:
            lengths = [sequence.cached for sequence in self._active]
            newest = [sequence.tokens[-1] for sequence in self._active]
            newest_B, positions_B = torch.tensor([newest, lengths]).to(self.model.device, non_blocking=True)
            mask = self.model.mask(*cache.aim(positions_B, max(lengths) + 1))
            logits_BV = self.model.model(
                newest_B[:, None],
                past_key_values=cache,
                attention_mask=mask,
                position_ids=positions_B[:, None],
                use_cache=True,
            ).logits[:, -1]
            tokens = draw_next(self._active, logits_BV.float())
        except Exception as error:
            failure = error.with_traceback(None)
        else:
            self._append(cache, self._active, tokens)
            return
        if is_out_of_memory(failure):
            self._decode_less(cache, failure)
        else:
            self._fail(cache, {sequence.request for sequence in self._active}, failure)

    def _decode_less(self, cache: SlotCache, error: Exception) -> None:
        """After want of memory for a step: the younger half starts again later, with the same random numbers."""
        kept_something = len(self.model.store) > 0
        make_room(self.model)
        if len(self._active) == 1 and not kept_something:
            [sequence] = self._active
            failure = RequestError(f"no memory to decode a sequence of {sequence.cached} tokens, even by itself")
            failure.__cause__ = error
            self._fail(cache, {sequence.request}, failure)
            return
        if len(self._active) > 1:
            oldest_first = sorted(self._active, key=lambda sequence: len(sequence.tokens), reverse=True)
            young = oldest_first[(len(oldest_first) + 1) // 2 :]
            for row in range(len(self._active) - 1, -1, -1):
                if self._active[row] in young:
                    self._drop(cache, row)
            self._lower_slots(len(self._active))
            for sequence in young:
                sequence.request.todo = sorted([*sequence.request.todo, sequence.index])
            again = dict.fromkeys(sequence.request for sequence in young)
            self._waiting = deque([*again, *(request for request in self._waiting if request not in again)])
        longest = max(len(sequence.request.ids) + sequence.request.max_tokens for sequence in self._active)
        cache.shrink(len(self._active), longest)

    def _append(self, cache: SlotCache, sequences: list[SampledSequence], tokens: list[int]) -> None:
        """Give sequences in flight their next token; those that end leave."""
        self.sampled_tokens += len(tokens)
        broken: set[SampleRequest] = set()
        for sequence, token in zip(sequences, tokens, strict=True):
            sequence.tokens.append(token)
            if token == NO_TOKEN:
                broken.add(sequence.request)
        if broken:
            self._fail(cache, broken, RequestError("the model's logits are not numbers"))
        for row in range(len(self._active) - 1, -1, -1):
            sequence = self._active[row]
            if reason := self._ending.reason(sequence.request, sequence.tokens):
                self._drop(cache, row)
                completion = self._ending.completion(sequence.request, sequence.tokens, reason)
                sequence.request.complete(sequence.index, completion)

    def _drop(self, cache: SlotCache, row: int) -> None:
        """Free a row; the last one moves into it, so that the active rows stay together."""
        last = self._active.pop()
        if row < len(self._active):
            cache.move(len(self._active), row, last.cached)
            self._active[row] = last

    def _fail(self, cache: SlotCache, requests: set[SampleRequest], error: Exception) -> None:
        for row in range(len(self._active) - 1, -1, -1):
            if self._active[row].request in requests:
                self._drop(cache, row)
        self._waiting = deque(request for request in self._waiting if request not in requests)
        for request in requests:
            request.failed(error)

    def _step_alone(self) -> None:
        """The next request, by transformers' own generation."""
        request = self._waiting[0]
        try:
            tokens, completions = sample_alone(self.model.model, self._ending, request, self.slots)
        except Exception as error:
            failure = error.with_traceback(None)
        else:
            self._waiting.popleft()
            self.prompt_tokens += len(request.ids)
            self.sampled_tokens += tokens
            request.done(completions)
            return
        if is_out_of_memory(failure) and min(request.n, self.slots) > 1:
            make_room(self.model)
            self._lower_slots(min(request.n, self.slots) // 2)
        else:
            self._waiting.popleft()
            request.failed(failure)
