"""Does the search do real work? What y costs under several thinkings, for real pairs and a real model.

    python benchmarks/real_work.py [--books FOLDER --passages 12] [--steps 4] [--run-dir FOLDER] [--markdown FILE]

Searches the quickstart's pairs, and passages of real books where there are some, with the quickstart's engines. Then
scores every answer again under: no thinking, the first thinking, the refined one, the refined one of another row of the
same language, the refined one with its words shuffled, and the refined one without the runs that it shares with the
answer. Only the refined thinking of the same row should make the answer cheap; if another row's did as well, the search
would have found a trick, and if the gain went away with the copied runs, it would have copied.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tables import Table

from deepwriting.engines import close_engines, get_engine
from deepwriting.metrics.copying import copied
from deepwriting.metrics.units import CJK
from deepwriting.pipeline import run_recipe
from deepwriting.recipe import Recipe, load_recipe, parse_recipe
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.scoring import Score, SolutionScorer
from deepwriting.rundir import RunFolder
from deepwriting.stages.rows import stage_documents

#: Runs shared with the answer are taken out from this length (words, Chinese characters): half of what the search
#: counts as copied, so that phrases are gone too.
SHARED_RUN = 4
#: The thinkings under which every answer is scored, in the order of the table.
CONDITIONS = ("no thinking", "initial", "refined", "another row's", "words shuffled", "shared runs removed")

_UNIT = re.compile(rf"[{CJK}]|[^\W{CJK}]+(?:['’][^\W{CJK}]+)*")


@dataclass(frozen=True)
class Measured:
    """A row and what its answer costs under each thinking."""

    row: Mapping[str, Any]
    scores: Mapping[str, Score]
    copies: tuple[float, float]
    removed: float


def main() -> None:
    """Search, score again, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--books", type=Path, help="folder with Project Gutenberg books (*.txt)")
    parser.add_argument("--passages", type=int, default=12, help="passages taken from the books")
    parser.add_argument("--recipe", default="quickstart", help="recipe whose sources, engines and settings are taken")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--run-dir", type=Path, default=Path("runs/real-work"))
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    options = parser.parse_args()
    recipe, text = _recipe(options)
    run_recipe(recipe, text, options.run_dir, until="search")
    rows = [
        {**document["metadata"], "answer": document["text"]}
        for document in stage_documents(RunFolder(options.run_dir), "search")
    ]
    try:
        measured = asyncio.run(_measure(rows, recipe))
    finally:
        close_engines()
    report = "\n\n".join(_report(measured, recipe))
    print(report)
    if options.markdown is not None:
        options.markdown.write_text(report + "\n", encoding="utf-8")


def _recipe(options: argparse.Namespace) -> tuple[Recipe, str]:
    data = yaml.safe_load(load_recipe(options.recipe)[1])
    data["name"] = "real-work"
    data["search"]["max_steps"] = options.steps
    if options.books is not None:
        files = sorted(options.books.glob("*.txt"))
        each = -(-options.passages // len(files))
        data["sources"] += [
            {"kind": "gutenberg", "name": f"book-{file.stem}", "path": str(file.resolve()), "limit": each,
             "license": "public domain in the USA"}
            for file in files
        ]  # fmt: skip
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return parse_recipe(text), text


async def _measure(rows: Sequence[Mapping[str, Any]], recipe: Recipe) -> list[Measured]:
    engine, prompts = get_engine(recipe.engines.scoring), load_prompts(recipe.search.prompts)
    others, measured = _others(rows), []
    for row, other in zip(rows, others, strict=True):
        score = SolutionScorer(
            engine, prompts[row["language"]], row["query"], row["answer"],
            clip_logprob=recipe.search.clip_logprob, score_first_segment=recipe.search.score_first_segment,
        )  # fmt: skip
        bare, removed = without_shared_runs(row["thinking"], row["answer"])
        texts = ["", row["initial_thinking"], row["thinking"], other, _shuffled(row["thinking"], row["row_id"]), bare]
        scores = dict(zip(CONDITIONS, await score(texts), strict=True))
        copies = tuple(copied(row["answer"], row[key]).ratio for key in ("initial_thinking", "thinking"))
        measured.append(Measured(row, scores, (copies[0], copies[1]), removed))
    return measured


def _others(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each row the refined thinking of the next row of its language, around in a circle."""
    by_language: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_language[row["language"]].append(index)
    found = [""] * len(rows)
    for indices in by_language.values():
        for place, index in enumerate(indices):
            found[index] = rows[indices[(place + 1) % len(indices)]]["thinking"]
    return found


def _shuffled(text: str, seed: str) -> str:
    words = text.split(" ") if " " in text else list(text)
    random.Random(seed).shuffle(words)
    return (" " if " " in text else "").join(words)


def without_shared_runs(thinking: str, answer: str, run: int = SHARED_RUN) -> tuple[str, float]:
    """A thinking without the runs of at least ``run`` words that stand in the answer, and the share taken out."""
    words = [match.group().lower() for match in _UNIT.finditer(answer)]
    known = {tuple(words[at : at + run]) for at in range(len(words) - run + 1)}
    spans = list(_UNIT.finditer(thinking))
    own = [match.group().lower() for match in spans]
    shared = set[int]()
    for at in range(len(own) - run + 1):
        if tuple(own[at : at + run]) in known:
            shared.update(range(at, at + run))
    pieces, end = [], 0
    for index in sorted(shared):
        pieces.append(thinking[end : spans[index].start()])
        end = spans[index].end()
    return "".join([*pieces, thinking[end:]]), len(shared) / max(len(own), 1)


def _report(measured: Sequence[Measured], recipe: Recipe) -> Iterable[str]:
    scorer, generator = recipe.engines.scoring, recipe.engines.generator
    yield (
        f"{len(measured)} rows; {generator.model} writes, {scorer.model} scores; at most {recipe.search.max_steps} "
        f"steps, {recipe.search.candidates} candidates; log-probabilities clipped at {recipe.search.clip_logprob} nats"
    )
    table = Table("thinking", "score (nats)", "against none", "perplexity (median)", "rows below initial")
    for name in CONDITIONS:
        values = [m.scores[name].value for m in measured]
        gains = [m.scores[name].value - m.scores["no thinking"].value for m in measured]
        below = sum(m.scores[name].value < m.scores["initial"].value for m in measured)
        table.add(
            name, f"{statistics.mean(values):.3f}", f"{statistics.mean(gains):+.3f}",
            f"{statistics.median(m.scores[name].perplexity for m in measured):.1f}", f"{below} of {len(measured)}",
        )  # fmt: skip
    yield table.markdown()
    for key in ("source", "category"):
        yield _grouped(measured, key)
    steps = Table("step", "steps taken", "accepted", "share", "mean gain of accepted (nats)")
    by_step: dict[int, list[float | None]] = defaultdict(list)
    for m in measured:
        for tried in m.row["trace"]:
            if tried["candidate_index"] == 0:
                by_step[tried["step"]].append(None)
            if tried["accepted"]:
                by_step[tried["step"]][-1] = tried["score_current"] - tried["score"]
    for step, gains_of_step in sorted(by_step.items()):
        gains = [gain for gain in gains_of_step if gain is not None]
        mean = f"{statistics.mean(gains):.4f}" if gains else ""
        share = f"{len(gains) / len(gains_of_step):.0%}"
        steps.add(str(step), str(len(gains_of_step)), str(len(gains)), share, mean)
    yield steps.markdown()
    before, after = (statistics.mean(m.copies[i] for m in measured) for i in (0, 1))
    yield (
        f"Copied share of the answer (runs of 8 words): {before:.4f} before, {after:.4f} after the search. Share "
        f"of the refined thinking in runs of {SHARED_RUN} words that the answer holds: "
        f"{statistics.mean(m.removed for m in measured):.3f}."
    )


def _grouped(measured: Sequence[Measured], key: str) -> str:
    groups: dict[str, list[Measured]] = defaultdict(list)
    for m in measured:
        groups[m.row[key]].append(m)
    table = Table(key, "rows", "no thinking", "initial", "refined", "another row's", "improved")
    for name, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        means = [f"{statistics.mean(m.scores[c].value for m in group):.3f}" for c in CONDITIONS[:4]]
        improved = sum(m.scores["refined"].value < m.scores["initial"].value for m in group)
        table.add(name, str(len(group)), *means, f"{improved} of {len(group)}")
    return table.markdown()


if __name__ == "__main__":
    main()
