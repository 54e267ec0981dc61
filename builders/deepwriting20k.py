"""The published tables as a `datasets` builder, for reading annotated shards straight into `datasets`.

    shards = ["runs/demo/build/shards/00000.jsonl.gz"]
    builder = DeepWriting20K(config_name="sft", data_files=shards, validation_share=0.02)
    builder.download_and_prepare()
    builder.as_dataset(split="train")

``build.py`` writes the release from the same tables with its own Parquet writer: the one in `datasets` offers neither
zstd nor one row group a shard. After ``download_and_prepare(file_format="parquet")`` read the files through
``load_dataset``; ``as_dataset`` raises for that format (`datasets` 5.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import datasets

from deepwriting.builders.features import features
from deepwriting.builders.selection import Choice, Selection
from deepwriting.builders.shards import SortedDocuments
from deepwriting.builders.tables import table
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_PURPOSE, TRAIN, VALIDATION
from deepwriting.sections.outcome import DOWNSAMPLE, FiltersSection


@dataclass
class DeepWritingConfig(datasets.BuilderConfig):
    """One published table; its ``name`` is one of ``schema.CONFIG_COLUMNS``.

    The shards do not tell with which prompts they were searched: for ``no-reflection`` name those of such a run.

    Attributes:
        validation_share: share of the queries that go to split ``validation`` (0 to 0.5).
        validation_rows: instead of a share, the number of kept rows in it.
        downsample: share of the long rows in ``short`` and of the short rows in ``long`` (0 to 1).
        filters: thresholds by which ``initial`` is measured, as in a recipe; None means the defaults.
    """

    validation_share: float = 0.0
    validation_rows: int = 0
    downsample: float = DOWNSAMPLE
    filters: Mapping[str, Any] | None = None

    @property
    def choice(self) -> Choice:
        """The choices about splits and downsampling, checked."""
        return Choice(self.validation_share, self.validation_rows, self.downsample)


class DeepWriting20K(datasets.GeneratorBasedBuilder):
    """Builds one table from annotated shards given as ``data_files``; rows come in a release's order."""

    BUILDER_CONFIG_CLASS = DeepWritingConfig
    BUILDER_CONFIGS = [  # noqa: RUF012 - the base class declares a plain list
        DeepWritingConfig(name=name, description=text) for name, text in CONFIG_PURPOSE.items()
    ]
    DEFAULT_CONFIG_NAME = "default"

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(description=self.config.description, features=features(self.config.name))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        if not self.config.data_files:
            raise BuildError(f"data_files is {self.config.data_files!r}; expected annotated shards (*.jsonl.gz)")
        choice = self.config.choice
        # Not download_and_extract: the shards are read compressed, so that there is one reader for them.
        found = dl_manager.download(self.config.data_files)
        if not choice.validates:
            return [datasets.SplitGenerator(name=name, gen_kwargs={"files": files}) for name, files in found.items()]
        if list(found) != [TRAIN]:
            raise BuildError(
                f"data_files has splits of its own, {list(found)}, so there is no further one to split off"
            )
        return [
            datasets.SplitGenerator(name=name, gen_kwargs={"files": found[TRAIN], "split": name})
            for name in (TRAIN, VALIDATION)
        ]

    def _generate_examples(self, files: list[str], split: str = TRAIN) -> Iterator[tuple[int, dict[str, Any]]]:
        filters = FiltersSection.model_validate(self.config.filters or {})
        with SortedDocuments(files) as documents:
            found = Selection(documents, self.config.choice).documents(self.config.name, split)
            yield from enumerate(table(self.config.name, found, filters))
