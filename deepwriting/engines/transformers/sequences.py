"""Requests for samples, the sequences they consist of, and where a sequence ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deepwriting.engines.base import Completion, FinishReason
from deepwriting.engines.transformers.drawing import draw, row_generator
from deepwriting.engines.transformers.prefixes import Ids

#: Tokens decoded to look for a stop string, beyond its own length in bytes (a token can be a single byte).
STOP_TAIL_TOKENS = 8


@dataclass(eq=False)
class SampleRequest:
    """A request for ``n`` continuations of one prompt; ``done`` gets the completions, or ``failed`` the reason.

    Attributes:
        todo: which of the ``n`` have not been started.
        completions: those that have ended.
        alone: whether the prompt must not be computed with others, because a pass that it was in failed.
        tried: size of the pass for which memory was short when it was alone (tokens).
    """

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
    todo: list[int] = field(default_factory=list)
    completions: dict[int, Completion] = field(default_factory=dict)
    alone: bool = False
    tried: int | None = None

    def __post_init__(self) -> None:
        self.todo = list(range(self.n))

    def complete(self, index: int, completion: Completion) -> None:
        """Record a continuation; the last one answers the request."""
        self.completions[index] = completion
        if len(self.completions) == self.n:
            self.done([self.completions[i] for i in range(self.n)])


@dataclass(eq=False)
class SampledSequence:
    """Continuation ``index`` of a request, as far as it is sampled."""

    request: SampleRequest
    index: int
    tokens: list[int] = field(default_factory=list)
    uniforms: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        # All at once: a step that fails and is repeated draws the same numbers.
        self.uniforms = row_generator(self.request.seed, self.index).random(self.request.max_tokens)

    @property
    def cached(self) -> int:
        """Tokens whose keys are in the cache: all but the newest."""
        return len(self.request.ids) + len(self.tokens) - 1


def draw_next(sequences: Sequence[SampledSequence], logits_BV: torch.Tensor) -> list[int]:
    """Draw the next token of each sequence from its logits (float32); changes the logits, not the sequences."""
    _penalise(sequences, logits_BV)
    groups: dict[int, list[int]] = {}
    for row, sequence in enumerate(sequences):
        groups.setdefault(sequence.request.top_k, []).append(row)
    drawn, order = [], []
    for top_k, rows in groups.items():
        members = [sequences[row] for row in rows]
        drawn.append(
            draw(
                logits_BV if len(groups) == 1 else logits_BV[rows],
                temperature=[member.request.temperature for member in members],
                top_p=[member.request.top_p for member in members],
                top_k=top_k,
                uniforms=[member.uniforms[len(member.tokens)] for member in members],
            )
        )
        order += rows
    found = torch.cat(drawn).tolist()  # the only wait for the device in a step
    return [token for _, token in sorted(zip(order, found, strict=True))]


def _penalise(sequences: Sequence[SampledSequence], logits_BV: torch.Tensor) -> None:
    """Lower the logits of used tokens, for each use (as in the OpenAI API), in one operation for all rows."""
    rows, tokens, losses = [], [], []
    for row, sequence in enumerate(sequences):
        if sequence.request.frequency_penalty and sequence.tokens:
            used, counts = np.unique(sequence.tokens, return_counts=True)
            rows.append(np.full(len(used), row))
            tokens.append(used)
            losses.append(counts * sequence.request.frequency_penalty)
    if rows:
        where = torch.from_numpy(np.stack([np.concatenate(rows), np.concatenate(tokens)])).to(logits_BV.device)
        loss = torch.from_numpy(np.concatenate(losses).astype(np.float32)).to(logits_BV.device)
        logits_BV[where[0], where[1]] -= loss


class Ending:
    """Decides whether a sequence has ended, and makes its completion.

    Args:
        tokenizer: the model's tokenizer.
        eos: tokens with which the model ends a text.
    """

    def __init__(self, tokenizer: Any, eos: set[int]):
        self.tokenizer = tokenizer
        self.eos = eos

    def reason(self, request: SampleRequest, tokens: list[int]) -> FinishReason | None:
        """Why a sequence has ended with its newest token; ``None`` if it goes on."""
        if tokens[-1] in self.eos:
            return "eos"
        if self.stopped(request.stop, tokens):
            return "stop"
        return "length" if len(tokens) >= request.max_tokens else None

    def completion(self, request: SampleRequest, tokens: list[int], reason: FinishReason) -> Completion:
        """What the caller gets: the text, cut before the stop string."""
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        if reason == "stop":
            text = text[: min((at for stop in request.stop if (at := text.find(stop)) >= 0), default=len(text))]
        return Completion(text, len(tokens), reason)

    def stopped(self, stops: Sequence[str], tokens: list[int]) -> bool:
        """Whether a stop string is in the text of the last tokens."""
        if not stops:
            return False
        tail = tokens[-(max(len(stop.encode()) for stop in stops) + STOP_TAIL_TOKENS) :]
        text = self.tokenizer.decode(tail, skip_special_tokens=True)
        return any(stop in text for stop in stops)
