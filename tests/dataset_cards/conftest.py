from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from deepwriting.builders.features import features
from deepwriting.builders.manifest import manifest, parse_manifest
from deepwriting.builders.parquet import FileFacts, TableFacts, file_facts, write_split
from deepwriting.dataset_cards.documents import render_documents, write_documents
from deepwriting.schema import CONFIG_COLUMNS


def make_row(number: int, **changes: Any) -> dict[str, Any]:
    """The columns of a row of config `all` that statistics read; numbers vary with ``number``."""
    row = {
        "row_id": f"dw-{number:016x}-0",
        "category": "Creative Writing" if number % 3 else "Speeches",
        "domain": "Literature and Arts" if number % 3 else "Public Life",
        "pii_masked": int(number % 5 == 0),
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
        "thinking_patterns": [{"pattern": "wait", "count": 2}, {"pattern": "也许", "count": 1}],
        "thinking_pattern_count": 3,
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

    def make(configs: Iterable[str] = ("default", "all", "steps", "sft"), validation: int = 0, **rows: int) -> Any:
        from datasets import DatasetInfo, SplitDict, SplitInfo
        from datasets.info import DatasetInfosDict

        made = {}
        for config in configs:
            splits = SplitDict()
            splits.add(SplitInfo(name="train", num_bytes=2048, num_examples=rows.get(config, 5)))
            if validation:
                splits.add(SplitInfo(name="validation", num_bytes=512, num_examples=validation))
            made[config] = DatasetInfo(
                features=features(config),
                splits=splits,
                download_size=1_500_000,
                dataset_size=2048,
                config_name=config,
            )
        return DatasetInfosDict(made)

    return make


def full_row(number: int, **changes: Any) -> dict[str, Any]:
    """A whole row of config `all`."""
    texts = {
        "query": f"Write about lantern {number}.",
        "thinking": "Okay, wait. 也许 the lantern.",
        "answer": "It hung above the door.",
        "category_probability": 0.5,
        "source_id": f"s{number}",
        "provenance": "{}",
        "rollout": 0,
        "scored_tokens": 5,
        "pipeline_version": "0.1.0",
        "initial_thinking": "Okay.",
        "segments": [{"initial": "Okay.", "final": "Okay, wait.", "edited": True}],
    }
    return make_row(number) | texts | changes


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset with a validation split, a dropped row and two licences; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("built") / "my-set"
    rows = [full_row(n, license="mit" if n % 2 else "cc-by-sa-4.0") for n in range(8)]
    rows[3] |= {"keep": False, "drop_reasons": ["copying"], "flags": ["copying"], "copy_ratio": 0.75}
    tables = []
    for config in ("default", "all", "sft"):
        splits = []
        for split, part in (("train", rows[:6]), ("validation", rows[6:])):
            chosen = [row for row in part if row["keep"] or config == "all"]
            records = [
                {
                    column.name: (row | {"messages": [{"role": "user", "content": row["query"]}]})[column.name]
                    for column in CONFIG_COLUMNS[config]
                }
                for row in chosen
            ]
            splits.append(write_split(config, split, records, folder, rows_per_shard=4))
        tables.append(TableFacts(config, tuple(splits)))
    settings = {
        "pretty_name": "My Set",
        "repo_id": "me/my-set",
        "authors": ["Ada Lovelace"],
        "date": "2026-11-26",
        "filters": {"max_copy_ratio": 0.1},
        "changes": ["More lanterns."],
    }
    counts = {"rows": 8, "kept": 7, "dropped": 1, "dropped_by_reason": {"copying": 1}}

    def text(documents: list[FileFacts]) -> str:
        return manifest(
            name="my-set", version="1.1.0", settings=settings, tables=tables, documents=documents, counts=counts
        )

    documents = render_documents(folder, parse_manifest(text([])))
    write_documents(folder, documents)
    (folder / "manifest.json").write_text(text([file_facts(folder / path, folder) for path in documents]), "utf-8")
    return folder


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / built.name))
