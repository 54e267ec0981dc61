"""What the benchmarks share: real pairs, made-up thinking, models to measure, peak memory, tables."""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrate_repetition import PLANNING
from random_model import QWEN3_SIZES, write_random_model

from deepwriting.engines.models import resolve_model
from deepwriting.schema import is_rejected, pair_id
from deepwriting.sources import SOURCE_KINDS, GutenbergBook
from deepwriting.sources.check import language_of

#: Bundled samples that hold whole pairs.
SAMPLES = ("pairs", "longwriter", "writingprompts_dump", "wildchat", "writingprompts_table")
#: Shorter answers are no fair load for a scorer (characters; Chinese ones say more in fewer).
MIN_ANSWER_CHARS = {"en": 400, "zh": 100}
#: Passages of books are cut to about the length of the samples' answers (characters).
PASSAGE_CHARS = 1000
#: A request for a passage of a book; the text does not matter for speed, its length is a usual one.
PASSAGE_QUERY = "Write a passage of a story in the manner of {title}, in which the scene changes with every paragraph."


@dataclass(frozen=True)
class Pair:
    """A query x with its known-good solution y."""

    id: str
    query: str
    answer: str
    language: str


def sample_pairs(count: int, texts: Path | None = None) -> list[Pair]:
    """Real pairs from the bundled samples, read by the project's own readers; a third of them from books if possible.

    Args:
        count: number of pairs wanted; less come back if there are not so many.
        texts: folder with Project Gutenberg books (``*.txt``), or ``None``.
    """
    books = list(_passages(texts, count // 3)) if texts is not None and texts.is_dir() else []
    turns = [list(_read(kind)) for kind in SAMPLES]
    # One of each kind in turn, so that few pairs are of many kinds.
    mixed = [turn[index] for index in range(max(map(len, turns))) for turn in turns if index < len(turn)]
    distinct = list({pair.id: pair for pair in mixed}.values())
    return (distinct[: count - len(books)] + books)[:count]


def _read(kind: str) -> Iterator[Pair]:
    for doc in SOURCE_KINDS[kind](f"samples://{kind}", name=kind, license="CC0-1.0").run():
        if is_rejected(doc.metadata):
            continue
        query, language = doc.metadata["query"], language_of(doc.metadata["query"])
        if language is not None and len(doc.text) >= MIN_ANSWER_CHARS[language]:
            yield Pair(pair_id(query, doc.text), query, doc.text, language)


def _passages(folder: Path, count: int) -> Iterator[Pair]:
    files = sorted(folder.rglob("*.txt"))
    for index, file in enumerate(files):
        wanted = count // len(files) + (index < count % len(files))
        if not wanted:
            continue
        reader = GutenbergBook(
            str(file), name="gutenberg", license="public domain", max_chars=PASSAGE_CHARS, limit=4 * wanted
        )
        found = [doc for doc in reader.run() if not is_rejected(doc.metadata)]
        for doc in found[:wanted]:
            query = PASSAGE_QUERY.format(title=file.stem)
            yield Pair(pair_id(query, doc.text), query, doc.text, "en")


def sentences(language: str) -> list[str]:
    """Sentences of planning in plain words, for thinking that nobody has to sample."""
    text, mark = (PLANNING["plan zh"], "。") if language == "zh" else (PLANNING["plan en"], ". ")
    lines = " ".join(text.split()) if language != "zh" else "".join(text.split())
    return [part.strip().rstrip(".") + mark.strip() for part in lines.split(mark) if part.strip()]


def planning(language: str, tokens: int, count: Callable[[str], int], seed: object) -> str:
    """About ``tokens`` tokens of planning in shuffled sentences, in paragraphs of three.

    Args:
        language: ``en`` or ``zh``.
        tokens: length wanted; the text is at most one sentence longer (tokens).
        count: counts the tokens of a text.
        seed: other seeds give other orders.
    """
    rng, parts, joiner = random.Random(str(seed)), list[str](), "" if language == "zh" else " "
    pool: list[str] = []
    written = 0
    while written < tokens:
        if not pool:
            pool = rng.sample(sentences(language), len(sentences(language)))
        parts.append(pool.pop())
        written += count(joiner + parts[-1])
    return "\n\n".join(joiner.join(parts[at : at + 3]) for at in range(0, len(parts), 3))


def model_folder(model: str, random_weights: str | None, dtype: str) -> str:
    """Where the model to measure is: a named one, or one of random weights written to a temporary folder.

    Args:
        model: embedded name, local directory or Hub id; gives the tokenizer if the weights are random.
        random_weights: see ``random_model.py``, or ``None``.
        dtype: precision of random weights.

    Returns:
        A directory or Hub id for ``from_pretrained``. A temporary folder stays until ``remove_models``.
    """
    path = resolve_model(model).path
    if random_weights is None:
        return path
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))  # so that the folder goes with a script that is ended
    folder = tempfile.TemporaryDirectory(prefix="deepwriting-random-")
    _TEMPORARY.append(folder)
    write_random_model(random_weights, tokenizer=path, dtype=dtype, folder=Path(folder.name))
    return folder.name


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``, ``--random-weights`` and ``--device``."""
    parser.add_argument("--model", default="smollm2-135m", help="embedded name, directory or Hub id [%(default)s]")
    parser.add_argument(
        "--random-weights", metavar="CONFIG", help=f"for speed only: a config.json, or {', '.join(QWEN3_SIZES)} (Qwen3)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps [%(default)s]")


_TEMPORARY: list[tempfile.TemporaryDirectory[str]] = []


def remove_models() -> None:
    """Delete what ``model_folder`` has written."""
    while _TEMPORARY:
        _TEMPORARY.pop().cleanup()


def status_mb(field: str) -> float:
    """A field of ``/proc/self/status`` in MB, for example ``VmRSS``; ``VmHWM`` is the most since ``reset_peak``.

    Not ``getrusage``: its high-water mark survives ``exec``, so that a child starts with its parent's.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"/proc/self/status has no {field}")


def reset_peak(device: str = "cpu") -> None:
    """Begin to look for the peak anew."""
    Path("/proc/self/clear_refs").write_text("5")
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats()


def peak_mb(device: str = "cpu") -> float:
    """Most memory since ``reset_peak``: of this process, or of its tensors on a GPU (MB)."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    return status_mb("VmHWM")


def median(values: Sequence[float]) -> float:
    """The median; not a number if there is no value."""
    return statistics.median(values) if values else float("nan")


def print_table(rows: Sequence[Mapping[str, Any]], formats: Mapping[str, str] | None = None) -> None:
    """Print rows under their keys, right-aligned but for the first column.

    Args:
        rows: the rows; all have the keys of the first.
        formats: format specification by key; ``None`` values are printed as a dash.
    """
    if not rows:
        return
    formats = formats or {}
    cells = [list(rows[0])]
    for row in rows:
        cells.append(["-" if row[key] is None else format(row[key], formats.get(key, "")) for key in rows[0]])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        first, *rest = (
            cell.ljust(w) if not i else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())
