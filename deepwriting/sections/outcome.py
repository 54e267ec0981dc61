"""Sections about the result: the dataset's name, thresholds, and what is kept."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field, field_validator, model_validator

from deepwriting.metrics.copying import MAX_COPIED_RUN, MAX_COPY_RATIO, MIN_RUN
from deepwriting.metrics.repetition import MAX_TOP_SHARE, NGRAM_SIZE
from deepwriting.metrics.thinking_patterns import TAIL_FRACTION
from deepwriting.schema import CONFIG_COLUMNS, REQUIRED_CONFIGS
from deepwriting.sections.base import Flag, Positive, Section, Share

#: Share of the long rows in config ``short``, and of the short ones in ``long``. The paper downsamples both (Table 2)
#: and does not say to what share: this one is ours.
DOWNSAMPLE = 0.25
#: Largest share of the queries that may be held out for validation.
MAX_VALIDATION_SHARE = 0.5

#: Rows in one Parquet file. A change rewrites the number columns of every shard that it touches, since these hardly
#: compress: with 200 of 20,000 rows changed and 200 added, 2,500 rows a shard cost 4.3 % of the dataset in new bytes,
#: 10,000 cost 6.6 % (benchmarks/release_bytes.py).
ROWS_PER_SHARD = 2_500


class DatasetSection(Section):
    """What the dataset is called, and what its card tells beside the numbers."""

    name: str = Field(
        "deepwriting-20k", pattern=r"^[a-z0-9]([a-z0-9._-]{0,94}[a-z0-9])?$", description="folder and dataset name"
    )
    version: str = Field("0.1.0", pattern=r"^\d+\.\d+\.\d+$", description="version of the dataset")
    pretty_name: str = Field("DeepWriting-20K", min_length=1, description="title of the card")
    repo_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$",
        description="`namespace/name` on the Hub, for the card",
    )
    authors: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, description="who is cited for the dataset, one name each"
    )
    date: str | None = Field(
        None,
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description="day of the release, such as 2026-11-26; for card and citation",
    )
    changes: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, description="sentences about this version, for the change log"
    )
    previous: str | None = Field(
        None, min_length=1, description="folder of the version before: its change log is continued"
    )

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        from deepwriting.stages import STAGE_NAMES

        if name in (taken := (*STAGE_NAMES, "recipe.yaml", "run.lock")):
            raise ValueError(f"{name!r} is taken inside a run's folder; allowed: anything but {', '.join(taken)}")
        return name


class FiltersSection(Section):
    """Thresholds at which an annotation becomes a flag (paper, section 2.3.2)."""

    repetition_n: Positive = Field(NGRAM_SIZE, description="length of the counted n-grams (words)")
    max_repetition: Share = Field(MAX_TOP_SHARE, description="top-3 n-gram share above which a row is flagged")
    tail_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        TAIL_FRACTION, description="the end of the thinking that is looked at"
    )
    max_end_patterns: Annotated[int, Field(ge=0)] = Field(0, description="thinking patterns allowed in that end")
    copy_min_run: Positive = Field(MIN_RUN, description="a verbatim run of the answer counts from this length (words)")
    max_copy_ratio: Share = Field(
        MAX_COPY_RATIO, description="share of the answer that may stand verbatim in the thinking"
    )
    max_copy_run: Positive = Field(MAX_COPIED_RUN, description="longest verbatim run allowed (words)")


class BuildSection(Section):
    """What the default config keeps, which configs there are, and the validation split."""

    drop_flags: list[Flag] = Field(default_factory=lambda: list(get_args(Flag)), description="flags that drop a row")
    max_score: float | None = Field(None, ge=0, description="drop rows whose final score is above this (nats)")
    min_improvement: float | None = Field(None, description="drop rows whose score fell by less than this (nats)")
    rows_per_shard: Positive = Field(
        ROWS_PER_SHARD, description="rows in one Parquet shard; ten times as many in config `steps`"
    )
    configs: list[str] = Field(
        default_factory=lambda: list(CONFIG_COLUMNS), description="tables to publish; one without rows is left out"
    )
    validation_share: float = Field(
        0.0, ge=0, le=MAX_VALIDATION_SHARE, description="share of the queries whose rows go to a split `validation`"
    )
    validation_rows: Annotated[int, Field(ge=0)] = Field(
        0, description="instead of a share: at most this many rows of the default config in split `validation`"
    )
    downsample: Share = Field(
        DOWNSAMPLE, description="share of the long rows in config `short`, and of the short ones in `long`"
    )
    no_reflection: str | None = Field(
        None,
        min_length=1,
        description="another run, over the same pairs with `search.prompts: no-reflection`: it gives that config",
    )

    @field_validator("drop_flags")
    @classmethod
    def _once(cls, flags: list[str]) -> list[str]:
        if twice := sorted({flag for flag in flags if flags.count(flag) > 1}):
            raise ValueError(f"{twice} stand twice in {flags}; name each flag once")
        return flags

    @field_validator("configs")
    @classmethod
    def _known(cls, configs: list[str]) -> list[str]:
        if unknown := [config for config in configs if config not in CONFIG_COLUMNS]:
            raise ValueError(f"{unknown[0]!r} is no config; allowed: {', '.join(CONFIG_COLUMNS)}")
        if twice := sorted({config for config in configs if configs.count(config) > 1}):
            raise ValueError(f"{twice} stand twice in {configs}; name each config once")
        if missing := [config for config in REQUIRED_CONFIGS if config not in configs]:
            raise ValueError(f"{', '.join(missing)} is missing in {configs}; every dataset has {REQUIRED_CONFIGS}")
        return configs

    @model_validator(mode="after")
    def _possible(self) -> BuildSection:
        if self.validation_share and self.validation_rows:
            raise ValueError(
                f"validation_share {self.validation_share} and validation_rows {self.validation_rows} contradict each "
                "other; name one of them"
            )
        if self.no_reflection is not None and "no-reflection" not in self.configs:
            raise ValueError(
                f"no_reflection names {self.no_reflection!r}, but configs {self.configs} lack no-reflection"
            )
        return self
