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
from deepwriting.engines.server.trouble import Refusal, Trouble
from deepwriting.errors import EngineError

log = logging.getLogger(__name__)

#: The test text: long enough that its mean tells, short enough to cost nothing.
TEST_HEAD = "The ferry leaves at noon, and"
TEST_TARGET = (
    " nobody on the pier believes that it will come back before the storm does. An old man counts the ropes aloud, a"
    " girl counts the gulls, and between the two numbers the captain finds the hour at which he means to turn around."
)
#: How far the test text's mean may differ, as a multiple of an answer's numerical noise: it is shorter than an answer.
MEAN_TOLERANCE = 2.0
#: How far single tokens may differ on average, likewise. Noise of single tokens cancels out in a mean; the tokens of
#: another model differ by tenths of a nat even where the means happen to be equal.
TOKEN_TOLERANCE = 10.0


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
        self.noise = SCORE_NOISE_NATS.get(dtype, UNKNOWN_NOISE_NATS)
        self._first: tuple[str, NDArray[np.float32]] | None = None

    async def __call__(self, server: OneServer) -> str | None:
        """Nothing if the server is like the others, else what is different.

        Raises:
            Trouble: if it does not answer.
            EngineError: if its answer is of another kind.
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
        if self._first is None:
            self._first = server.url, found
        url, expected = self._first
        difference = (found - expected).astype(np.float64)
        mean, each = abs(float(difference.mean())), float(np.abs(difference).mean())
        if mean > MEAN_TOLERANCE * self.noise or each > TOKEN_TOLERANCE * self.noise:
            return (
                f"its scores of a test text differ from those of {url} by {each:.2g} nats a token, "
                f"where numerical noise is {self.noise:.2g}: another model, other weights or another precision"
            )
        return None

    async def _scores(self, server: OneServer) -> NDArray[np.float32]:
        assert self.tokeniser is not None
        assert self.learned.protocol is not None
        protocol, text = PROTOCOLS[self.learned.protocol], self.tokeniser.align(TEST_HEAD, TEST_TARGET)

        def read(answer: Any) -> NDArray[np.float32]:
            try:
                return protocol.read(answer, text).logprobs
            except Trouble as trouble:  # asked again it would say the same
                raise EngineError(f"{server.url} answered {trouble.reason}") from None

        return await server.post(protocol.path, protocol.body(self.model, text), read)

    def _continuation(self) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "max_tokens": 1, "temperature": 0.0}
        if self.tokeniser is None:
            return {**body, "prompt": PROBE_HEAD}
        if self.learned.sends_ids:
            return {**body, "prompt": self.tokeniser.prompt(PROBE_HEAD).tolist()}
        return {**body, "prompt": PROBE_HEAD, "add_special_tokens": False}
