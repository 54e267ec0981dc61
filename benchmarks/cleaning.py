"""How fast the cleaning steps are, one by one and together, beside datatrove's own formatters on the same rows.

python -m benchmarks.cleaning FOLDER_WITH_BOOKS [ROWS]

The rows are passages of 250 words of plain-text books (and of our Chinese samples), a tenth of them with planted dirt:
broken encodings, addresses, numbers, looped sentences.
"""

from __future__ import annotations

import copy
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import find_all_duplicate, find_top_duplicate, get_n_grams
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter

from deepwriting.cleaning import cleaning_steps
from deepwriting.cleaning.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS
from deepwriting.cleaning.words import words_of
from deepwriting.metrics.units import units
from deepwriting.sections.cleaning import CleaningSection

WORDS = 250
DIRT = (
    " Write to ada.king@lovelace-society.co or 212-867-5309 before noon.",
    " It wasnâ€™t there, said the clerk &amp; the judge.",
    " The host 84.17.44.100 answered @clerk_of_works twice.",
    " We went round and round the house again, as we had done before." * 20,
)


def passages(folder: Path, count: int) -> list[str]:
    """Texts of 250 words, paragraphs kept; a tenth of them with dirt."""
    rng = random.Random(0)
    texts = []
    for file in sorted(folder.rglob("*.txt")):
        words = file.read_text(encoding="utf-8-sig", errors="replace").split(" ")
        texts += [" ".join(words[start : start + WORDS]) for start in range(0, len(words) - WORDS, WORDS)]
    if not texts:
        sys.exit(f"no *.txt with {WORDS} words below {folder}")
    chosen = [texts[index % len(texts)] + " " * (index // len(texts)) for index in range(count)]
    return [text + (rng.choice(DIRT) if rng.random() < 0.1 else "") for text in chosen]


def documents(texts: list[str]) -> Iterator[Document]:
    """Fresh documents, so that no run finds what another has changed."""
    for index, text in enumerate(texts):
        query = "Write a passage of a story in which somebody arrives late and finds the house changed."
        yield Document(text=text, id=str(index), metadata={"query": query, "source": "book", "provenance": "{}"})


def timed(name: str, steps: list[Any], texts: list[str]) -> float:
    """Rows a second of CPU time of a chain of steps; the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        words_of.cache_clear()
        stream: Any = list(documents(texts))
        start = time.process_time()
        for step in steps:
            stream = step.run(stream)
        rejected = sum("reject" in doc.metadata for doc in stream)
        best = min(best, time.process_time() - start)
    print(f"{name:34} {len(texts) / best:9,.0f} rows/s {1e6 * best / len(texts):8.0f} µs/row   rejected {rejected}")
    return len(texts) / best


def gopher(text: str) -> None:
    """Gopher's measures of phrases without our bounds, on the same words."""
    words = units(text)
    for n in TOP_NGRAMS:
        find_top_duplicate(get_n_grams(words, n))
    for n in DUPLICATE_NGRAMS:
        find_all_duplicate(words, n)


def main() -> None:
    """Print one line a step."""
    texts = passages(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3000)
    settings = {"book": CleaningSection.model_validate({})}
    print(f"{len(texts)} rows, {sum(map(len, texts)) // len(texts)} characters on average")
    for step in cleaning_steps(settings):
        timed(step.name, [copy.copy(step)], texts)
    ours = timed("all cleaning steps", cleaning_steps(settings), texts)
    subset = [step for step in cleaning_steps(settings) if type(step).__name__ in ("FixText", "MaskPersonalData")]
    pair = timed("our fix text + personal data", subset, texts)
    stock = timed("datatrove FTFYFormatter + PII", [FTFYFormatter(), PIIFormatter()], texts)
    start = time.process_time()
    for text in texts:
        gopher(text)
    print(f"{'Gopher n-grams without our bounds':34} {len(texts) / (time.process_time() - start):9,.0f} rows/s")
    print(f"fix text + personal data against datatrove's: {pair / stock:.2f}; all steps: {ours / stock:.2f}")


if __name__ == "__main__":
    main()
