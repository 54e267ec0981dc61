"""The YAML block of the card: what the Hub and ``load_dataset`` read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepwriting.dataset_cards.licences import licence_fields
from deepwriting.dataset_cards.statistics import Statistics

#: Upper bounds of the Hub's size categories (rows, exclusive).
SIZE_CATEGORIES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
)
#: Size category of what is larger than all of them.
LARGEST = "1B<n<10B"
#: What the Hub files the dataset under.
TASKS = ("text-generation",)
#: Tags that make the dataset findable.
TAGS = (
    "reer",
    "deep-reasoning",
    "chain-of-thought",
    "writing",
    "creative-writing",
    "long-form-generation",
    "synthetic",
    "deepwriting",
)
#: The config that ``load_dataset`` takes when none is named.
DEFAULT_CONFIG = "default"


def size_category(rows: int) -> str:
    """The Hub's size category for a number of rows."""
    return next((name for limit, name in SIZE_CATEGORIES if rows < limit), LARGEST)


def data_files(config: str, split: str) -> str:
    """Pattern of the Parquet files of one split, as the card's YAML names them."""
    return f"data/{config}/{split}-*"


def card_data(statistics: Statistics, settings: Mapping[str, Any], *, name: str, infos: Any) -> Any:
    """The card's metadata.

    Args:
        statistics: statistics of the rows.
        settings: may hold ``pretty_name`` and ``source_datasets`` (list of Hub ids).
        name: name of the dataset.
        infos: ``DatasetInfosDict`` with features, splits and sizes of every config; the first one is the default where
            none is called so.

    Returns:
        A ``DatasetCardData`` with ``configs`` and ``dataset_info``, so that ``load_dataset`` works from the folder.
    """
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    # The dropped rows are published too, in config `all`, so every licence counts.
    fields: dict[str, Any] = licence_fields(found for _, found in statistics.sources)
    data = DatasetCardData(
        language=sorted(statistics.languages),
        pretty_name=settings.get("pretty_name") or name,
        size_categories=[size_category(statistics.kept.rows)],
        task_categories=list(TASKS),
        annotations_creators=["machine-generated"],
        language_creators=["found", "machine-generated"],
        multilinguality=["monolingual" if len(statistics.languages) == 1 else "multilingual"],
        source_datasets=list(settings.get("source_datasets") or ["extended"]),
        tags=list(TAGS),
        **fields,
    )
    default = DEFAULT_CONFIG if DEFAULT_CONFIG in infos else next(iter(infos))
    configs = {
        config: {"data_files": [{"split": split, "path": data_files(config, split)} for split in info.splits]}
        | ({"default": True} if config == default else {})
        for config, info in infos.items()
    }
    MetadataConfigs(configs).to_dataset_card_data(data)
    infos.to_dataset_card_data(data)
    return data
