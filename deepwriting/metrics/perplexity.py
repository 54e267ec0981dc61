"""How surprised a scorer is by the answer: the search score and the true perplexity.

Two different numbers, never to be called by each other's name:

* the *search score* is the mean negative log-probability of the answer's tokens, each log-probability clipped to
  [-2, 0] first. The reference implementation of REER minimises it and compares it with its stopping value of 0.25;
* the *perplexity* is exp(mean negative log-probability), unclipped. It is never below 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Log-probabilities below this count as this (nats). From the reference implementation of the search, so that one
#: token that nothing could foresee, such as a name, does not outweigh a whole paragraph.
CLIP_FLOOR = -2.0

Logprobs = Sequence[float] | npt.NDArray[np.floating]


def clipped_mean_nll(logprobs: Logprobs, floor: float = CLIP_FLOOR) -> float:
    """Search score: mean negative log-probability with every log-probability clipped to [floor, 0].

    Args:
        logprobs: natural log-probabilities of the scored tokens (nats), shape (tokens,).
        floor: lowest log-probability that counts (nats).

    Returns:
        Nats per token, from 0 (every token was certain) to ``-floor``.

    Raises:
        ValueError: if there is no token, a value is not a number, or ``floor`` is not below 0.
    """
    if not floor < 0:
        raise ValueError(f"floor is {floor}; it must be below 0 (nats)")
    return -float(np.clip(_as_array(logprobs), floor, 0.0).mean()) + 0.0


def perplexity(logprobs: Logprobs) -> float:
    """True perplexity exp(mean negative log-probability), unclipped.

    Args:
        logprobs: natural log-probabilities of the scored tokens (nats), shape (tokens,).

    Returns:
        At least 1 for log-probabilities of at most 0; infinity where the exponential leaves the range of a float.

    Raises:
        ValueError: if there is no token or a value is not a number.
    """
    mean_nll = -float(_as_array(logprobs).mean())
    try:
        return math.exp(mean_nll)
    except OverflowError:
        return math.inf


def _as_array(logprobs: Logprobs) -> npt.NDArray[np.float64]:
    """The log-probabilities in double precision: float32 sums of thousands of tokens lose digits that edits gain."""
    values = np.asarray(logprobs, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"log-probabilities have shape {values.shape}; one dimension (tokens,) is allowed")
    if values.size == 0:
        raise ValueError("no log-probabilities: a score needs at least one token")
    if np.isnan(values).any():
        index = int(np.flatnonzero(np.isnan(values))[0])
        raise ValueError(f"log-probability {index} of {values.size} is not a number")
    return values
