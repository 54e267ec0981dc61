"""A whole search through the vLLM engine, and one that goes on after it was broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.recipe import SearchSection
from deepwriting.reer.found import Found
from deepwriting.reer.journal import Journal
from deepwriting.reer.prompts import load_prompts
from deepwriting.reer.search import LocalSearch

PAIRS = [
    ("Write a short scene in which a keeper finds a letter.", "The keeper climbs the stairs before dawn. A letter lies "
     "on the rocks, and it smells of salt. He reads it twice, folds it, and lights the lamp."),
    ("Write three sentences about a garden in winter.", "Snow covers the beds. My sister counts the canes that she cut "
     "in autumn, and she is content. In the shed the seeds wait in their paper bags."),
]  # fmt: skip
SECTION = SearchSection.model_validate(
    {
        "prompts": "compact", "max_steps": 2, "max_thinking_tokens": 90, "min_thinking_tokens": 10,
        "max_segment_tokens": 24, "min_segment_chars": 20, "unclosed": "trim",
        "clip_logprob": -10.0, "initial_attempts": 8,  # the small model repeats itself often
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(open_vllm: Callable[..., Any]) -> Any:
    return open_vllm("smollm2-135m", options={"kv_cache_memory_bytes": 2**30})


def searched(engine: Any, path: Path) -> list[Any]:
    """Search all pairs at once, with a journal at ``path``."""

    async def all_pairs(journal: Journal) -> list[Any]:
        search = LocalSearch([engine], engine, load_prompts("compact"), SECTION, seed=8, journal=journal)
        return list(await asyncio.gather(*(search.search(f"p{i}", *pair, "en") for i, pair in enumerate(PAIRS))))

    with Journal(path, "settings") as journal:
        return asyncio.run(all_pairs(journal))


def test_a_search_and_its_continuation(engine: Any, tmp_path: Path) -> None:
    whole = searched(engine, tmp_path / "whole.jsonl")
    found = [result for result in whole if isinstance(result, Found)]
    assert found
    for result in found:
        assert result.values["score_after"] <= result.values["score_before"]
        assert result.values["steps"] >= 1

    # Broken off in the middle of the journal's last third: what stands there is not searched again.
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    kept = lines[: len(lines) * 2 // 3]
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(b"".join(kept) + lines[len(kept)][:20])
    before = engine.usage.sampled_tokens
    again = searched(engine, torn)
    assert engine.usage.sampled_tokens > before
    assert [vars(result) for result in again] == [vars(result) for result in whole]
    assert torn.read_bytes().splitlines(keepends=True)[: len(kept)] == kept

    # A finished one asks for no samples at all.
    before = engine.usage.sampled_tokens
    assert [vars(result) for result in searched(engine, torn)] == [vars(result) for result in whole]
    assert engine.usage.sampled_tokens == before
