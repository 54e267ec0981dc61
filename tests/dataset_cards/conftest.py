from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deepwriting.schema import CONFIG_COLUMNS


def make_row(number: int, **changes: Any) -> dict[str, Any]:
    """The columns of a row of config `all` that statistics read; numbers vary with ``number``."""
    row = {
        "row_id": f"dw-{number:016x}-0",
        "category": "Creative Writing" if number % 3 else "Speeches",
        "domain": "Literature and Arts" if number % 3 else "Public Life",
        "language": "en",
        "source": "letters",
        "license": "cc-by-4.0",
        "generator": "tiny-writer",
        "generator_revision": "r1",
        "scorer": "tiny-reader",
        "scorer_revision": "r2",
        "score_no_thinking": 1.9,
        "score_before": 1.75,
        "score_after": 1.5,
        "perplexity_no_thinking": 9.0 + number,
        "perplexity_before": 8.0 + number,
        "perplexity_after": 6.0 + number,
        "first_segment_scored": False,
        "stop_reason": "max_steps",
        "steps": 10,
        "accepted_edits": number % 4,
        "thinking_tokens_before": 200 + number,
        "thinking_tokens_after": 240 + number,
        "answer_tokens": 700,
        "repetition": 0.25,
        "end_pattern_count": 1,
        "copy_ratio": 0.125,
        "longest_copy": 4,
        "flags": [],
        "keep": True,
        "drop_reasons": [],
    }
    return row | changes


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    return make_row


@pytest.fixture
def infos() -> Callable[..., Any]:
    """Makes the sizes and types of every config that a card is rendered with."""

    def make(**rows: int) -> Any:
        from datasets import DatasetInfo, Features, SplitDict, SplitInfo, Value
        from datasets.info import DatasetInfosDict

        made = {}
        for config in CONFIG_COLUMNS:
            splits = SplitDict()
            splits.add(SplitInfo(name="train", num_bytes=2048, num_examples=rows.get(config, 5)))
            made[config] = DatasetInfo(
                features=Features({"row_id": Value("string")}),
                splits=splits,
                download_size=1_500_000,
                dataset_size=2048,
                config_name=config,
            )
        return DatasetInfosDict(made)

    return make
