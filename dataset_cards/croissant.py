"""Croissant metadata (croissant.json): files with checksums, tables and columns, for tools that are not `datasets`.

    distribution   every Parquet file with its size and checksum; one set of files a config
    recordSet      one a config: its columns with types and documentation, and the split that a row comes from

Written by hand rather than by `mlcroissant`, which is no dependency: the format is JSON, and the same dataset gives the
same bytes. The tests read and validate it with `mlcroissant`. The format is Croissant 1.1 of MLCommons
(http://mlcommons.org/croissant/1.1); names of files are relative to croissant.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deepwriting.builders.parquet import FileFacts
from deepwriting.dataset_cards.licences import licence_url
from deepwriting.dataset_cards.markdown import count
from deepwriting.dataset_cards.metadata import TAGS, data_files
from deepwriting.dataset_cards.statistics import Statistics
from deepwriting.errors import BuildError

#: Name of the file inside of the dataset's folder.
CROISSANT_FILE = "croissant.json"
#: The type of a Parquet file as the specification's examples and `mlcroissant` write it; they do not know the one that
#: is registered (application/vnd.apache.parquet).
PARQUET = "application/x-parquet"
#: `datasets` types as Croissant names them.
DATA_TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "int32": "cr:Int32",
    "int64": "cr:Int64",
    "float32": "cr:Float32",
    "float64": "cr:Float64",
}
#: Croissant's own terms, which its JSON-LD context maps into its namespace ``cr``.
_TERMS = (
    "arrayShape",
    "citeAs",
    "column",
    "containedIn",
    "equivalentProperty",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isArray",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
)


def _context() -> dict[str, Any]:
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "dct": "http://purl.org/dc/terms/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "sc": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "description": {"@container": "@language"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "name": {"@container": "@language"},
        **{term: f"cr:{term}" for term in _TERMS},
    }


def croissant(
    statistics: Statistics,
    settings: Mapping[str, Any],
    *,
    name: str,
    version: str,
    citation: str,
    infos: Mapping[str, Any],
    schema: Mapping[str, Sequence[Any]],
    files: Mapping[str, Sequence[FileFacts]],
) -> str:
    """Text of the dataset's croissant.json.

    Args:
        statistics: statistics of the rows.
        settings: may hold ``repo_id``, ``authors`` and ``date``; what is missing is left out.
        name: name of the dataset.
        version: version of the dataset.
        citation: BibTeX entry.
        infos: config -> `datasets` ``DatasetInfo`` with features and splits.
        schema: config -> documentation of its columns (``name`` and ``doc``).
        files: config -> its Parquet files with checksums.

    Returns:
        JSON with sorted keys, ending in a newline.
    """
    repository = settings.get("repo_id")
    content = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": name,
        "version": version,
        "description": _description(statistics),
        "citeAs": citation,
        "license": sorted({licence_url(licence) or licence for _, licence in statistics.sources}),
        "inLanguage": sorted(statistics.languages),
        "keywords": list(TAGS),
        "isLiveDataset": False,
        "distribution": [
            *(_file(file) for config in infos for file in files[config]),
            *(_file_set(config, infos[config].splits) for config in infos),
        ],
        "recordSet": [_record_set(config, infos[config], schema.get(config, ())) for config in infos],
    }
    optional = {
        "url": f"https://huggingface.co/datasets/{repository}" if repository else None,
        "creator": [{"@type": "sc:Person", "name": author} for author in settings.get("authors") or []],
        "datePublished": settings.get("date"),
    }
    content |= {key: value for key, value in optional.items() if value}
    content |= {f"rai:{term}": text for term, text in _notes(statistics).items()}
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _description(statistics: Statistics) -> str:
    kept = statistics.kept
    return (
        f"{count(kept.rows)} writing requests, each with a known-good answer and a thinking text that leads from the "
        "one to the other. The thinking was searched for backwards from the answer, by edits that make the answer less "
        "surprising to a language model (reverse-engineered reasoning, REER). "
        f"{count(statistics.everything.rows)} rows were searched; scores, perplexities and annotations are columns."
    )


def _notes(statistics: Statistics) -> dict[str, str]:
    """What Croissant's vocabulary for responsible AI asks about, in a sentence each."""
    kept = statistics.kept
    return {
        "dataCollection": "Requests and answers come from the sources that the card lists; the thinking was written by "
        "a language model that saw the answer, and edited by a local search that lowers the answer's perplexity.",
        "dataBiases": "Categories, sources and languages are uneven, as the card's tables show. The answers carry the "
        "views and errors of their sources; kept rows passed filters.",
        "dataLimitations": "The thinking is a reconstruction and not how the author worked. A low perplexity under one "
        "scorer is not quality. Not meant as an evaluation set.",
        "personalSensitiveInformation": f"Personal data was replaced by placeholders in {count(kept.pii_masked)} kept "
        "rows; no filter finds every case.",
    }


def _file(file: FileFacts) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path.rpartition("/")[2],
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": PARQUET,
        "sha256": file.sha256,
    }


def _file_set(config: str, splits: Iterable[str]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _file_set_id(config),
        "name": _file_set_id(config),
        "description": f"The Parquet files of config {config}.",
        "encodingFormat": PARQUET,
        "includes": [f"{data_files(config, split)}.parquet" for split in splits],
    }


def _file_set_id(config: str) -> str:
    return f"files-of-{config}"


def _record_set(config: str, info: Any, documented: Sequence[Any]) -> dict[str, Any]:
    docs = {column.name: column.doc for column in documented}
    rows = ", ".join(f"{split.name} {split.num_examples} rows" for split in info.splits.values())
    split = {
        "@type": "cr:Field",
        "@id": f"{config}/split",
        "name": "split",
        "description": "The split that the row belongs to, from the name of its file.",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": _file_set_id(config)},
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": rf"^.*data/{config}/([^/]+)-\d{{5}}-of-\d{{5}}\.parquet$"},
        },
    }
    fields = [_field(config, name, feature, docs.get(name, "")) for name, feature in info.features.items()]
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": f"Config {config}: {rows}.",
        "field": [split, *fields],
    }


def _field(config: str, column: str, feature: Any, doc: str) -> dict[str, Any]:
    """A column: a value, a list of values, or a list of records, whose fields are found by their path."""
    source = {"fileSet": {"@id": _file_set_id(config)}, "extract": {"column": column}}
    field = {"@type": "cr:Field", "@id": f"{config}/{column}", "name": column, "description": doc}
    inner = getattr(feature, "feature", None)
    if inner is not None:
        field |= {"isArray": True, "arrayShape": "-1"}
        feature = inner
    if not isinstance(feature, dict):
        return field | {"dataType": _data_type(config, column, feature), "source": source}
    field["subField"] = [
        {
            "@type": "cr:Field",
            "@id": f"{config}/{column}/{name}",
            "name": name,
            "dataType": _data_type(config, f"{column}.{name}", kind),
            "source": source | {"transform": {"jsonPath": name}},
        }
        for name, kind in feature.items()
    ]
    return field


def _data_type(config: str, column: str, feature: Any) -> str:
    dtype = getattr(feature, "dtype", None)
    if dtype not in DATA_TYPES:
        raise BuildError(f"config {config}, column {column}: Croissant has no type for {feature}")
    return DATA_TYPES[dtype]
