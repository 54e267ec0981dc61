"""The recipe: one YAML file that says what a run does, validated when it is read.

Defaults are the paper's. Every section has a class here; an unknown key, a wrong type or an impossible combination is
one ``RecipeError`` line a mistake, naming the key, the value and what is allowed.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from deepwriting.errors import NotFoundError, PromptError, RecipeError, SourceError
from deepwriting.metrics.copying import MAX_COPIED_RUN, MAX_COPY_RATIO, MIN_RUN
from deepwriting.metrics.repetition import MAX_TOP_SHARE, NGRAM_SIZE
from deepwriting.metrics.thinking_patterns import TAIL_FRACTION
from deepwriting.strict_yaml import read_mapping

#: Fractions and shares.
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
#: What the annotating filters can notice.
Flag = Literal["repetition", "end_of_thinking", "copying"]


class Section(BaseModel):
    """Base of all recipe sections: unknown keys are errors, values keep their types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DatasetSection(Section):
    """What the dataset is called."""

    name: str = Field(
        "deepwriting-20k", pattern=r"^[a-z0-9]([a-z0-9._-]{0,94}[a-z0-9])?$", description="folder and dataset name"
    )
    version: str = Field("0.1.0", pattern=r"^\d+\.\d+\.\d+$", description="version of the dataset")
    pretty_name: str = Field("DeepWriting-20K", description="title of the card")

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        from deepwriting.stages import STAGE_NAMES

        if name in (taken := (*STAGE_NAMES, "recipe.yaml", "run.lock")):
            raise ValueError(f"{name!r} is taken inside a run's folder; allowed: anything but {', '.join(taken)}")
        return name


class SourceSection(Section):
    """One source of (query, solution) pairs (paper, section 2.3.1)."""

    kind: str = Field(description="native layout of the files")
    path: str = Field(min_length=1, description="file, folder or glob; local, hf://…, samples://…")
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="value of the source column")
    license: str = Field("unknown", description="licence under which the source offers its texts")
    limit: Positive | None = Field(None, description="at most this many candidates per task")
    options: dict[str, Any] = Field(default_factory=dict, description="settings of this kind of reader")

    @property
    def label(self) -> str:
        """The value of the ``source`` column."""
        return self.name or self.kind

    @model_validator(mode="after")
    def _known_kind_and_options(self) -> SourceSection:
        from deepwriting.sources import SOURCE_KINDS

        if self.kind not in SOURCE_KINDS:
            raise ValueError(f"kind {self.kind!r} is unknown; allowed: {', '.join(SOURCE_KINDS)}")
        reader = SOURCE_KINDS[self.kind]
        types = reader_options(reader)
        if unknown := set(self.options) - types.keys():
            raise ValueError(f"options {sorted(unknown)} are unknown for {self.kind}; allowed: {sorted(types)}")
        for name, value in self.options.items():
            try:
                TypeAdapter(types[name]).validate_python(value, strict=True)
            except ValidationError as error:
                problems = " or ".join(item["msg"][0].lower() + item["msg"][1:] for item in error.errors())
                raise ValueError(f"options.{name} = {_short(value)} is not allowed: {problems}") from None
        try:
            reader(self.path, name=self.label, license=self.license, limit=self.limit, **self.options)
        except SourceError as error:
            raise ValueError(f"options: {error}") from None
        return self


class PairSection(Section):
    """What a text must be like to enter the search."""

    min_answer_chars: Positive = Field(50, description="shorter solutions are rejected (characters)")
    max_answer_chars: Positive = Field(60_000, description="longer solutions are rejected (characters)")
    max_query_chars: Positive = Field(20_000, description="longer queries are rejected (characters)")
    query_attempts: Positive = Field(4, description="queries sampled for a passage without one; the first valid counts")
    query_max_tokens: Positive = Field(80, description="length limit of a written query (tokens)")

    @model_validator(mode="after")
    def _ordered(self) -> PairSection:
        if self.min_answer_chars > self.max_answer_chars:
            raise ValueError(
                f"min_answer_chars {self.min_answer_chars} is above max_answer_chars {self.max_answer_chars}"
            )
        return self


class EngineSection(Section):
    """A language model and how it runs."""

    engine: Literal["transformers"] = Field("transformers", description="what runs the model")
    model: str = Field(min_length=1, description="embedded name, local directory or Hub id")
    revision: str | None = Field(None, description="Hub revision")
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N, mps")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="precision of the weights")
    max_batch: Positive = Field(32, description="most sequences sampled at the same time")
    prefix_cache_gb: float = Field(1.0, ge=0, description="memory for kept prefixes (GB)")
    context_tokens: Positive | None = Field(None, description="use less context than the model has (tokens)")


class EnginesSection(Section):
    """The two roles of section 2.2: who writes candidates, and who is surprised by y."""

    generator: EngineSection
    scorer: EngineSection | None = Field(None, description="the generator scores too if this is left out")

    @property
    def scoring(self) -> EngineSection:
        """The engine that scores."""
        return self.scorer or self.generator


class SelectSection(Section):
    """Categories of the pairs (paper, section 2.3.2)."""

    calibrate: bool = Field(True, description="divide by each category name's likelihood without a query")
    max_query_chars: Positive = Field(1_000, description="the classifier reads this much of the query (characters)")


class SearchSection(Section):
    """The iterative local search (paper, sections 2.2 and 3)."""

    max_steps: Annotated[int, Field(ge=0)] = Field(10, description="most steps; a step refines one segment")
    stop_score: float = Field(0.25, ge=0, description="stop at this clipped mean NLL (nats)")
    candidates: Positive = Field(2, description="candidates per step")
    temperature: float = Field(0.8, ge=0, le=2, description="sampling temperature")
    top_p: float = Field(0.85, gt=0, le=1, description="nucleus probability")
    top_k: Annotated[int, Field(ge=0)] = Field(40, description="likeliest tokens considered; 0 for all")
    frequency_penalty: float = Field(0.0, ge=0, le=2, description="logits lose this per earlier use of the token")
    rollouts: Positive = Field(1, description="trajectories searched for each pair")
    clip_logprob: float = Field(-2.0, lt=0, description="log-probabilities below this count as this (nats)")
    score_first_segment: bool = Field(False, description="score the first paragraph of y too")
    min_segment_chars: Positive = Field(100, description="shorter pieces join their neighbour (characters)")
    min_thinking_tokens: Positive = Field(100, description="a shorter first thinking is not searched (tokens)")
    max_thinking_tokens: Positive = Field(4096, description="length limit of the first thinking (tokens)")
    max_segment_tokens: Positive = Field(2048, description="length limit of a candidate with its analysis (tokens)")
    initial_attempts: Positive = Field(2, description="first thinkings tried until one is fit for the search")
    unclosed: Literal["refuse", "trim"] = Field("refuse", description="what becomes of a text cut off by its limit")
    min_gain: float = Field(0.0, ge=0, description="what an edit must gain beyond the scorer's noise (nats)")
    copy_min_run: Positive = Field(MIN_RUN, description="a verbatim run of the answer counts from this length (words)")
    max_copy_ratio: Share = Field(
        MAX_COPY_RATIO, description="share of the answer that may stand verbatim in the thinking"
    )
    max_copy_run: Positive = Field(MAX_COPIED_RUN, description="longest verbatim run allowed (words)")
    max_repetition: Share = Field(MAX_TOP_SHARE, description="top-3 n-gram share above which a text is degenerate")
    concurrency: Positive = Field(32, description="searches in flight at the same time, per task")
    prompts: str = Field("default", min_length=1, description="default, compact, or a folder with templates")

    @model_validator(mode="after")
    def _possible(self) -> SearchSection:
        if self.min_thinking_tokens >= self.max_thinking_tokens:
            raise ValueError(
                f"min_thinking_tokens {self.min_thinking_tokens} is not below "
                f"max_thinking_tokens {self.max_thinking_tokens}; no thinking could pass"
            )
        if self.temperature == 0 and self.candidates > 1:
            raise ValueError(f"temperature 0 makes all {self.candidates} candidates equal; allowed: candidates 1")
        if self.stop_score >= -self.clip_logprob:
            raise ValueError(
                f"stop_score {self.stop_score} is not below {-self.clip_logprob}, the highest score that clip_logprob "
                f"{self.clip_logprob} leaves; every search would stop before its first step"
            )
        if self.temperature == 0 and self.rollouts > 1:
            raise ValueError(f"temperature 0 makes all {self.rollouts} rollouts alike; allowed: rollouts 1")
        return self

    @field_validator("prompts")
    @classmethod
    def _whole_set(cls, prompts: str) -> str:
        from deepwriting.reer.prompts import load_prompts

        try:
            load_prompts(prompts)
        except PromptError as error:
            raise ValueError(str(error)) from None
        return prompts


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
    """What the default config keeps."""

    drop_flags: list[Flag] = Field(default_factory=lambda: list(get_args(Flag)), description="flags that drop a row")
    max_score: float | None = Field(None, ge=0, description="drop rows whose final score is above this (nats)")
    min_improvement: float | None = Field(None, description="drop rows whose score fell by less than this (nats)")
    rows_per_shard: Positive = Field(20_000, description="rows in one Parquet shard")

    @field_validator("drop_flags")
    @classmethod
    def _once(cls, flags: list[str]) -> list[str]:
        if twice := sorted({flag for flag in flags if flags.count(flag) > 1}):
            raise ValueError(f"{twice} stand twice in {flags}; name each flag once")
        return flags


class ExecutionSection(Section):
    """How the stages are spread over tasks."""

    tasks: Positive = Field(1, description="shards of every stage")
    workers: Positive = Field(1, description="tasks running at the same time, each with its own models")


class Recipe(Section):
    """A whole recipe."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the run; its folder below runs/")
    seed: int = Field(42, description="every random choice depends on it")
    dataset: DatasetSection = Field(default_factory=lambda: DatasetSection.model_validate({}))
    sources: list[SourceSection] = Field(min_length=1, description="where pairs come from, in order")
    pairs: PairSection = Field(default_factory=lambda: PairSection.model_validate({}))
    engines: EnginesSection
    select: SelectSection = Field(default_factory=lambda: SelectSection.model_validate({}))
    search: SearchSection = Field(default_factory=lambda: SearchSection.model_validate({}))
    filters: FiltersSection = Field(default_factory=lambda: FiltersSection.model_validate({}))
    build: BuildSection = Field(default_factory=lambda: BuildSection.model_validate({}))
    execution: ExecutionSection = Field(default_factory=lambda: ExecutionSection.model_validate({}))

    @field_validator("sources")
    @classmethod
    def _distinct(cls, sources: list[SourceSection]) -> list[SourceSection]:
        labels = [source.label for source in sources]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"the names {twice} occur twice; give each source its own name")
        return sources


def reader_options(reader: type) -> dict[str, Any]:
    """Names and types of the settings that a source reader takes beyond the common ones."""
    types = get_type_hints(reader.__init__)  # type: ignore[misc]
    common = {"self", "path", "name", "license", "limit"}
    return {name: types[name] for name in inspect.signature(reader).parameters if name not in common}


def parse_recipe(text: str, origin: str = "recipe") -> Recipe:
    """Read and validate a recipe.

    Args:
        text: YAML.
        origin: what to call it in error messages.

    Raises:
        RecipeError: one line for each mistake.
    """
    data = read_mapping(text, origin)
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{origin}: {_explain(item)}" for item in error.errors())) from None


def _explain(item: Any) -> str:
    """One line for one validation error: the key, the value, what is allowed."""
    key = ".".join(str(part) for part in item["loc"]) or "recipe"
    value = _short(item["input"])
    if item["type"] == "extra_forbidden":
        section = _section(item["loc"][:-1])
        allowed = f"; allowed: {', '.join(section.model_fields)}" if section else ""
        return f"{key} = {value} is an unknown key{allowed}"
    if item["type"] == "missing":
        return f"{key} is missing; it is required"
    if item["type"] == "model_type":
        section = _section(item["loc"])
        keys = f": {', '.join(section.model_fields)}" if section else ""
        return f"{key} = {value} is not allowed: it should be a mapping with keys of its own{keys}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{key}: {message}"
    hint = " (YAML reads a number such as 1e-3 as text; write 1.0e-3)" if _is_number(item["input"]) else ""
    return f"{key} = {value} is not allowed: {message[0].lower()}{message[1:]}{hint}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_number(value: Any) -> bool:
    """Whether a text is a number in scientific notation, which YAML 1.1 reads only with a point and a sign."""
    return isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value) is not None


def _section(location: tuple[Any, ...]) -> type[BaseModel] | None:
    """The section class at a location such as ``("engines", "generator")``."""
    section: Any = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        annotation = section.model_fields[part].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        section = next((o for o in options if inspect.isclass(o) and issubclass(o, BaseModel)), None)
        if section is None:
            return None
    return section  # type: ignore[no-any-return]


def bundled_recipes() -> dict[str, str]:
    """Name and text of every bundled recipe."""
    folder = files("deepwriting.recipes")
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return {e.name.removesuffix(".yaml"): e.read_text(encoding="utf-8") for e in entries if e.name.endswith(".yaml")}


def load_recipe(name: str) -> tuple[Recipe, str]:
    """Read a recipe by the name of a bundled one or by path.

    Returns:
        The recipe and its text.

    Raises:
        NotFoundError: if there is no such recipe.
        RecipeError: if it is not valid.
    """
    bundled = bundled_recipes()
    path = Path(os.path.expanduser(name))  # unlike Path's own, it leaves the home of an unknown user as it is
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(f"{name} is not UTF-8 text: {error}") from error
    elif name in bundled:
        text = bundled[name]
    else:
        raise NotFoundError(f"recipe {name!r} is neither a file nor bundled; bundled: {', '.join(bundled)}")
    return parse_recipe(text, name), text


def settings_hash(settings: Any) -> str:
    """Hash of JSON-able settings (first 16 digits of SHA-256)."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
