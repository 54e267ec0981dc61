"""A classifier of one embedding layer, written down instead of trained: it really classifies, by the words it knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.cleaning import cleaning_steps
from deepwriting.cleaning.harm_model import HarmClassifier, HarmModel
from deepwriting.errors import ModelNotFoundError, RecipeError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "poison", "venom", "bread", "garden", "the", "in"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without layers whose classifier adds up what each word votes for, taught by a few steps of descent."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    from deepwriting.engines.quiet import quiet_transformers

    folder = tmp_path_factory.mktemp("harm")
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, id2label={0: "fine", 1: "toxic"}, label2id={"fine": 0, "toxic": 1},
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    network = BertForSequenceClassification(config)
    texts = ["the poison", "venom in the garden", "poison in the bread", "the bread", "bread in the garden", "garden"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    labels = torch.tensor([1, 1, 1, 0, 0, 0])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
    with quiet_transformers():
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def docs(*pairs: tuple[str, str | None], source: str = "own") -> list[Document]:
    return [
        Document(text=answer, id=str(number), metadata={"query": query, "source": source})
        for number, (answer, query) in enumerate(pairs)
    ]


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_pairs_are_rejected_in_their_order_whatever_the_batch(
    model: Path, section: Callable[..., Any], batch: int
) -> None:
    settings = section(harm_model=str(model), harm_model_labels=["toxic"], harm_model_batch=batch)
    pairs = docs(
        ("the bread in the garden", "the garden"), ("the poison", "bread"), ("bread", "the venom"), ("garden", None),
        ("venom " * 100, None), ("the garden", ""),
    )  # fmt: skip
    pairs[3].metadata["reject"] = "short"
    found = list(HarmModel({"own": settings}).run(pairs))
    assert found == pairs
    assert [doc.metadata.get("reject") for doc in found] == [
        None,
        "harm_model",
        "harm_model",
        "short",
        "harm_model",
        None,
    ]
    assert found[2].metadata["reject_detail"].startswith("query: toxic with probability ")


def test_the_threshold_is_the_recipes_and_other_sources_pass(model: Path, section: Callable[..., Any]) -> None:
    (share,) = HarmClassifier(str(model)).probabilities(["the poison"])
    assert sum(share.values()) == pytest.approx(1)
    settings = section(harm_model=str(model), harm_model_labels=["toxic"], harm_model_threshold=1.0)
    (doc,) = HarmModel({"own": settings}).run(docs(("the poison", None)))
    assert ("reject" in doc.metadata) == (share["toxic"] >= 1.0)
    strict = section(harm_model=str(model), harm_model_labels=["toxic"])
    (doc,) = HarmModel({"own": strict}).run(docs(("the poison", None), source="other"))
    assert "reject" not in doc.metadata


def test_a_label_that_the_model_lacks_is_refused(model: Path, section: Callable[..., Any]) -> None:
    settings = section(harm_model=str(model), harm_model_labels=["hate"])
    with pytest.raises(
        RecipeError, match=r"harm_model_labels \['hate'\] are unknown to the model; allowed: fine, toxic"
    ):
        list(HarmModel({"own": settings}).run(docs(("bread", None))))


def test_a_model_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="cannot be loaded"):
        HarmClassifier(str(tmp_path))


def test_the_model_stands_behind_the_lexicon_where_a_source_names_one(section: Callable[..., Any]) -> None:
    plain = [type(step).__name__ for step in cleaning_steps({"own": section()})]
    both = cleaning_steps({"own": section(harm_model="m", harm_model_labels=["x"]), "other": section()})
    names = [type(step).__name__ for step in both]
    assert names == [*plain[:-1], "HarmModel", plain[-1]]
    off = section(
        fix_text=False, quality=False, repetition=False, refusals=False, language=False, harm=False, pii=False
    )
    assert cleaning_steps({"own": off}) == []
