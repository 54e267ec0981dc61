"""The YAML block of the card: what the Hub and ``load_dataset`` read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from deepwriting.dataset_cards.statistics import Statistics

#: Licence identifiers that the Hub accepts and that sources of writing use
#: (https://huggingface.co/docs/hub/repositories-licenses); any other one is published as ``other`` with its name.
HUB_LICENCES = frozenset(
    (
        "apache-2.0",
        "mit",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "odc-by",
        "odbl",
        "pddl",
        "gfdl",
        "gpl-3.0",
        "lgpl-3.0",
        "mpl-2.0",
        "artistic-2.0",
        "wtfpl",
        "unlicense",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "cdla-sharing-1.0",
    )
)
#: Upper bounds of the Hub's size categories (rows, exclusive).
SIZE_CATEGORIES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
)
#: Tags that make the dataset findable.
TAGS = ("reer", "deep-reasoning", "writing", "synthetic")


def size_category(rows: int) -> str:
    """The Hub's size category for a number of rows."""
    return next((name for limit, name in SIZE_CATEGORIES if rows < limit), "100M<n<1B")


def licence_fields(licences: Iterable[str]) -> dict[str, str]:
    """``license`` and, where the Hub has no identifier for it, ``license_name``.

    Args:
        licences: licences of the published rows.

    Returns:
        The identifier of the only licence, or ``other`` with the names of all.
    """
    names = sorted(set(licences))
    if len(names) == 1 and names[0].lower() in HUB_LICENCES:
        return {"license": names[0].lower()}
    slugs = [re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") for name in names]
    return {"license": "other", "license_name": "-and-".join(slug or "unnamed" for slug in slugs)}


def card_data(statistics: Statistics, settings: Mapping[str, Any], *, name: str, infos: Any) -> Any:
    """The card's metadata.

    Args:
        statistics: statistics of the rows.
        settings: may hold ``pretty_name`` and ``source_datasets`` (list of Hub ids).
        name: name of the dataset.
        infos: ``DatasetInfosDict`` with features, splits and sizes of every config.

    Returns:
        A ``DatasetCardData`` with ``configs`` and ``dataset_info``, so that ``load_dataset`` works from the folder.
    """
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    # The dropped rows are published too, in config `all`, so every licence counts.
    licence = licence_fields(found for _, found in statistics.sources)
    extra: dict[str, Any] = {key: value for key, value in licence.items() if key != "license"}
    data = DatasetCardData(
        license=licence["license"],
        language=sorted(statistics.languages),
        pretty_name=settings.get("pretty_name", name),
        size_categories=[size_category(statistics.kept.rows)],
        task_categories=["text-generation"],
        annotations_creators=["machine-generated"],
        multilinguality=["monolingual" if len(statistics.languages) == 1 else "multilingual"],
        source_datasets=list(settings.get("source_datasets", ["extended"])),
        tags=list(TAGS),
        **extra,
    )
    configs = {
        config: {"data_files": [{"split": "train", "path": f"data/{config}/train-*"}]}
        | ({"default": True} if config == "default" else {})
        for config in infos
    }
    MetadataConfigs(configs).to_dataset_card_data(data)
    infos.to_dataset_card_data(data)
    return data
