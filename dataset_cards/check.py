"""Whether a card is one that the Hub and `datasets` will read: its YAML, and what it says about the files beside it.

The Hub checks a card only when it arrives (``POST /api/validate-yaml``), and some mistakes it never reports: a split
whose pattern matches no file, or a second default config, fails for whoever loads the dataset. Here the card is checked
before anything is sent, without a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from deepwriting.dataset_cards.licences import HUB_LICENCES
from deepwriting.dataset_cards.metadata import DEFAULT_CONFIG, LARGEST, SIZE_CATEGORIES
from deepwriting.errors import CardError

#: What ``license`` may be beside the Hub's identifiers.
_OTHER_LICENCES = ("other", "unknown")
#: Language tags: ISO 639 in two or three letters, with subtags.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*|code|multilingual")
#: Names of configs and splits: what `datasets` accepts, without anything that leaves the folder.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
#: Keys whose value is a list of strings, or a single one.
_TEXT_LISTS = ("language", "license", "size_categories", "task_categories", "tags", "source_datasets")
#: Keys without which our card is not complete.
_REQUIRED = (*_TEXT_LISTS, "pretty_name", "configs", "dataset_info")


def check_card(text: str, folder: Path | None = None) -> None:
    """Refuse a card that the Hub or `datasets` would not read, or that is not complete.

    Args:
        text: content of the README.md.
        folder: folder of the dataset; where given, every pattern of ``configs`` has to match a file in it.

    Raises:
        CardError: naming the first thing that is wrong, its value, and what is allowed.
    """
    data = parse_yaml(text)
    missing = [key for key in _REQUIRED if not data.get(key)]
    if missing:
        raise CardError(f"the card's YAML lacks {', '.join(missing)}")
    for key in _TEXT_LISTS:
        _check_texts(key, data[key])
    if not isinstance(data["pretty_name"], str):
        raise CardError(f"the card's pretty_name is {data['pretty_name']!r}; expected a text")
    _check_values(data)
    splits = dict(_splits(data["configs"], folder))
    _check_infos(data["dataset_info"], splits)
    _check_readable(text)


def parse_yaml(text: str) -> dict[str, Any]:
    """The card's YAML block as a mapping.

    Args:
        text: content of the README.md.

    Raises:
        CardError: if there is no block, it is not valid YAML, holds a key twice, or is no mapping.
    """
    import yaml
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    block = REGEX_YAML_BLOCK.search(text)
    if block is None:
        raise CardError("the card has no YAML block: expected --- on its first line and again behind the block")
    try:
        loader = yaml.SafeLoader(block.group(2))
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # The block starts below the line of dashes, and lines count from 1.
        where = f"line {mark.line + 2}: " if mark else ""
        raise CardError(f"the card's YAML is not valid: {where}{getattr(error, 'problem', error)}") from error
    if not isinstance(data, dict):
        raise CardError(f"the card's YAML block is {type(data).__name__}; expected keys with values")
    _refuse_repeated(node)
    return data


def _refuse_repeated(node: Any) -> None:
    """YAML forbids a key that stands twice, but the parser keeps the last one without a word; the Hub refuses it."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise CardError(f"the card's YAML is not valid: line {key.start_mark.line + 2}: {name!r} stands twice")
            seen.add(name)
            _refuse_repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated(item)


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _check_texts(key: str, value: Any) -> None:
    for item in _texts(value):
        # YAML reads no, 1.0 and 2026-11-26 as other things than texts.
        if not isinstance(item, str) or not item.strip():
            raise CardError(
                f"the card's {key} holds {item!r}; expected a text (in quotes where YAML reads another type)"
            )


def _check_values(data: Mapping[str, Any]) -> None:
    for licence in _texts(data["license"]):
        if licence not in HUB_LICENCES and licence not in _OTHER_LICENCES:
            raise CardError(
                f"the card's license is {licence!r}; allowed are the Hub's identifiers such as cc-by-4.0, or `other` "
                "with a license_name"
            )
    if data["license"] == "other" and not isinstance(data.get("license_name"), str):
        raise CardError(
            f"the card's license is other and its license_name {data.get('license_name')!r}; expected a text"
        )
    for language in _texts(data["language"]):
        if not _LANGUAGE.fullmatch(language):
            raise CardError(f"the card's language is {language!r}; expected ISO 639 codes such as en or zh")
    sizes = [name for _, name in SIZE_CATEGORIES] + [LARGEST]
    for size in _texts(data["size_categories"]):
        if size not in sizes:
            raise CardError(f"the card's size_categories hold {size!r}; allowed are {', '.join(sizes)}")


def _records(key: str, value: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(value, (list, dict)):
        raise CardError(f"the card's {key} is {value!r}; expected a list of records with config_name")
    for item in _texts(value):
        name = item.get("config_name") if isinstance(item, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise CardError(
                f"the card's {key} holds the config_name {name!r}; allowed are letters, digits, '_', '-' and '.'"
            )
        yield item


def _splits(configs: Any, folder: Path | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Config -> its splits."""
    seen: set[str] = set()
    defaults: list[str] = []
    for config in _records("configs", configs):
        name = config["config_name"]
        if name in seen:
            raise CardError(f"the card's configs name {name!r} twice")
        seen.add(name)
        if config.get("default"):
            defaults.append(name)
        entries = config.get("data_files")
        if not isinstance(entries, list) or not entries:
            raise CardError(f"the card's config {name!r} has the data_files {entries!r}; expected splits with paths")
        yield name, tuple(_split(name, entry, folder) for entry in entries)
    if len(defaults) > 1:
        raise CardError(f"the card's configs have {len(defaults)} defaults: {', '.join(defaults)}; allowed is one")


def _split(config: str, entry: Any, folder: Path | None) -> str:
    split = entry.get("split") if isinstance(entry, dict) else None
    if not isinstance(split, str) or not _NAME.fullmatch(split):
        raise CardError(f"the card's config {config!r} has the split {split!r}; expected a name such as train")
    for path in _texts(entry.get("path")):
        if not isinstance(path, str) or not path:
            raise CardError(f"the card's config {config!r}, split {split!r}, has the path {path!r}; expected a text")
        if path.startswith("/") or ".." in PurePosixPath(path).parts or "\\" in path or "://" in path:
            raise CardError(f"the card's config {config!r} names {path!r}, which is not inside of the dataset's folder")
        if folder is not None and not any(found.is_file() for found in folder.glob(path)):
            raise CardError(f"the card's config {config!r}, split {split!r}: no file in {folder} matches {path!r}")
    return split


def _check_infos(infos: Any, splits: Mapping[str, tuple[str, ...]]) -> None:
    if isinstance(infos, dict):
        # `datasets` writes a single config, if it is the default one, without a list and without its name.
        infos = {"config_name": DEFAULT_CONFIG, **infos}
    described = {info["config_name"]: info for info in _records("dataset_info", infos)}
    if described.keys() != splits.keys():
        raise CardError(
            f"the card's dataset_info describes {', '.join(sorted(described))}, its configs {', '.join(sorted(splits))}"
        )
    for config, info in described.items():
        found = info.get("splits")
        found = found if isinstance(found, list) else []
        names = [split.get("name") if isinstance(split, dict) else None for split in found]
        if names != list(splits[config]):
            raise CardError(
                f"the card's dataset_info gives {config!r} the splits {names}, its configs {splits[config]}"
            )
        for split in found:
            rows = split.get("num_examples")
            if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
                raise CardError(
                    f"the card gives {config!r}, split {split['name']!r}, {rows!r} rows; expected at least 1"
                )


def _check_readable(text: str) -> None:
    """Have `huggingface_hub` and `datasets` read the block with their own classes."""
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard

    try:
        data = DatasetCard(text).data
        MetadataConfigs.from_dataset_card_data(data)
        DatasetInfosDict.from_dataset_card_data(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CardError(f"the card's YAML cannot be read by `datasets`: {error}") from error
