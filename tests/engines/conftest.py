from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.device import DEVICE


@pytest.fixture(scope="session")
def smollm() -> Iterator[Any]:
    """The embedded model in float32, with fewer slots than some tests have sequences."""
    from deepwriting.engines.transformers.engine import TransformersEngine

    engine = TransformersEngine("smollm2-135m", device="cpu", dtype="float32", max_batch=3)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def plain_smollm(smollm: Any) -> Any:
    """The network of the embedded model, for plain forward passes of transformers (not a second copy in memory)."""
    return smollm._causal.model


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The embedded model's tokenizer, as transformers loads it; the tiny models share it."""
    from transformers import AutoTokenizer

    from deepwriting.engines.models import embedded_model

    return AutoTokenizer.from_pretrained(embedded_model("smollm2-135m"))


@pytest.fixture(scope="session")
def tiny_network(tokenizer: Any) -> Callable[..., Any]:
    """Makes a random model of two layers: ``tiny_network("llama", **config)``."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    kinds = {"llama": (LlamaConfig, LlamaForCausalLM), "mistral": (MistralConfig, MistralForCausalLM)}

    def make(kind: str = "llama", **changes: Any) -> Any:
        config_class, model_class = kinds[kind]
        values = {
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
            "initializer_range": 0.3,  # wide enough for attention to matter and for samples to differ
        }  # fmt: skip
        torch.manual_seed(0)
        return model_class(config_class(**values | changes)).eval()

    return make


@pytest.fixture(scope="session")
def tiny_folder(
    tiny_network: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Saves a random model with the embedded model's tokenizer; returns the folder."""
    from deepwriting.engines.quiet import quiet_transformers

    def make(kind: str = "llama", **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        with quiet_transformers():
            tiny_network(kind, **changes).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def llama_folder(tiny_folder: Callable[..., Path]) -> Path:
    """A saved random Llama."""
    return tiny_folder("llama")


@pytest.fixture
def open_engine() -> Iterator[Callable[..., Any]]:
    """Opens engines in float32 on the device of the tests and closes them after the test."""
    from deepwriting.engines.transformers.batches import CPU_WORTH_A_PASS
    from deepwriting.engines.transformers.engine import TransformersEngine

    opened = []

    def make(model: Path | str, **options: Any) -> Any:
        opened.append(TransformersEngine(str(model), device=DEVICE, dtype="float32", **options))
        # The short texts of the tests are not worth a pass of their own to a GPU; reuse shall be tried there too.
        opened[-1]._scorer.limit.worth_a_pass = CPU_WORTH_A_PASS
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()


@pytest.fixture(scope="session")
def plain_logprobs(tokenizer: Any) -> Callable[[Any, str, str], tuple[list[float], int]]:
    """Log-probabilities of a target by one plain forward pass over the whole text, and the text's length (tokens).

    Which tokens belong to the target is found from the bytes of the tokens, not from the tokenizer's offsets.
    """
    import torch

    added = tokenizer.get_added_vocab()

    def size(token: str) -> int:  # a byte-level token has one character a byte; an added token is its own text
        return len(token.encode()) if token in added else len(token)

    def score(network: Any, head: str, target: str) -> tuple[list[float], int]:
        ids = tokenizer(head + target, add_special_tokens=False)["input_ids"]
        ends, at = [], 0
        for token in tokenizer.convert_ids_to_tokens(ids):
            at += size(token)
            ends.append(at)
        assert at == len((head + target).encode())
        with torch.no_grad():
            logits = network(torch.tensor([ids]), use_cache=False).logits[0]
        first = next(i for i, end in enumerate(ends) if end > len(head.encode()))
        logs = torch.log_softmax(logits[first - 1 : -1].double(), dim=-1)
        return [float(log[token]) for log, token in zip(logs, ids[first:], strict=True)], len(ids)

    return score
