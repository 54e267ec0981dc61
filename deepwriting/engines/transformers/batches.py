"""Which rows go through the model together, and how much of them at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch

from deepwriting.engines.transformers.forward import PREFILL_CHUNK, CausalModel, Row
from deepwriting.engines.transformers.memory import release_memory
from deepwriting.engines.transformers.prefixes import Ids, common_length

log = logging.getLogger(__name__)

#: Tokens of one forward pass on a GPU or the like, unless the recipe says otherwise: enough to keep it busy.
ACCELERATOR_TOKENS = 16_384
#: The same on a CPU. Six texts behind two kept prefixes of 250 tokens, SmolLM2-135M, one core, against a pass for each
#: text: texts of 40 tokens took 0.70 of the time in passes of 512 tokens (float32 and bfloat16 alike), of 120 tokens
#: 0.99 and 0.92, of 400 tokens (one a pass) 0.95. Larger passes gained nothing: 0.99 to 1.09 of passes of 512.
CPU_TOKENS = 512
#: No forward pass is made smaller than this for want of memory (tokens): what does not fit then never will.
SMALLEST_PASS = 128
#: A forward pass costs about as much as this many tokens more in another one, because it reads all weights. For
#: SmolLM2-135M on 2 cores (benchmarks/ceiling.py) a pass over one token takes as long as 28 more tokens in a long pass
#: in float32, 54 in bfloat16.
CPU_WORTH_A_PASS = 32
#: The same on a GPU or the like, which needs far more tokens to be busy. For an 8B model of 36 layers on an H200 a pass
#: over one token takes 25 ms, most of it to start the kernels; in a long pass 860 tokens take as long.
ACCELERATOR_WORTH_A_PASS = 800

AnyRow = TypeVar("AnyRow", bound=Row)


class PassLimit:
    """How large a forward pass may be; learns from want of memory.

    Args:
        device: decides what is best if ``tokens`` is ``None``.
        tokens: most tokens in a pass over several rows, filling included.

    Attributes:
        tokens: as above, or what fitted.
        chunk: most tokens of one row in a pass.
        worth_a_pass: so many tokens cost about as much as another pass; fewer are computed twice, or filled up, rather
            than by themselves.
    """

    def __init__(self, device: torch.device, tokens: int | None = None):
        on_cpu = device.type == "cpu"
        self.tokens = tokens or (CPU_TOKENS if on_cpu else ACCELERATOR_TOKENS)
        self.worth_a_pass = CPU_WORTH_A_PASS if on_cpu else ACCELERATOR_WORTH_A_PASS
        self.chunk = PREFILL_CHUNK
        self._told = False

    def lower(self, tried: int) -> None:
        """Allow half of the tokens that did not fit."""
        half = max(tried // 2, SMALLEST_PASS)
        self.tokens, self.chunk = min(self.tokens, half), min(self.chunk, half)
        if half < tried and not self._told:
            log.warning("no memory for %d tokens in one pass; going on with at most %d, nothing kept", tried, half)
            self._told = True

    def restore(self, sizes: tuple[int, int]) -> None:
        """Go back to earlier ``sizes``: the smaller ones did not help either."""
        self.tokens, self.chunk = sizes

    @property
    def sizes(self) -> tuple[int, int]:
        """The present limits, for ``restore``."""
        return self.tokens, self.chunk


def grouped(rows: Sequence[AnyRow], tokens: int, worth_a_pass: int) -> list[list[AnyRow]]:
    """The division of rows into passes that costs least: tokens, filling included, and the passes themselves.

    Args:
        rows: what has to be computed.
        tokens: most tokens in a pass, filling included; a wider row is a pass by itself.
        worth_a_pass: what a pass costs beyond its tokens (tokens).

    Returns:
        Rows of each pass, widest first; every row is in one.
    """
    ordered = sorted(rows, key=lambda row: row.width, reverse=True)
    widths = np.array([row.width for row in ordered], dtype=np.int64)
    # Of rows in this order a best pass is a run. costs[n]: least cost of the first n; their last run begins at cuts[n].
    costs, cuts, earliest = np.zeros(len(ordered) + 1, dtype=np.int64), [0], 0
    for end in range(1, len(ordered) + 1):
        # A run that begins later has fewer rows, and none wider: if the earliest keeps the limit, all do.
        while earliest < end - 1 and (end - earliest) * widths[earliest] > tokens:
            earliest += 1
        starts = np.arange(earliest, end)
        found = costs[starts] + (end - starts) * widths[starts] + worth_a_pass
        cuts.append(earliest + int(found.argmin()))
        costs[end] = found.min()
    groups, end = list[list[AnyRow]](), len(ordered)
    while end:
        groups.append(ordered[cuts[end] : end])
        end = cuts[end]
    return groups[::-1]


def overlaps(ids: Ids, known: int, others: Iterable[Ids], worth_a_pass: int) -> bool:
    """Whether one of ``others`` is about to compute so much of what is unknown of ``ids`` that waiting pays."""
    return any(common_length(ids, other) - known >= worth_a_pass for other in others)


def compute(model: CausalModel, rows: Sequence[Row], goals: Sequence[int], limit: PassLimit) -> list[torch.Tensor]:
    """Compute rows up to their goals, in passes of limited size, and keep their keys in ``Row.past``.

    Returns:
        For each row what the head works on at its last computed position, shape ``(hidden,)``; an empty tensor for a
        row that had reached its goal before.
    """
    last = {id(row): torch.empty(0) for row in rows}
    goal = {id(row): end for row, end in zip(rows, goals, strict=True)}
    while pending := [row for row in rows if len(row.past) < goal[id(row)]]:
        for row in pending:
            row.retain = True
            row.end = min(goal[id(row)], len(row.past) + min(model.chunk, limit.chunk))
        for batch in grouped(pending, limit.tokens, limit.worth_a_pass):
            for row, output in zip(batch, model.advance(batch), strict=True):
                last[id(row)] = output[-1]
    return [last[id(row)] for row in rows]


def make_room(model: CausalModel) -> None:
    """Drop the kept prefixes and give memory back."""
    model.store.clear()
    release_memory(model.device)
