from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deepwriting.recipe import Recipe, parse_recipe

STARTS = (
    "Okay, I'm asked for", "Alright, I'm asked for", "Let me see. I'm asked for", "Maybe I can begin with",
    "Wait, the person wants to read about", "Let me think. I want to say that", "So the text is going to be about",
    "I'm going to write about",
)  # fmt: skip
THINGS = (
    "captains at noon", "lamps under trees", "ladders behind sheds", "roads after rain", "letters smelling of salt",
    "paint on old gates", "sisters with gardens", "clocks without hands", "promises nobody kept", "harbour noise",
)  # fmt: skip
TAILS = ("because it sets my tone.", "then keep it short.", "before anybody speaks.", "using plain words.")


def thinking(rng: random.Random) -> str:
    """Lines that sound like somebody planning a text, in the compact prompts' beginnings."""
    return "\n".join(f"{rng.choice(STARTS)} {rng.choice(THINGS)} {rng.choice(TAILS)}" for _ in range(6))


def pytest_configure() -> None:
    """No property test is judged by the time that it takes: the machine may be busy."""
    from hypothesis import HealthCheck, settings

    settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def pocket_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of one layer that is written down instead of trained: it knows which token follows which, and likes
    tokens that it has seen before.

    The hidden state has two halves. The first holds the current token (one dimension a token), and the output layer
    turns it into the likelihoods of the next one. Attention without queries and keys averages all tokens so far
    into the second half, which the output layer adds as it is. So the answer is less surprising after a thinking that
    shares its words, which is all a search needs; and it takes milliseconds where the embedded model takes seconds.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from deepwriting.engines.quiet import quiet_transformers

    rng = random.Random(0)
    corpus = [thinking(rng) for _ in range(300)]
    corpus += [f"Write a passage of a story in which {rng.choice(THINGS)} {rng.choice(TAILS)}" for _ in range(100)]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        corpus,
        trainers.BpeTrainer(vocab_size=640, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>", pad_token="<|end|>")
    size = len(tokenizer)

    follows = torch.full((size, size), 0.002)
    for text in corpus:
        ids = tokenizer(text)["input_ids"]
        for here, behind in itertools.pairwise(ids):
            follows[here, behind] += 1.0

    config = LlamaConfig(
        vocab_size=size, hidden_size=2 * size, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, head_dim=2 * size, max_position_embeddings=4096, bos_token_id=0, eos_token_id=0,
        pad_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip
    network = LlamaForCausalLM(config).eval()
    layer = network.model.layers[0]
    one, none = torch.eye(size), torch.zeros(size, size)
    with torch.no_grad():
        for parameter in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.mlp.down_proj):
            parameter.weight.zero_()
        # The norm before attention makes a one-hot vector as long as the root of its dimensions.
        layer.self_attn.v_proj.weight.copy_(
            torch.cat([torch.cat([none, none], 1), torch.cat([one, none], 1)]) / (2 * size) ** 0.5
        )
        layer.self_attn.o_proj.weight.copy_(torch.eye(2 * size))
        network.model.embed_tokens.weight.copy_(torch.cat([one, none], 1))
        likelihoods = (follows / follows.sum(1, keepdim=True)).log()
        network.lm_head.weight.copy_(torch.cat([likelihoods.T, 60.0 * one], 1) / (2 * size) ** 0.5)
    folder = tmp_path_factory.mktemp("pocket")
    with quiet_transformers():
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def own_pairs() -> Callable[[int], list[dict[str, str]]]:
    """Short pairs of our own, all different: ``own_pairs(3)``."""

    def make(count: int) -> list[dict[str, str]]:
        rng = random.Random(1)
        pairs = []
        for index in range(count):
            first, second, third = rng.sample(THINGS, 3)
            pairs.append(
                {
                    "id": f"p{index}",
                    "query": f"Write scene number {index} with {first} and {second}.",
                    "answer": f"Scene {index} begins late.\n\n{first} before anybody speaks, then {second} because it "
                    f"is short, then {third} using plain words. {second} before anybody speaks of {first}.",
                }
            )
        return pairs

    return make


@pytest.fixture(scope="session")
def write_lines() -> Callable[..., Path]:
    """Writes records (or raw bytes) as the lines of a file: ``write_lines(path, record, ...)``."""

    def write(path: Path, *lines: bytes | dict[str, Any]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join((x if isinstance(x, bytes) else json.dumps(x).encode()) + b"\n" for x in lines))
        return path

    return write


#: Settings under which a search of a small model over short texts takes a moment.
SHORT_SEARCH = {
    "prompts": "compact", "max_steps": 2, "max_thinking_tokens": 90, "min_thinking_tokens": 10,
    "max_segment_tokens": 24, "min_segment_chars": 20, "unclosed": "trim", "initial_attempts": 3,
    "clip_logprob": -10.0, "concurrency": 1,
}  # fmt: skip


@pytest.fixture(scope="session")
def recipe_for() -> Callable[..., tuple[Recipe, str]]:
    """A recipe, and its text, for short pairs in a file: ``recipe_for(path, model, search={...})``.

    Keywords replace sections; those under ``search`` and ``generator`` replace single settings.
    """

    def make(path: Path, model: Path | str = "smollm2-135m", **changes: Any) -> tuple[Recipe, str]:
        generator = {"model": str(model), "dtype": "float32", "device": "cpu"} | changes.pop("generator", {})
        search = SHORT_SEARCH | changes.pop("search", {})
        data = {
            "name": "short",
            "sources": [{"kind": "pairs", "path": str(path), "license": "CC0-1.0"}],
            "engines": {"generator": generator},
            "search": search,
        } | changes
        text = yaml.safe_dump(data)
        return parse_recipe(text), text

    return make


@pytest.fixture(scope="module")
def closing_engines() -> Iterator[None]:
    """Frees the models that a module's runs have loaded."""
    yield
    from deepwriting.engines.registry import close_engines

    close_engines()
