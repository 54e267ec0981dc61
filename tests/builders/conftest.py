from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.schema import pair_id, row_id

SETTINGS = {
    "recipe": "test-recipe",
    "seed": 7,
    "models": {"generator": "tiny-writer", "scorer": "tiny-reader"},
    "prompts": {"en": "sha256:ab12", "zh": "sha256:cd34"},
}


def make_document(number: int, *, keep: bool = True, steps: int = 2, **changes: Any) -> dict[str, Any]:
    """An annotated document in datatrove's layout; ``changes`` replace metadata, ``text`` replaces the answer."""
    query = f"Write a short note about lantern number {number}."
    answer = changes.pop("text", f"Lantern {number} hung above the door.\n\nIt had outlived two houses.")
    pair = pair_id(query, answer)
    row = row_id(pair, 0)
    trace = [
        {
            "step": step,
            "segment_index": step - 1,
            "segment": f"Segment {step} before the edit.",
            "candidate_index": index,
            "generator": "writer",
            "candidate": f"Candidate {index} of step {step}." if index == 0 else "",
            "refusal": None if index == 0 else "unparsed",
            "score_current": 1.5 - step / 10,
            "score": 1.4 - step / 10 if index == 0 else None,
            "perplexity": 4.25 if index == 0 else None,
            "accepted": index == 0,
        }
        for step in range(1, steps + 1)
        for index in range(2)
    ]
    parts = range(1, max(steps, 1) + 1)
    metadata = {
        "row_id": row,
        "query": query,
        "thinking": f"Okay, I am given lantern {number}. I want one image, then time passing.",
        "category": "Creative Writing" if number % 3 else "Essay Writing",
        "domain": "Artistic (Literature & Arts)",
        "category_probability": 0.5 + number / 1000,
        "language": "en" if number % 4 else "zh",
        "source": "lanterns" if number % 2 else "letters",
        "source_id": f"s{number}",
        "license": "cc-by-4.0" if number % 2 else "mit",
        "provenance": '{"score": 12}',
        "rollout": 0,
        "generator": "tiny-writer",
        "generator_revision": "r1",
        "scorer": "tiny-reader",
        "scorer_revision": "r2",
        "score_no_thinking": 1.75,
        "score_before": 1.5,
        "score_after": 1.5 - steps / 10,
        "perplexity_no_thinking": 7.5,
        "perplexity_before": 6.0 + number / 8,
        "perplexity_after": 4.5 + number / 16,
        "first_segment_scored": False,
        "scored_tokens": 9,
        "steps": steps,
        "accepted_edits": steps,
        "stop_reason": "max_steps" if number % 2 else "score_reached",
        "thinking_tokens_before": 140 + number,
        "thinking_tokens_after": 150 + 2 * number,
        "answer_tokens": 18,
        "repetition": 0.125,
        "thinking_patterns": [{"pattern": "wait", "count": 2}],
        "thinking_pattern_count": 2,
        "end_pattern_count": 0,
        "copy_ratio": 0.0625,
        "longest_copy": 3,
        "flags": [] if keep else ["repetition"],
        "pipeline_version": "0.1.0",
        "keep": keep,
        "drop_reasons": [] if keep else ["repetition"],
        "initial_thinking": "\n\n".join(f"Segment {step} before the edit." for step in parts),
        "segments": [
            {"initial": f"Segment {step} before the edit.", "final": f"Candidate 0 of step {step}.", "edited": True}
            for step in parts
        ],
        "trace": trace,
        "file_path": "ignored/by/the/build.jsonl.gz",
    }
    return {"text": answer, "id": pair, "metadata": metadata | changes}


def write_shards(folder: Path, documents: Iterable[dict[str, Any]], shards: int = 2) -> Path:
    """Distribute documents over gzip shards; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    spread: list[list[dict[str, Any]]] = [[] for _ in range(shards)]
    for number, document in enumerate(documents):
        spread[number % shards].append(document)
    for number, part in enumerate(spread):
        with gzip.open(folder / f"{number:05d}.jsonl.gz", "wt", encoding="utf-8") as stream:
            stream.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in part)
    return folder


@pytest.fixture
def document() -> Callable[..., dict[str, Any]]:
    return make_document


@pytest.fixture
def shards() -> Callable[..., Path]:
    return write_shards


@pytest.fixture
def settings() -> dict[str, Any]:
    return json.loads(json.dumps(SETTINGS))
