"""What every server of a pool has to show before it is asked: that it gives the answers of the others.

A pool is one engine: a search must not notice which server it met. So each takes what the first one took, has room for
the same context, and gives the same log-probabilities for a test text. What another model, other weights, a quantised
copy or another precision than ``dtype`` says would do to the scores is found out here and not in the rows.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepwriting.engines.alignment import Tokeniser
from deepwriting.engines.base import SCORE_NOISE_NATS, UNKNOWN_NOISE_NATS
from deepwriting.engines.server.client import OneServer
from deepwriting.engines.server.probe import PROBE_HEAD, Learned, served_context
from deepwriting.engines.server.sampling import Dialect
from deepwriting.engines.server.scoring import PROTOCOLS
from deepwriting.engines.server.trouble import Refusal

log = logging.getLogger(__name__)

#: The test text: long enough that its mean tells, short enough to cost nothing.
TEST_HEAD = "The ferry leaves at noon, and"
TEST_TARGET = (
    " nobody on the pier believes that it will come back before the storm does. An old man counts the ropes aloud, a"
    " girl counts the gulls, and between the two numbers the captain finds the hour at which he means to turn around."
)
#: The test text is short, so its mean may differ by more than that of a whole answer.
TOLERANCE = 2.0


class Admission:
    """Compares servers with what the first one showed.

    Args:
        model: the model as the servers call it.
        tokeniser: its tokenizer, if there is one.
        learned: what is known of the first server.
        dialect: which fields are sent.
        dtype: precision in which the servers compute; decides how far scores may differ.
        context: how much room a server has to have (tokens); ``None`` if they do not tell.
        chat: whether they take messages; then nothing but their context is compared.
    """

    def __init__(
        self,
        *,
        model: str,
        tokeniser: Tokeniser | None,
        learned: Learned,
        dialect: Dialect,
        dtype: str,
        context: int | None,
        chat: bool,
    ):
        self.model, self.learned, self.dialect, self.context, self.chat = model, learned, dialect, context, chat
        self.tokeniser = tokeniser
        self.tolerance = TOLERANCE * SCORE_NOISE_NATS.get(dtype, UNKNOWN_NOISE_NATS)
        self._first: tuple[str, float] | None = None

    async def __call__(self, server: OneServer) -> str | None:
        """Nothing if the server is like the others, else what is different.

        Raises:
            Trouble: if it does not answer.
        """
        context = await served_context(server, self.model)
        if self.context is not None and context is not None and context < self.context:
            return f"it has room for {context} tokens, where {self.context} are needed"
        if self.chat:
            return None
        try:
            if self.learned.protocol is None or self.tokeniser is None:
                await self.dialect.ask(server, "/completions", self._continuation(), stopping=False)
                return None
            found = await self._scores(server)
        except Refusal as refusal:
            return str(refusal)
        mean = -float(found.mean(dtype=np.float64))
        if self._first is None:
            self._first = server.url, mean
        url, expected = self._first
        if abs(mean - expected) > self.tolerance:
            return (
                f"it scores a test text at {mean:.6f} nats where {url} says {expected:.6f}; they may differ by "
                f"{self.tolerance:.2g}, so it has another model, other weights or another precision"
            )
        return None

    async def _scores(self, server: OneServer) -> NDArray[np.float32]:
        assert self.tokeniser is not None
        assert self.learned.protocol is not None
        protocol, text = PROTOCOLS[self.learned.protocol], self.tokeniser.align(TEST_HEAD, TEST_TARGET)
        scored = await server.post(
            protocol.path, protocol.body(self.model, text), lambda answer: protocol.read(answer, text)
        )
        return scored.logprobs

    def _continuation(self) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "max_tokens": 1, "temperature": 0.0}
        if self.tokeniser is None:
            return {**body, "prompt": PROBE_HEAD}
        if self.learned.sends_ids:
            return {**body, "prompt": self.tokeniser.prompt(PROBE_HEAD).tolist()}
        return {**body, "prompt": PROBE_HEAD, "add_special_tokens": False}
