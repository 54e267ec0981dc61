"""A model's plain answers, for comparison: forward passes of transformers without caches, batches or engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

#: The random model ends by itself after this prompt, at temperature 0, with its sixth token.
ENDING = "The keeper of the light"
ENDING_TOKENS = 6


class Reference:
    """A model's weights in float32."""

    def __init__(self, folder: Path):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from deepwriting.engines.quiet import quiet_transformers

        with quiet_transformers():
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            self.network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        self._added = self.tokenizer.get_added_vocab()
        eos = self.network.generation_config.eos_token_id
        self._eos = set(eos) if isinstance(eos, list) else {eos}

    def logprobs(self, head: str, target: str) -> tuple[list[float], int]:
        """Log-probabilities of the target's tokens by one forward pass, and the whole text's length (tokens).

        Which tokens belong to the target is found from the bytes of the tokens, not from the tokenizer's offsets.
        """
        import torch

        ids = self._ids(head + target)
        ends = np.cumsum([self._bytes(token) for token in self.tokenizer.convert_ids_to_tokens(ids)])
        assert ends[-1] == len((head + target).encode())
        with torch.no_grad():
            logits = self.network(torch.tensor([ids]), use_cache=False).logits[0]
        first = int(np.searchsorted(ends, len(head.encode()), side="right"))
        before = logits[first - 1 : -1]
        chosen = before.gather(1, torch.tensor(ids[first:])[:, None])[:, 0]
        return (chosen - before.logsumexp(dim=-1)).tolist(), len(ids)

    def greedy(self, prompt: str, tokens: int, penalty: float = 0.0) -> str:
        """The continuation at temperature 0, less ``penalty`` for each use of a token."""
        found = greedy_ids(self.network, self._ids(prompt), tokens, penalty, self._eos)
        return str(self.tokenizer.decode(found, skip_special_tokens=True))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _bytes(self, token: str) -> int:
        return len(token.encode()) if token in self._added else len(token)  # byte-level: one character a byte


def greedy_ids(network: Any, ids: list[int], tokens: int, penalty: float, eos: set[int]) -> list[int]:
    """The likeliest tokens one after the other, each by a forward pass over everything before it."""
    import torch

    found: list[int] = []
    with torch.no_grad():
        while len(found) < tokens and not eos.intersection(found):
            logits = network(torch.tensor([ids + found]), use_cache=False).logits[0, -1]
            for token in found:
                logits[token] -= penalty
            found.append(int(logits.argmax()))
    return found


def save_random_llama(folder: Path) -> Path:
    """Save a random Llama of two layers with the embedded model's tokenizer.

    Its heads have 32 dimensions, the least that vLLM's attention on the CPU takes. One row of its output layer changes
    places with that of the end token, so that the model ends by itself after ``ENDING``.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from deepwriting.engines.models import embedded_model
    from deepwriting.engines.quiet import quiet_transformers

    with quiet_transformers():
        tokenizer: Any = AutoTokenizer.from_pretrained(embedded_model("smollm2-135m"))
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, head_dim=32, max_position_embeddings=1024,
            bos_token_id=1, eos_token_id=2, pad_token_id=2,
            initializer_range=0.3,  # wide enough for attention to matter and for samples to differ
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = LlamaForCausalLM(config).eval()
        prompt = tokenizer(ENDING, add_special_tokens=False)["input_ids"]
        path = greedy_ids(network, prompt, ENDING_TOKENS, 0.0, {config.eos_token_id})
        assert len(set(path)) == ENDING_TOKENS
        with torch.no_grad():
            network.lm_head.weight[[path[-1], config.eos_token_id]] = network.lm_head.weight[
                [config.eos_token_id, path[-1]]
            ]
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
