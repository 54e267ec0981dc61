from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

#: Pairs that these tests search.
PAIRS = 8


@pytest.fixture(scope="session")
def searched(
    tmp_path_factory: pytest.TempPathFactory, pocket_model: Path, own_pairs: Any, recipe_for: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows that a search of the pocket model has found, annotated and decided about, and the settings of the run."""
    from datatrove.data import Document

    import deepwriting
    from deepwriting.engines.registry import close_engines, get_engine
    from deepwriting.reer.found import Found
    from deepwriting.reer.journal import Journal
    from deepwriting.reer.prompts import load_prompts, prompt_hashes
    from deepwriting.reer.search import LocalSearch
    from deepwriting.schema import pair_id, row_id
    from deepwriting.stages.annotate import annotators
    from deepwriting.stages.decide import Decide

    folder = tmp_path_factory.mktemp("searched")
    recipe, _ = recipe_for(folder / "none.jsonl", pocket_model, build={"max_score": 5.0})
    engine = get_engine(recipe.engines.generator)
    journal = Journal(folder / "journal.jsonl", "x")
    search = LocalSearch([engine], engine, load_prompts("compact"), recipe.search, seed=1, journal=journal)
    steps = [*annotators(recipe.filters), Decide(recipe.build, deepwriting.__version__)]
    rows = []
    for pair in own_pairs(PAIRS):
        key = pair_id(pair["query"], pair["answer"])
        found = asyncio.run(search.search(key, pair["query"], pair["answer"], "en"))
        if not isinstance(found, Found):
            continue
        metadata = {
            "row_id": row_id(key, 0), "query": pair["query"], "thinking": found.thinking, "language": "en",
            "category": "Creative Writing", "domain": "Artistic (Literature & Arts)", "category_probability": 0.75,
            "source": "own", "source_id": pair["id"], "license": "CC0-1.0", "provenance": "{}", "rollout": 0,
            "segments": found.segments, "trace": found.trace, **found.values,
        }  # fmt: skip
        document = Document(pair["answer"], key, metadata=metadata)
        for step in steps:
            step.annotate(document)
        rows.append({"text": document.text, "id": document.id, "metadata": document.metadata})
    journal.close()
    close_engines()
    settings = {
        "recipe": recipe.name,
        "scorer": recipe.engines.scoring.model_dump(include={"engine", "model", "revision", "dtype"}),
        "search": recipe.search.model_dump(exclude={"concurrency"}),
        "filters": recipe.filters.model_dump(),
        "build": recipe.build.model_dump(),
        "prompts": prompt_hashes("compact"),
    }
    return rows, settings


@pytest.fixture(scope="session")
def documents(searched: Any) -> list[dict[str, Any]]:
    """The rows of that search; not to be changed."""
    return searched[0]


@pytest.fixture(scope="session")
def make_dataset(searched: Any) -> Callable[..., Path]:
    """Builds a dataset of documents with that run's settings: ``make_dataset(path, documents, version="1.1.0")``."""
    from deepwriting.builders.build import build_dataset
    from deepwriting.builders.selection import Choice

    def make(
        out: Path,
        documents: Iterable[dict[str, Any]],
        *,
        version: str = "1.0.0",
        validation_rows: int = 0,
        rows_per_shard: int = 1000,
        **settings: Any,
    ) -> Path:
        shard = out.parent / f"{out.name}-shards" / "00000.jsonl.gz"
        shard.parent.mkdir(parents=True)
        with gzip.open(shard, "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(document) + "\n" for document in documents)
        build_dataset(
            [shard],
            out,
            name="small",
            version=version,
            settings=searched[1] | settings,
            choice=Choice(validation_rows=validation_rows),
            rows_per_shard=rows_per_shard,
        )
        return out

    return make


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, make_dataset: Any, documents: list[dict[str, Any]]) -> Path:
    """A dataset of that search with a validation split; not to be changed."""
    return make_dataset(tmp_path_factory.mktemp("built") / "small", documents, validation_rows=1)


@pytest.fixture(scope="session")
def unsplit(tmp_path_factory: pytest.TempPathFactory, make_dataset: Any, documents: list[dict[str, Any]]) -> Path:
    """The same without a validation split; not to be changed."""
    return make_dataset(tmp_path_factory.mktemp("unsplit") / "small", documents)


@pytest.fixture
def dataset(built: Path, tmp_path: Path) -> Path:
    """A copy of that dataset, to be damaged."""
    return Path(shutil.copytree(built, tmp_path / "small"))


@pytest.fixture(scope="session")
def reseal() -> Callable[[Path], None]:
    """Writes the manifest anew for files that somebody has changed: sizes, checksums and rows become theirs."""
    import pyarrow.parquet as pq

    from deepwriting.builders.parquet import file_facts

    def seal(folder: Path) -> None:
        path = folder / "manifest.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        for file in [f for c in content["configs"].values() for f in c["files"]] + content["documents"]:
            facts = file_facts(folder / file["path"], folder)
            file["sha256"], file["bytes"] = facts.sha256, facts.bytes
            if "rows" in file:
                file["rows"] = pq.read_metadata(folder / file["path"]).num_rows
        path.write_text(json.dumps(content), encoding="utf-8")

    return seal


@pytest.fixture(scope="session")
def edit() -> Callable[..., str]:
    """Changes a value in a table: ``edit(folder, "all", score_after=1.0)``; returns the row's id.

    In ``all`` it is the first kept row, elsewhere the first.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def change(folder: Path, config: str, **values: Any) -> str:
        file = min((folder / "data" / config).glob("train-*"))
        table = pq.read_table(file)
        rows = table.to_pylist()
        row = next(at for at, values_ in enumerate(rows) if values_.get("keep", True))
        for name, value in values.items():
            rows[row][name] = value(rows[row][name]) if callable(value) else value
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
        return str(rows[row].get("row_id"))

    return change
