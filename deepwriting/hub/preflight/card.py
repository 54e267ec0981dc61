"""The card: YAML that the Hub and `datasets` read, describing exactly the files that are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from deepwriting.builders.manifest import Manifest
from deepwriting.dataset_cards.check import check_card, parse_yaml
from deepwriting.errors import CardError
from deepwriting.hub.plan import CARD_FILE
from deepwriting.hub.preflight.base import Check, some
from deepwriting.hub.preflight.files import run_of


def check_the_card(folder: Path, manifest: Manifest) -> Check:
    """Whether the card can be read, and its configs are those of the manifest with the same files and rows."""
    repair = f"deepwriting build {run_of(folder)} {folder} writes the card anew"
    if CARD_FILE not in {file.path for file in manifest.documents}:
        return Check("card", "refused", f"the manifest names no {CARD_FILE}", repair)
    try:
        text = (folder / CARD_FILE).read_text(encoding="utf-8")
        check_card(text, folder)
        problems = list(_differences(parse_yaml(text), manifest))
    except UnicodeDecodeError:
        return Check("card", "refused", f"{CARD_FILE} is not UTF-8", repair)
    except CardError as error:
        return Check("card", "refused", str(error), repair)
    if problems:
        return Check("card", "refused", some(problems), repair)
    return Check("card", "ok", f"valid, and its {len(manifest.configs)} configs are the files' and the manifest's")


def _differences(data: dict[str, Any], manifest: Manifest) -> Iterator[str]:
    described = {config["config_name"]: config for config in data["configs"]}
    if described.keys() != manifest.configs.keys():
        yield f"the card has the configs {', '.join(described)}; the manifest has {', '.join(manifest.configs)}"
        return
    everything = [file for config in manifest.configs.values() for file in config.files]
    for name, config in described.items():
        for entry in config["data_files"]:
            patterns = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
            meant = {file.path for file in manifest.configs[name].files if file.split == entry["split"]}
            # Any file of the release counts, so that a pattern which reaches into another config is found too.
            matched = {file.path for file in everything if any(_matches(file.path, pattern) for pattern in patterns)}
            if meant != matched:
                odd = some(sorted(meant ^ matched))
                yield f"config {name!r}, split {entry['split']!r}: the card's files are not the manifest's: {odd}"
    for info in data["dataset_info"] if isinstance(data["dataset_info"], list) else [data["dataset_info"]]:
        name = info.get("config_name")
        rows = {split["name"]: split["num_examples"] for split in info["splits"]}
        listed = {split: found.rows for split, found in manifest.configs[name].splits.items()}
        if rows != listed:
            yield f"config {name!r}: the card says {rows} rows, the manifest {listed}"


def _matches(path: str, pattern: str) -> bool:
    return len(PurePosixPath(path).parts) == len(PurePosixPath(pattern).parts) and PurePosixPath(path).match(pattern)
