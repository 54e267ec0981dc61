"""Which rows go through the model together, and how much of them at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch

from deepwriting.engines.forward import PREFILL_CHUNK, CausalModel, Row
from deepwriting.engines.memory import release_memory
from deepwriting.engines.prefixes import Ids, common_length

log = logging.getLogger(__name__)

#: Tokens of one forward pass on a GPU or the like, unless the recipe says otherwise: enough to keep it busy.
ACCELERATOR_TOKENS = 16_384
#: The same on a CPU. Six texts behind two kept prefixes of 250 tokens, SmolLM2-135M, one core, against a pass for each
#: text: texts of 40 tokens took 0.70 of the time in passes of 512 tokens (float32 and bfloat16 alike), of 120 tokens
#: 0.99 and 0.92, of 400 tokens (one a pass) 0.95. Larger passes gained nothing: 0.99 to 1.09 of passes of 512.
CPU_TOKENS = 512
#: No forward pass is made smaller than this for want of memory (tokens): what does not fit then never will.
SMALLEST_PASS = 128
#: A forward pass costs about as much as this many tokens more in another one, because it reads all weights: what is
#: less is computed again rather than by itself (SmolLM2-135M, 2 cores: 40 ms a pass, 600 tokens a second; a GPU needs
#: more tokens to be busy, so there it is too low rather than too high).
WORTH_A_PASS = 32

AnyRow = TypeVar("AnyRow", bound=Row)


class PassLimit:
    """How large a forward pass may be; learns from want of memory.

    Args:
        device: decides what is best if ``tokens`` is ``None``.
        tokens: most tokens in a pass over several rows, filling included.

    Attributes:
        tokens: as above, or what fitted.
        chunk: most tokens of one row in a pass.
    """

    def __init__(self, device: torch.device, tokens: int | None = None):
        self.tokens = tokens or (CPU_TOKENS if device.type == "cpu" else ACCELERATOR_TOKENS)
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


def grouped(rows: Sequence[AnyRow], tokens: int) -> list[list[AnyRow]]:
    """Rows in groups of similar width, so that little is filled up.

    Args:
        rows: what has to be computed.
        tokens: most tokens in a group, filling included; a wider row is a group by itself.

    Returns:
        Groups, widest first; every row is in one.
    """
    groups: list[list[AnyRow]] = []
    for row in sorted(rows, key=lambda row: row.width, reverse=True):
        if groups and (len(groups[-1]) + 1) * groups[-1][0].width <= tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def overlaps(ids: Ids, known: int, others: Iterable[Ids]) -> bool:
    """Whether one of ``others`` is about to compute so much of what is unknown of ``ids`` that waiting pays."""
    return any(common_length(ids, other) - known >= WORTH_A_PASS for other in others)


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
        for batch in grouped(pending, limit.tokens):
            for row, output in zip(batch, model.advance(batch), strict=True):
                last[id(row)] = output[-1]
    return [last[id(row)] for row in rows]


def make_room(model: CausalModel) -> None:
    """Drop the kept prefixes and give memory back."""
    model.store.clear()
    release_memory(model.device)
