"""Everything in a dataset's folder that is not data, made from the data: card, plots and Croissant metadata.

    Parquet files + manifest → README.md, assets/*.png, croissant.json

Nothing else goes in, so whoever has the release can make the documents again and compare them byte for byte. Numbers,
types and sizes come from the Parquet files; the manifest gives what they cannot tell: name, version, settings, the
documentation of the columns. The bytes depend on the version of deepwriting, which the manifest names, and those of the
plots on the version of matplotlib, which stands in them (``drawn_with``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deepwriting.builders.manifest import Manifest, ManifestConfig, check_inside
from deepwriting.builders.parquet import FileFacts
from deepwriting.builders.staging import MANIFEST_FILE
from deepwriting.dataset_cards.card import citation, render_card
from deepwriting.dataset_cards.croissant import CROISSANT_FILE, croissant
from deepwriting.dataset_cards.plots import draw_plots
from deepwriting.dataset_cards.statistics import DECISION, STATISTICS_COLUMNS, Statistics, summarise
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_PURPOSE

#: Name of the card inside of the dataset's folder.
CARD_FILE = "README.md"
#: Folder of the plots.
ASSETS = "assets"
#: Configs that hold what the statistics need; the first that is published is taken.
STATISTICS_CONFIGS = ("all", "default")


def render_documents(folder: Path, manifest: Manifest, statistics: Statistics | None = None) -> dict[str, bytes]:
    """Make all documents of a dataset from its Parquet files and its manifest.

    Args:
        folder: folder of the dataset; only the Parquet files that the manifest names are read.
        manifest: its manifest; ``documents`` and ``counts`` are not looked at.
        statistics: of ``published_rows``, where they are known already.

    Returns:
        Path inside of the folder -> content.

    Raises:
        BuildError: if no published config has the statistics' columns, no row is kept, a file cannot be read or holds
            another number of rows than the manifest says, or the card would not be valid (``CardError``).
    """
    configs = _ordered(manifest.configs)
    source = next((config for config in STATISTICS_CONFIGS if config in configs), None)
    if source is None:
        raise BuildError(
            f"the dataset has the configs {', '.join(configs) or 'none'}; a card is made from "
            f"{' or '.join(STATISTICS_CONFIGS)}"
        )
    infos = _infos(folder, configs)
    if statistics is None:
        statistics = summarise(published_rows(folder, source, configs[source].files))
    settings, schema = manifest.settings, manifest.schema
    thresholds = settings.get("filters")
    plots = draw_plots(statistics, thresholds if isinstance(thresholds, Mapping) else None)
    card = render_card(
        statistics,
        settings,
        name=manifest.name,
        version=manifest.version,
        deepwriting_version=manifest.deepwriting_version,
        infos=infos,
        schema=schema,
        shared_requests=_shared_requests(folder, configs[source].files),
        plots=tuple(plots),
    )
    metadata = croissant(
        statistics,
        settings,
        name=manifest.name,
        version=manifest.version,
        citation=citation(settings, name=manifest.name, version=manifest.version),
        infos=infos,
        schema=schema,
        files={config: found.files for config, found in configs.items()},
    )
    texts = {CARD_FILE: card.encode(), CROISSANT_FILE: metadata.encode()}
    return texts | {f"{ASSETS}/{plot.file}": content for plot, content in plots.items()}


def published_rows(folder: Path, config: str, files: Iterable[FileFacts]) -> Iterator[dict[str, Any]]:
    """Rows as published, float32 rounding included, with the columns that ``summarise`` reads.

    Args:
        folder: folder of the dataset.
        config: ``all``, or another config with the columns of ``default``, whose rows then count as kept.
        files: its Parquet files.

    Raises:
        BuildError: if a file cannot be read or lacks a column.
    """
    decided = config == STATISTICS_CONFIGS[0]
    wanted = [column for column in STATISTICS_COLUMNS if decided or column not in DECISION]
    for file in files:
        with _parquet(folder, file.path) as parquet:
            missing = set(wanted) - set(parquet.schema_arrow.names)
            if missing:
                raise BuildError(f"{file.path} lacks the columns {', '.join(sorted(missing))}")
            for batch in parquet.iter_batches(columns=wanted):
                for row in batch.to_pylist():
                    yield row if decided else {**row, "keep": True, "drop_reasons": []}


def _shared_requests(folder: Path, files: Iterable[FileFacts]) -> int:
    """How many requests stand in more than one split: the card says so, and the answer should be none."""
    splits: dict[str, set[bytes]] = {}
    for file in files:
        seen = splits.setdefault(file.split, set())
        with _parquet(folder, file.path) as parquet:
            for batch in parquet.iter_batches(columns=["query"]):
                # Digests instead of texts: the requests of a whole dataset need not fit into memory.
                seen.update(hashlib.blake2b(query.encode(), digest_size=16).digest() for query in batch[0].to_pylist())
    everywhere = [request for seen in splits.values() for request in seen]
    return len(everywhere) - len(set(everywhere))


def drawn_with(content: bytes) -> str:
    """The program that drew a plot, such as ``matplotlib 3.11.2``; empty when the file does not tell.

    Another version may draw the same numbers with other bytes, so this tells whether bytes can be compared at all.

    Args:
        content: content of a PNG file.
    """
    found = re.search(rb"tEXtSoftware\x00([\x20-\x7e]+)", content[:1024])
    return found.group(1).decode("ascii") if found else ""


def _parquet(folder: Path, path: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_inside(path, MANIFEST_FILE)
    try:
        return pq.ParquetFile(folder / path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BuildError(f"{path} cannot be read: {error}") from error


def _ordered(configs: Mapping[str, ManifestConfig]) -> dict[str, ManifestConfig]:
    """Configs in the order of the schema; JSON sorts the manifest's keys."""
    known = [config for config in CONFIG_PURPOSE if config in configs]
    return {config: configs[config] for config in (*known, *sorted(configs.keys() - set(known)))}


def _infos(folder: Path, configs: Mapping[str, ManifestConfig]) -> Any:
    """What the card's YAML tells `datasets` about every config: features, rows and sizes."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict

    infos = {}
    for config, told in configs.items():
        rows = dict.fromkeys(sorted(told.splits), 0)
        size, features = 0, None
        for file in told.files:
            with _parquet(folder, file.path) as parquet:
                if parquet.metadata.num_rows != file.rows:
                    raise BuildError(
                        f"{file.path} holds {parquet.metadata.num_rows} rows; the manifest says {file.rows}"
                    )
                features = _features(parquet.schema_arrow, file.path, features)
            rows[file.split] += file.rows
            size += (folder / file.path).stat().st_size
        splits = SplitDict()
        for split, found in rows.items():
            splits.add(SplitInfo(name=split, num_bytes=told.splits[split].arrow_bytes, num_examples=found))
        infos[config] = DatasetInfo(
            features=features,
            splits=splits,
            download_size=size,
            dataset_size=sum(split.arrow_bytes for split in told.splits.values()),
            config_name=config,
        )
    return DatasetInfosDict(infos)


def _features(schema: Any, path: str, before: Any) -> Any:
    from datasets import Features

    found = Features.from_arrow_schema(schema)
    if before is not None and found != before:
        raise BuildError(f"{path} has other columns or types than the files of the same config before it")
    return found


def revise(folder: Path, **changes: Any) -> Manifest:
    """Give a built dataset other facts and make its documents anew; the Parquet files stay as they are.

    Args:
        folder: folder of the dataset.
        changes: settings of the manifest to replace, such as ``repo_id``, ``changes`` or ``history``; None removes one.

    Returns:
        The new manifest.

    Raises:
        BuildError: as for ``render_documents``; nothing is written then.
    """
    from deepwriting.builders.manifest import parse_manifest, plain_settings
    from deepwriting.builders.parquet import file_facts

    path = folder / MANIFEST_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    merged = {**content["settings"], **changes}
    content["settings"] = plain_settings({key: value for key, value in merged.items() if value is not None})
    documents = render_documents(folder, parse_manifest(json.dumps(content)))
    for old in content["documents"]:
        check_inside(old["path"], MANIFEST_FILE)
        if old["path"] not in documents:
            (folder / old["path"]).unlink(missing_ok=True)
    write_documents(folder, documents)
    facts = [file_facts(folder / name, folder) for name in documents]
    content["documents"] = [{"path": fact.path, "sha256": fact.sha256, "bytes": fact.bytes} for fact in facts]
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
    return parse_manifest(text)


def write_documents(folder: Path, documents: Mapping[str, bytes]) -> None:
    """Write documents, as ``render_documents`` makes them, into a dataset's folder."""
    for name, content in documents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
