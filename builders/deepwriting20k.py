"""The published tables as a `datasets` builder, for reading annotated shards straight into `datasets`.

    builder = DeepWriting20K(config_name="sft", data_files=["runs/demo/annotate/00000.jsonl.gz"])
    builder.download_and_prepare()
    builder.as_dataset(split="train")

``build.py`` writes the release from the same tables with its own Parquet writer: the one in `datasets` offers neither
zstd nor one row group a shard. After ``download_and_prepare(file_format="parquet")`` read the files through
``load_dataset``; ``as_dataset`` raises for that format (`datasets` 5.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import datasets

from deepwriting.builders.features import features
from deepwriting.builders.shards import SortedDocuments
from deepwriting.builders.tables import table
from deepwriting.errors import BuildError

#: Config name -> what its table holds, in a sentence for people who list the configs.
CONFIG_DESCRIPTIONS = {
    "default": "Kept rows: query, thinking, answer, search results and annotations.",
    "all": "Every searched row with its annotations and the decision about it.",
    "steps": "Every candidate of every search step with its score.",
    "sft": "Kept rows as chat messages for supervised fine-tuning.",
}


class DeepWritingConfig(datasets.BuilderConfig):
    """One published table; its ``name`` is ``default``, ``all``, ``steps`` or ``sft``."""


class DeepWriting20K(datasets.GeneratorBasedBuilder):
    """Builds one table from annotated shards given as ``data_files``; rows come in order of row id."""

    BUILDER_CONFIG_CLASS = DeepWritingConfig
    BUILDER_CONFIGS = [  # noqa: RUF012 - the base class declares a plain list
        DeepWritingConfig(name=name, description=text) for name, text in CONFIG_DESCRIPTIONS.items()
    ]
    DEFAULT_CONFIG_NAME = "default"

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(description=self.config.description, features=features(self.config.name))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        if not self.config.data_files:
            raise BuildError(f"data_files is {self.config.data_files!r}; expected annotated shards (*.jsonl.gz)")
        # Not download_and_extract: the shards are read compressed, so that there is one reader for them.
        splits = dl_manager.download(self.config.data_files)
        return [datasets.SplitGenerator(name=name, gen_kwargs={"files": files}) for name, files in splits.items()]

    def _generate_examples(self, files: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        with SortedDocuments(files) as documents:
            yield from enumerate(table(self.config.name, documents))
