"""Ending the scoring of a candidate early: because it cannot win any more, or because it hardly will.

Both compare a candidate's first tokens with the same tokens under the trajectory that it has to beat:

* *pruning* is exact. No token adds less than 0 to a sum of negative log-likelihoods, so a candidate whose partial sum
  has reached what the whole may cost cannot win;
* *racing* is a bet at a stated confidence. The mean difference of the tokens so far, with its standard error, says how
  likely the candidate still wins (a one-sided z-test over the tokens that are left).

What both save, and how often a race ends otherwise than the full score, stands in docs/search_options.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from deepwriting.recipe import SearchSection

#: Tokens that a race needs before its standard error means anything.
MIN_RACE_TOKENS = 64


@dataclass(frozen=True)
class Rival:
    """What a candidate has to beat.

    Attributes:
        losses: clipped negative log-likelihood of each scored token under the best trajectory, shape ``(tokens,)``.
        needed: how much lower the candidate's mean has to be (nats).
    """

    losses: NDArray[np.float64]
    needed: float


@dataclass(frozen=True)
class EarlyEnd:
    """Says when the scoring of a candidate may end; an ``Abandon`` for engines.

    Attributes:
        rival: what the candidate has to beat.
        clip_logprob: log-probabilities below this count as this (nats).
        prune: end when it cannot win.
        confidence: end when it loses with this confidence; ``None`` for no race.
    """

    rival: Rival
    clip_logprob: float
    prune: bool
    confidence: float | None

    def __call__(self, logprobs: NDArray[np.float32]) -> bool:
        """Whether the tokens behind these are not needed; ``logprobs`` has shape ``(seen,)``, nats."""
        losses = -np.clip(logprobs.astype(np.float64), self.clip_logprob, 0.0)
        if self.prune and cannot_win(losses, self.rival):
            return True
        return self.confidence is not None and win_probability(losses, self.rival) < 1 - self.confidence


def abandon_rule(rival: Rival, settings: SearchSection) -> EarlyEnd | None:
    """The rule that a recipe asks for, or ``None`` if it scores every candidate to the end."""
    if not settings.prune and settings.race_confidence is None:
        return None
    return EarlyEnd(rival, settings.clip_logprob, settings.prune, settings.race_confidence)


def cannot_win(losses: NDArray[np.float64], rival: Rival) -> bool:
    """Whether a candidate's first tokens already cost what all of them may cost."""
    return float(losses.sum()) >= float(rival.losses.sum()) - rival.needed * len(rival.losses)


def win_probability(losses: NDArray[np.float64], rival: Rival) -> float:
    """How likely a candidate's mean over all tokens ends below the rival's by what is needed.

    Args:
        losses: clipped negative log-likelihoods of the candidate's first tokens, shape ``(seen,)``.
        rival: what it has to beat.

    Returns:
        0 to 1; 1 while too little was seen to tell.
    """
    total, seen = len(rival.losses), len(losses)
    if seen < MIN_RACE_TOKENS or seen >= total:
        return 1.0
    differences = losses - rival.losses[:seen]
    # The mean over all tokens differs from that over the first ones by what the rest of a finite text can add.
    error = float(differences.std(ddof=1)) * ((total - seen) / (seen * total)) ** 0.5
    margin = -rival.needed - float(differences.mean())
    if error == 0:
        return 1.0 if margin > 0 else 0.0
    return NormalDist().cdf(margin / error)
