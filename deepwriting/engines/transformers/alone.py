"""Sampling with transformers' own generation, for models whose keys cannot be cut or stacked.

``generate`` knows how every family carries its state from token to token; the tokens themselves are drawn here, so that
seeds and settings mean the same as for all other models.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from deepwriting.engines.base import Completion
from deepwriting.engines.transformers.drawing import NO_TOKEN
from deepwriting.engines.transformers.sequences import Ending, SampledSequence, SampleRequest, draw_next
from deepwriting.errors import RequestError


class _Drawing(LogitsProcessor):
    """Leaves one token possible in each row: the one that is drawn."""

    def __init__(self, sequences: list[SampledSequence], ending: Ending):
        self.sequences = sequences
        self.ending = ending
        self.completions: dict[int, Completion] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        rows = [row for row, sequence in enumerate(self.sequences) if sequence.index not in self.completions]
        sequences = [self.sequences[row] for row in rows]
        only_BV = torch.full_like(scores, float("-inf"))
        only_BV[:, 0] = 0.0  # what ended goes on with anything
        tokens = draw_next(sequences, scores[rows].float())
        if NO_TOKEN in tokens:
            raise RequestError("the model's logits are not numbers")
        only_BV[rows, 0] = float("-inf")
        only_BV[rows, tokens] = 0.0
        for sequence, token in zip(sequences, tokens, strict=True):
            sequence.tokens.append(token)
            if reason := self.ending.reason(sequence.request, sequence.tokens):
                self.completions[sequence.index] = self.ending.completion(sequence.request, sequence.tokens, reason)
        return only_BV


class _AllEnded(StoppingCriteria):
    def __init__(self, drawing: _Drawing):
        self.drawing = drawing

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        ended = len(self.drawing.completions) == len(self.drawing.sequences)
        return torch.full((input_ids.shape[0],), ended, dtype=torch.bool, device=input_ids.device)


def sample_alone(model: Any, ending: Ending, request: SampleRequest, rows: int) -> tuple[int, list[Completion]]:
    """All continuations of one request.

    Args:
        model: a transformers causal language model.
        ending: where a continuation ends.
        request: what to sample.
        rows: most continuations at a time.

    Returns:
        Number of sampled tokens, and the completions in order.
    """
    # An empty configuration: the model's own may hold penalties and limits that nobody asked for.
    model.generation_config = GenerationConfig()
    completions: list[Completion] = []
    for start in range(0, request.n, rows):
        sequences = [SampledSequence(request, index) for index in range(start, min(start + rows, request.n))]
        drawing = _Drawing(sequences, ending)
        prompt = torch.from_numpy(request.ids).to(model.device).expand(len(sequences), -1)
        model.generate(
            prompt.contiguous(),
            attention_mask=torch.ones_like(prompt),
            generation_config=GenerationConfig(max_new_tokens=request.max_tokens, do_sample=False, pad_token_id=0),
            logits_processor=[drawing],
            stopping_criteria=[_AllEnded(drawing)],
        )
        completions += [drawing.completions[sequence.index] for sequence in sequences]
    return sum(completion.tokens for completion in completions), completions
