"""How log-probabilities of a target are asked of vLLM.

Every version can return those of all prompt tokens. Newer ones can return those of given tokens at given positions:
the output layer is then computed on the target alone. ``choose_route`` tries the newer way on a short text and takes it
only if it agrees with the older one.

Neither way reads the prefix cache: what is cached are keys and values, and log-probabilities need the hidden states.
So the parameter that would force it (``skip_reading_prefix_cache=False``) is never set; it breaks the engine of vLLM
0.30.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepwriting.engines.alignment import Aligned
from deepwriting.engines.vllm.core import Llm
from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

#: A text for the trial, as token ids, and how far the two ways may differ in it (nats a token). They read the same
#: forward pass, so this is far more than rounding, and far less than a shift by one position.
TRIAL = Aligned(np.arange(5, 29, dtype=np.int64), 7)
TRIAL_TOLERANCE = 0.05


class ScoringRoute(Protocol):
    """A way to ask for a target's log-probabilities."""

    name: str

    def params(self, aligned: Aligned) -> Any:
        """The ``SamplingParams`` for a text."""
        ...

    def read(self, output: Any, aligned: Aligned) -> NDArray[np.float32]:
        """The target's log-probabilities in vLLM's ``RequestOutput``, shape ``(target_tokens,)``, nats.

        Raises:
            EngineError: if they are not those of the target's tokens.
        """
        ...


class PromptLogprobs:
    """Log-probabilities of all prompt tokens; only the target's are read."""

    name = "prompt_logprobs"

    def __init__(self) -> None:
        from vllm import SamplingParams

        # Lists of numbers instead of one dictionary a token: less work for the garbage collector.
        self._flat = {"flat_logprobs": True} if "flat_logprobs" in SamplingParams.__struct_fields__ else {}

    def params(self, aligned: Aligned) -> Any:
        """No alternatives (0): the token that stands there is always included."""
        return _params(prompt_logprobs=0, **self._flat)

    def read(self, output: Any, aligned: Aligned) -> NDArray[np.float32]:
        """See ``ScoringRoute.read``."""
        found = output.prompt_logprobs
        if found is None or len(found) != len(aligned.ids):
            raise EngineError(
                f"vLLM returned log-probabilities of {0 if found is None else len(found)} tokens; "
                f"the text has {len(aligned.ids)}"
            )
        target = [int(token) for token in aligned.target_ids]
        if hasattr(found, "start_indices"):
            at = found.start_indices[aligned.start :]
            tokens, values = [found.token_ids[i] for i in at], [found.logprobs[i] for i in at]
        else:
            entries = [next(iter(found[i].items())) for i in range(aligned.start, len(aligned.ids))]
            tokens, values = [token for token, _ in entries], [entry.logprob for _, entry in entries]
        if tokens != target:
            raise EngineError("vLLM returned log-probabilities of other tokens than those of the target")
        return _checked(np.asarray(values, dtype=np.float32))


class TargetLogprobs:
    """Log-probabilities of the target's tokens alone (vLLM after 0.30, with its second model runner)."""

    name = "prompt_logprob_token_ids"

    def params(self, aligned: Aligned) -> Any:
        """One candidate a position, the token that stands there; position ``start - 1`` predicts the first."""
        rows = aligned.target_ids.astype(np.int32)[:, None]
        return _params(prompt_logprob_token_ids=rows, prompt_logprob_start=aligned.start - 1)

    def read(self, output: Any, aligned: Aligned) -> NDArray[np.float32]:
        """See ``ScoringRoute.read``."""
        found = getattr(output, "prompt_token_id_logprobs", None)
        expected = (len(aligned.target_ids), 1)
        if found is None or found.shape != expected:
            raise EngineError(
                f"vLLM returned log-probabilities of shape {None if found is None else found.shape}; "
                f"{expected} were asked for"
            )
        return _checked(np.asarray(found[:, 0], dtype=np.float32))


def choose_route(llm: Llm) -> ScoringRoute:
    """The cheapest way that the installed vLLM really has.

    Args:
        llm: vLLM's engine, with nothing in flight.
    """
    from vllm import SamplingParams

    plain = PromptLogprobs()
    if not {"prompt_logprob_token_ids", "prompt_logprob_start"} <= set(SamplingParams.__struct_fields__):
        return plain
    newer = TargetLogprobs()
    try:
        found = newer.read(_answer(llm, newer), TRIAL)
    except Exception as error:  # vLLM's refusals have classes of their own
        log.info("scoring through %s: %s is refused: %s", plain.name, newer.name, error)
        return plain
    difference = float(np.abs(found - plain.read(_answer(llm, plain), TRIAL)).max())
    if difference > TRIAL_TOLERANCE:
        log.warning(
            "scoring through %s: %s differs by %.3f nats in a trial", plain.name, newer.name, difference
        )  # fmt: skip
        return plain
    return newer


def _answer(llm: Llm, route: ScoringRoute) -> Any:
    llm.add(f"trial-{route.name}", TRIAL.ids.tolist(), route.params(TRIAL))
    while True:
        for output in llm.step():
            return output


def _params(**fields: Any) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    # One token is the least that vLLM samples; it is thrown away.
    return SamplingParams(
        max_tokens=1, temperature=0.0, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY, **fields
    )


def _checked(values: NDArray[np.float32]) -> NDArray[np.float32]:
    if np.isnan(values).any():
        raise EngineError(f"vLLM returned {int(np.isnan(values).sum())} log-probabilities that are not numbers")
    return values
