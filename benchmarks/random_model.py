"""A model of random weights, for speed tests where no large model is at hand.

    python benchmarks/random_model.py 8b /scratch/random-8b --dtype bfloat16

The folder holds what ``from_pretrained`` and ``vllm serve`` want: configuration, weights, tokenizer (the embedded
model's, whose tokens every vocabulary covers; the output layer keeps its full width, so that its cost is real).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from deepwriting.engines.models import resolve_model
from deepwriting.engines.quiet import quiet_transformers

#: The published configurations of Qwen3 by size: hidden size, layers, heads of queries and of keys, intermediate size,
#: whether the output layer is the embedding.
QWEN3_SIZES = {
    "0.6b": (1024, 28, 16, 8, 3072, True),
    "1.7b": (2048, 28, 16, 8, 6144, True),
    "4b": (2560, 36, 32, 8, 9728, True),
    "8b": (4096, 36, 32, 8, 12288, False),
}
QWEN3_VOCABULARY = 151_936
QWEN3_CONTEXT = 32_768


def write_random_model(config: str, *, tokenizer: str, dtype: str, folder: Path) -> None:
    """Write a model of random weights.

    Args:
        config: a size of Qwen3 (see ``QWEN3_SIZES``), or a transformers ``config.json``.
        tokenizer: directory or Hub id that gives the tokenizer.
        dtype: name of a torch dtype.
        folder: where to.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    if config in QWEN3_SIZES:
        hidden, layers, heads, key_heads, intermediate, tied = QWEN3_SIZES[config]
        settings = AutoConfig.for_model(
            "qwen3", vocab_size=QWEN3_VOCABULARY, hidden_size=hidden, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=key_heads, head_dim=128, intermediate_size=intermediate,
            tie_word_embeddings=tied, max_position_embeddings=QWEN3_CONTEXT,
        )  # fmt: skip
    elif Path(config).is_file():
        settings = AutoConfig.from_pretrained(config)
    else:
        raise SystemExit(f"random weights {config!r}: neither a file nor one of {', '.join(QWEN3_SIZES)}")
    words = AutoTokenizer.from_pretrained(tokenizer)
    end = words.eos_token_id
    settings.bos_token_id, settings.eos_token_id, settings.pad_token_id = None, end, end
    torch.manual_seed(0)
    on_gpu = torch.cuda.is_available()
    with torch.device("cuda" if on_gpu else "cpu"):
        network = AutoModelForCausalLM.from_config(settings, dtype=getattr(torch, dtype))
    with quiet_transformers():
        network.save_pretrained(str(folder))
        words.save_pretrained(str(folder))
    del network
    if on_gpu:
        torch.cuda.empty_cache()


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", help=f"config.json, or {', '.join(QWEN3_SIZES)}")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--tokenizer", default="smollm2-135m", help="model that gives the tokenizer [%(default)s]")
    options = parser.parse_args()
    tokenizer = resolve_model(options.tokenizer).path
    write_random_model(options.config, tokenizer=tokenizer, dtype=options.dtype, folder=options.folder)
    print(options.folder)


if __name__ == "__main__":
    main()
