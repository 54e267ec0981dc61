from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepwriting.builders.features import features
from deepwriting.errors import BuildError

Maker = Callable[..., dict[str, Any]]
Writer = Callable[..., Path]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    yield
    if shown:
        datasets.enable_progress_bars()


def builder(tmp_path: Path, config: str, files: list[str], **options: Any) -> Any:
    from deepwriting.builders.deepwriting20k import DeepWriting20K

    return DeepWriting20K(config_name=config, data_files=files or None, cache_dir=str(tmp_path / "cache"), **options)


@pytest.mark.parametrize(
    ("config", "rows"),
    [
        ("default", 2), ("all", 3), ("steps", 12), ("preferences", 2), ("sft", 2), ("sft-reasoning", 2), ("verl", 2),
        ("initial", 2), ("no-reflection", 2),
    ],
)  # fmt: skip
def test_builder_prepares_every_config(tmp_path: Path, document: Maker, shards: Writer, config: str, rows: int) -> None:
    documents = [document(n, keep=n > 0) for n in range(3)]
    folder = shards(tmp_path / "in", documents)
    made = builder(tmp_path, config, [str(path) for path in sorted(folder.iterdir())])
    made.download_and_prepare()
    found = made.as_dataset(split="train")
    assert len(found) == rows
    assert found.features == features(config)
    ids = [row.get("row_id") or row["extra_info"]["index"] for row in found]
    # Number 1 is of source `lanterns`, the others of `letters`.
    order = [documents[n]["metadata"]["row_id"] for n in (1, 0, 2)]
    assert ids == sorted(ids, key=order.index)


def test_builder_parts_short_from_long_and_train_from_validation(
    tmp_path: Path, document: Maker, shards: Writer
) -> None:
    files = [str(path) for path in shards(tmp_path / "in", [document(n) for n in range(8)]).iterdir()]
    lengths = {}
    for config in ("short", "long"):
        made = builder(tmp_path, config, files, downsample=0.0)
        made.download_and_prepare()
        lengths[config] = sorted(made.as_dataset(split="train")["thinking_tokens_after"])
    assert lengths == {"short": [150, 152, 154, 156], "long": [158, 160, 162, 164]}
    made = builder(tmp_path, "default", files, validation_rows=3)
    made.download_and_prepare()
    found = made.as_dataset()
    assert {split: len(rows) for split, rows in found.items()} == {"train": 5, "validation": 3}
    with pytest.raises(BuildError, match="data_files has splits of its own, \\['test'\\]"):
        builder(tmp_path, "default", {"test": files}, validation_rows=3).download_and_prepare()  # type: ignore[arg-type]


def test_parquet_from_the_builder_is_read_with_load_dataset(tmp_path: Path, document: Maker, shards: Writer) -> None:
    from datasets import load_dataset

    folder = shards(tmp_path / "in", [document(n) for n in range(4)], shards=1)
    made = builder(tmp_path, "sft", [str(path) for path in folder.iterdir()])
    made.download_and_prepare(str(tmp_path / "out"), file_format="parquet")
    found = load_dataset(
        "parquet", data_files=str(tmp_path / "out" / "*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(found) == 4
    assert found.features == features("sft")


def test_configs_are_the_published_ones() -> None:
    from deepwriting.builders.deepwriting20k import DeepWriting20K
    from deepwriting.schema import CONFIG_COLUMNS

    assert set(DeepWriting20K.builder_configs) == set(CONFIG_COLUMNS)
    assert all(config.description for config in DeepWriting20K.BUILDER_CONFIGS)


def test_builder_without_files_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="expected annotated shards"):
        builder(tmp_path, "default", []).download_and_prepare()
