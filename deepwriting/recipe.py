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
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from deepwriting.errors import NotFoundError, RecipeError
from deepwriting.sections.base import Flag, Section, short
from deepwriting.sections.cleaning import CleaningSection
from deepwriting.sections.decontaminate import BenchmarkSection, DecontaminateSection
from deepwriting.sections.dedupe import DedupeSection
from deepwriting.sections.engines import (
    ENGINE_SECTIONS,
    AnyEngineSection,
    EngineSection,
    EnginesSection,
    ServerSection,
    ServerStartSection,
    TransformersSection,
    VllmSection,
)
from deepwriting.sections.execution import ExecutionSection
from deepwriting.sections.outcome import BuildSection, DatasetSection, FiltersSection
from deepwriting.sections.pairs import PairSection, SourceSection, reader_options
from deepwriting.sections.search import SearchSection
from deepwriting.sections.select import SelectSection, check_names
from deepwriting.strict_yaml import read_mapping

__all__ = [
    "ENGINE_SECTIONS", "AnyEngineSection", "BenchmarkSection", "BuildSection", "CleaningSection", "DatasetSection",
    "DecontaminateSection", "DedupeSection", "EngineSection", "EnginesSection", "ExecutionSection",
    "FiltersSection", "Flag", "PairSection", "Recipe", "SearchSection", "Section", "SelectSection", "ServerSection",
    "ServerStartSection", "SourceSection", "TransformersSection", "VllmSection", "bundled_recipes", "load_recipe",
    "parse_recipe", "parse_scorer", "reader_options", "settings_hash",
]  # fmt: skip


class Recipe(Section):
    """A whole recipe."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the run; its folder below runs/")
    seed: int = Field(42, description="every random choice depends on it")
    dataset: DatasetSection = Field(default_factory=lambda: DatasetSection.model_validate({}))
    sources: list[SourceSection] = Field(min_length=1, description="where pairs come from, in order")
    pairs: PairSection = Field(default_factory=lambda: PairSection.model_validate({}))
    cleaning: CleaningSection = Field(default_factory=lambda: CleaningSection.model_validate({}))
    engines: EnginesSection
    dedupe: DedupeSection = Field(default_factory=lambda: DedupeSection.model_validate({}))
    decontaminate: DecontaminateSection = Field(default_factory=lambda: DecontaminateSection.model_validate({}))
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

    @model_validator(mode="after")
    def _cleaning_fits_every_source(self) -> Recipe:
        for index, source in enumerate(self.sources):
            try:
                self.cleaning.overridden(source.cleaning)
            except ValueError as error:
                raise ValueError(f"sources.{index}.cleaning with cleaning: {error}") from None
        return self

    @property
    def cleaning_by_source(self) -> dict[str, CleaningSection]:
        """The cleaning settings of every source by its label: the recipe's, with what the source replaces."""
        return {source.label: self.cleaning.overridden(source.cleaning) for source in self.sources}

    @model_validator(mode="after")
    def _selected_sources_exist(self) -> Recipe:
        known = [source.label for source in self.sources]
        for key in ("source_weights", "source_limits"):
            check_names(f"select.{key}", getattr(self.select, key), known, "source")
        return self

    @model_validator(mode="after")
    def _a_candidate_each(self) -> Recipe:
        if (generators := len(self.engines.generators)) > self.search.candidates:
            raise ValueError(
                f"{generators} generators share {self.search.candidates} candidates a step, so one of them would never "
                f"write; allowed: search.candidates from {generators} on"
            )
        return self


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


def parse_scorer(settings: Mapping[str, Any]) -> EngineSection:
    """The section of an engine that scores, from settings as they stand under ``engines.scorer``.

    Raises:
        RecipeError: one line for each mistake.
    """
    data = {"generator": {"model": "unused"}, "scorer": dict(settings)}
    try:
        return EnginesSection.model_validate(data).scoring
    except ValidationError as error:
        items = ({**item, "loc": ("engines", *item["loc"])} for item in error.errors())
        raise RecipeError("\n".join(_explain(item) for item in items)) from None


def _explain(item: Any) -> str:
    """One line for one validation error: the key, the value, what is allowed."""
    key = ".".join(str(part) for part in _named(item["loc"])) or "recipe"
    value = short(item["input"])
    if item["type"] == "extra_forbidden":
        section = _section(item["loc"][:-1])
        allowed = f"; allowed: {', '.join(section.model_fields)}" if section else ""
        return f"{key} = {value} is an unknown key{allowed}"
    if item["type"] == "union_tag_invalid":
        return f"{key}.engine = {short(item['ctx']['tag'])} is not allowed; allowed: {', '.join(ENGINE_SECTIONS)}"
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


def _is_number(value: Any) -> bool:
    """Whether a text is a number in scientific notation, which YAML 1.1 reads only with a point and a sign."""
    return isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value) is not None


def _named(location: tuple[Any, ...]) -> tuple[Any, ...]:
    """A location as the recipe's writer knows it: which engine's section was tried is no key."""
    return tuple(
        part
        for index, part in enumerate(location)
        if not (part in ENGINE_SECTIONS and index >= 2 and location[0] == "engines")
    )


def _section(location: tuple[Any, ...]) -> type[BaseModel] | None:
    """The section class at a location such as ``("engines", "generator", "transformers")``."""
    section: type[BaseModel] | None = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        if section is EnginesSection and part in ENGINE_SECTIONS:
            section = ENGINE_SECTIONS[part]
            continue
        if section is None or part not in section.model_fields:
            return None
        annotation = section.model_fields[part].annotation
        classes = [o for o in (annotation, *get_args(annotation)) if inspect.isclass(o) and issubclass(o, BaseModel)]
        # The engines have a section each: the part of the location behind says which.
        section = classes[0] if classes else (section if section is EnginesSection else None)
    return section


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
