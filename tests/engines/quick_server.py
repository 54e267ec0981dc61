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
        self.tokenizer = self  # of transformers' methods the server uses these
        self.chat_template = None

    def decode(self, ids: list[int]) -> str:
        return bytes(token % 256 for token in ids).decode(errors="replace")

    def ids(self, text: str) -> list[int]:
        return list(text.encode())

    def logprobs(self, ids: list[int]) -> list[float | None]:
        return [None, *(-((31 * a + b) * (1 + self.weights) % 97) / 25 for a, b in itertools.pairwise(ids))]

    def generate(self, ids: list[int], body: dict[str, Any], gone: Callable[[], bool]) -> dict[str, Any]:
        time.sleep(self.seconds)
        text = hashlib.sha256(json.dumps([ids, body.get("seed"), self.weights]).encode()).hexdigest()
        return {"index": 0, "text": text, "finish_reason": "length", "stop_reason": None, "tokens": body["max_tokens"]}


def byte_model(folder: Path) -> Path:
    """Save a model without weights whose tokens are bytes: what an engine needs that only talks to servers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={"<|end|>": 0, **{char: at for at, char in enumerate(alphabet, 1)}}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>", pad_token="<|end|>").save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def quick_server(name: str = "quick", port: int = 0, **model: Any) -> OpenAIServer:
    server = OpenAIServer(Path(name), name=name, port=port)
    server._model = QuickModel(**model)  # type: ignore[assignment]
    return server
