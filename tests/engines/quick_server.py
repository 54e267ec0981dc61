"""The test server with a model that takes no time to load: for tests of who is asked, not of what is answered.

What it answers depends on the text, the seed and its weights, as with a real one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.engines.openai_server import OpenAIServer


class QuickModel:
    """Reads bytes as tokens.

    Args:
        weights: models of other weights answer otherwise.
        seconds: how long a continuation takes.
        context: length of the context (tokens).
    """

    def __init__(self, weights: int = 0, seconds: float = 0.0, context: int = 100_000):
        self.weights, self.seconds, self.context = weights, seconds, context

    def ids(self, text: str) -> list[int]:
        return list(text.encode())

    def logprobs(self, ids: list[int]) -> list[float | None]:
        return [None, *(-((31 * a + b + self.weights) % 97) / 25 for a, b in itertools.pairwise(ids))]

    def generate(self, ids: list[int], body: dict[str, Any], gone: Callable[[], bool]) -> dict[str, Any]:
        time.sleep(self.seconds)
        text = hashlib.sha256(json.dumps([ids, body.get("seed"), self.weights]).encode()).hexdigest()
        return {"index": 0, "text": text, "finish_reason": "length", "stop_reason": None, "tokens": body["max_tokens"]}


def quick_server(name: str = "quick", port: int = 0, **model: Any) -> OpenAIServer:
    server = OpenAIServer(Path(name), name=name, port=port)
    server._model = QuickModel(**model)  # type: ignore[assignment]
    return server
