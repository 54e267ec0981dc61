"""Texts that a model's tokeniser acts on: a pair that holds one is not searched."""

from __future__ import annotations

from collections.abc import Iterable

from deepwriting.engines.base import Engine


class ControlTokens:
    """The control tokens of all engines of a search.

    Args:
        engines: generators and scorer.
    """

    def __init__(self, engines: Iterable[Engine]):
        self._tokens = sorted({token for engine in engines for token in engine.control_tokens()})

    def found_in(self, *texts: str) -> str | None:
        """The first control token that one of a pair's texts holds, or ``None``."""
        text = "\n".join(texts)
        return next((token for token in self._tokens if token in text), None)
