"""Sections about pairs: where they come from and what they must be like."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from deepwriting.errors import SourceError
from deepwriting.sections.base import Positive, Section, short
from deepwriting.sections.cleaning import check_overrides


class SourceSection(Section):
    """One source of (query, solution) pairs (paper, section 2.3.1)."""

    kind: str = Field(description="native layout of the files")
    path: str = Field(min_length=1, description="file, folder or glob; local, hf://…, samples://…")
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="value of the source column")
    license: str = Field("unknown", description="licence under which the source offers its texts")
    limit: Positive | None = Field(None, description="at most this many candidates per task")
    options: dict[str, Any] = Field(default_factory=dict, description="settings of this kind of reader")
    cleaning: dict[str, Any] = Field(default_factory=dict, description="keys of `cleaning` that differ for this source")

    @property
    def label(self) -> str:
        """The value of the ``source`` column."""
        return self.name or self.kind

    @field_validator("cleaning")
    @classmethod
    def _known_cleaning_keys(cls, overrides: dict[str, Any]) -> dict[str, Any]:
        check_overrides(overrides)
        return overrides

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
                raise ValueError(f"options.{name} = {short(value)} is not allowed: {problems}") from None
        try:
            reader(self.path, name=self.label, license=self.license, limit=self.limit, **self.options)
        except SourceError as error:
            raise ValueError(f"options: {error}") from None
        return self


def reader_options(reader: type) -> dict[str, Any]:
    """Names and types of the settings that a source reader takes beyond the common ones."""
    types = get_type_hints(reader.__init__)  # type: ignore[misc]
    common = {"self", "path", "name", "license", "limit"}
    return {name: types[name] for name in inspect.signature(reader).parameters if name not in common}


class PairSection(Section):
    """What a text must be like to enter the search."""

    min_answer_chars: Positive = Field(50, description="shorter solutions are rejected (characters)")
    max_answer_chars: Positive = Field(60_000, description="longer solutions are rejected (characters)")
    max_query_chars: Positive = Field(20_000, description="longer queries are rejected (characters)")
    query_attempts: Positive = Field(4, description="queries sampled for a passage without one; the first valid counts")
    query_max_tokens: Positive = Field(80, description="length limit of a written query (tokens)")
    query_may_name_book: bool = Field(False, description="let a written query name the book's title or author")

    @model_validator(mode="after")
    def _ordered(self) -> PairSection:
        if self.min_answer_chars > self.max_answer_chars:
            raise ValueError(
                f"min_answer_chars {self.min_answer_chars} is above max_answer_chars {self.max_answer_chars}"
            )
        return self
