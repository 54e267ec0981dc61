"""Sampled rows scored again by the scorer that they name, along the search's own code.

Three texts of a row are scored: no thinking, the initial thinking and the final one. What the search knew beside the
row's texts, the template and two settings, stands in the manifest. The same text scored in another way (another batch,
device or engine) differs by the noise of the precision (``engines/base.py``); a difference within it is none.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepwriting.builders.manifest import Manifest
from deepwriting.engines.base import SCORE_NOISE_NATS, UNKNOWN_NOISE_NATS, Engine
from deepwriting.errors import BuildError, EngineError, RequestError
from deepwriting.hub.hashes import batches
from deepwriting.hub.verify.report import Check

#: Columns of config ``all`` that rescoring reads.
COLUMNS = (
    "row_id", "query", "answer", "language", "thinking", "initial_thinking", "scorer", "scorer_revision",
    "score_no_thinking", "score_before", "score_after",
    "perplexity_no_thinking", "perplexity_before", "perplexity_after",
    "first_segment_scored", "scored_tokens", "answer_tokens", "thinking_tokens_before", "thinking_tokens_after",
)  # fmt: skip
#: What a row is scored with: suffix of the columns -> column of the thinking.
CONDITIONS = {"no_thinking": "", "before": "initial_thinking", "after": "thinking"}
#: Rounding of a published float32 beside a score of a few nats.
_ROUNDING = 1e-6

Row = dict[str, Any]


@dataclass(frozen=True)
class Rescoring:
    """What may be chosen about the scoring.

    Attributes:
        rows: rows to sample.
        seed: decides which.
        scorer: folder or Hub id of the scorer's files, instead of the name in the manifest.
        device: where it runs: ``auto``, ``cpu``, ``cuda``, …
        dtype: precision instead of the manifest's.
        prompts: folder with the templates of the run, where they are none of the bundled ones.
    """

    rows: int
    seed: int = 0
    scorer: str | None = None
    device: str = "auto"
    dtype: str | None = None
    prompts: str | None = None


class _CannotError(Exception):
    """Why rows cannot be scored here; it becomes the reason of the check."""


def check_scores(
    folder: Path, manifest: Manifest, asked: Rescoring, watch: Callable[[int], None] | None = None
) -> Check:
    """Score sampled rows again and compare; the scorer stays loaded until ``registry.close_engines``.

    Args:
        folder: folder of the dataset.
        manifest: its manifest.
        asked: how many rows, and what runs the scorer.
        watch: told the number of rows that are done.

    Returns:
        The check; ``unchecked`` if the scorer or the templates are not to be had.
    """
    check = Check("scores", "does the named scorer give the published scores and perplexities?")
    try:
        rows = _sample(folder, manifest, asked)
        search = _search(manifest)
        prompts = _prompts(manifest, asked.prompts, {row["language"] for row in rows})
        engine, noise = _engine(manifest, rows, asked, check)
        asyncio.run(_compare(check, engine, rows, prompts, search, noise, watch))
    except (_CannotError, BuildError, EngineError) as error:
        check.reason = str(error)
    return check


def _sample(folder: Path, manifest: Manifest, asked: Rescoring) -> list[Row]:
    """Rows drawn by the seed, all with the same scorer."""
    if "all" not in manifest.configs:
        raise _CannotError("there is no config `all`, whose rows have the initial thinking")
    files = manifest.configs["all"].files
    total = sum(file.rows for file in files)
    places = set(random.Random(asked.seed).sample(range(total), min(asked.rows, total)))
    found: list[Row] = []
    start = 0
    for file in files:
        for batch in batches(folder, file.path, COLUMNS):
            picked = [place - start for place in sorted(places) if start <= place < start + len(batch)]
            found += batch.take(picked).to_pylist() if picked else []
            start += len(batch)
    scorers = {(row["scorer"], row["scorer_revision"]) for row in found}
    if len(scorers) > 1 and asked.scorer is None:
        raise _CannotError(f"the sampled rows name {len(scorers)} scorers; rows of one run name one")
    return found


def _search(manifest: Manifest) -> Mapping[str, Any]:
    """The settings that decide what a score is."""
    search = manifest.settings.get("search")
    if not isinstance(search, Mapping) or not {"clip_logprob", "score_first_segment"} <= search.keys():
        raise _CannotError("the manifest's settings lack search.clip_logprob or search.score_first_segment")
    return search


def _prompts(manifest: Manifest, named: str | None, languages: set[str]) -> Any:
    """The templates of the run: its own set, or any bundled one with the same inference template."""
    from deepwriting.errors import PromptError
    from deepwriting.reer.prompts import BUNDLED_SETS, load_prompts, prompt_hashes

    told = manifest.settings.get("prompts")
    files = sorted(f"{language}/inference.txt" for language in languages)
    if not isinstance(told, Mapping) or any(file not in told for file in files):
        raise _CannotError("the manifest's settings.prompts lack the hash of the inference template")
    candidates = [named] if named else BUNDLED_SETS
    for name in candidates:
        try:
            if all(prompt_hashes(name)[file] == told[file] for file in files):
                return load_prompts(name)
        except PromptError as error:
            raise _CannotError(str(error)) from error
    where = f"{named!r} has another" if named else "none of the bundled sets has its"
    raise _CannotError(
        f"the inference template of the run is not here: {where} {', '.join(files)}; name its folder with --prompts"
    )


def _engine(manifest: Manifest, rows: Sequence[Row], asked: Rescoring, check: Check) -> tuple[Engine, float]:
    """The scorer, and how far a score may differ (nats)."""
    from deepwriting.engines.models import EMBEDDED
    from deepwriting.engines.registry import get_engine
    from deepwriting.sections.engines import TransformersSection

    told = manifest.settings.get("scorer")
    told = told if isinstance(told, Mapping) else {}
    name, revision = rows[0]["scorer"], rows[0]["scorer_revision"]
    dtype = asked.dtype or {"float16": "float16", "bfloat16": "bfloat16", "float32": "float32"}.get(
        str(told.get("dtype")), "auto"
    )
    model = asked.scorer or name
    on_hub = asked.scorer is None and name not in EMBEDDED and not Path(name).expanduser().is_dir()
    try:
        section = TransformersSection.model_validate(
            {"model": model, "revision": revision if on_hub else None, "device": asked.device, "dtype": dtype}
        )
    except ValueError as error:
        raise _CannotError(f"no such engine: {str(error).splitlines()[0]}") from error
    try:
        engine = get_engine(section)
    except EngineError as error:
        raise _CannotError(
            f"the scorer {model} cannot be loaded: {error}; name its files with --scorer-path"
        ) from error
    info = engine.info
    if info.revision != revision:
        check.notes.append(f"the scorer has the revision {info.revision}, the rows were scored with {revision}")
    noise = max(SCORE_NOISE_NATS.get(str(told.get("dtype")), UNKNOWN_NOISE_NATS), info.noise_nats)
    check.looked_at = f"{len(rows)} rows"
    check.notes.append(f"scored by {info.model} in {info.dtype} on {info.device}; within {noise:.2g} nats is equal")
    return engine, noise


async def _compare(
    check: Check,
    engine: Engine,
    rows: Sequence[Row],
    prompts: Any,
    search: Mapping[str, Any],
    noise: float,
    watch: Callable[[int], None] | None,
) -> None:
    from deepwriting.reer.scoring import SolutionScorer

    worst = 0.0
    for count, row in enumerate(rows, start=1):
        scorer = SolutionScorer(
            engine,
            prompts[row["language"]],
            row["query"],
            row["answer"],
            clip_logprob=search["clip_logprob"],
            score_first_segment=search["score_first_segment"],
        )
        try:
            scores = await scorer([row[column] if column else "" for column in CONDITIONS.values()])
        except RequestError as error:
            check.found("cannot be scored", f"{row['row_id']}: {error}")
            continue
        lengths = {
            "first_segment_scored": scorer.first_segment_scored,
            "scored_tokens": scores[0].tokens,
            "answer_tokens": engine.count_tokens(row["answer"]),
            "thinking_tokens_before": engine.count_tokens(row["initial_thinking"]),
            "thinking_tokens_after": engine.count_tokens(row["thinking"]),
        }
        for name, right in lengths.items():
            if row[name] != right:
                check.found(name, f"{row['row_id']}: {row[name]}, scored again {right}")
        for suffix, score in zip(CONDITIONS, scores, strict=True):
            worst = max(worst, _differs(check, row, f"score_{suffix}", score.value, noise))
            worst = max(worst, _differs(check, row, f"perplexity_{suffix}", score.perplexity, noise))
        if watch:
            watch(count)
    check.notes.append(f"largest difference {worst:.2g} nats")


def _differs(check: Check, row: Row, name: str, right: float, noise: float) -> float:
    """Compare one number; perplexities by their logarithm, which is a mean in nats too."""
    said = row[name]
    difference = abs(math.log(said / right)) if name.startswith("perplexity") and said > 0 else abs(said - right)
    if not difference <= noise + _ROUNDING:
        check.found(name, f"{row['row_id']}: {said:.6g}, scored again {right:.6g}")
    return difference
