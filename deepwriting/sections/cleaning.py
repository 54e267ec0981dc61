"""The section about cleaning: what a pair has to be like to enter the corpus, and what is taken out of its text."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from deepwriting.sections.base import Positive, Section, Share, short

#: Counts that may be nought.
Count = Annotated[int, Field(ge=0)]
#: Harm that the bundled lexicon knows; a lexicon of one's own may name others.
HARM_CATEGORIES = ("sexual_minors", "sexual", "instructions", "self_harm", "hate")


class CleaningSection(Section):
    """Repair, checks and masking before a pair enters the corpus; `sources[].cleaning` replaces keys for one source."""

    fix_text: bool = Field(True, description="repair broken encodings, HTML entities and control characters (ftfy)")

    quality: bool = Field(True, description="check lengths, symbols and the shape of lines")
    min_words: Count = Field(10, description="shorter answers are rejected (words; characters in Chinese)")
    max_words: Positive | None = Field(None, description="longer answers are rejected (words; characters in Chinese)")
    min_query_words: Count = Field(1, description="shorter queries are rejected (words; characters in Chinese)")
    min_letters: Share = Field(0.6, description="share of the answer's visible characters that are letters")
    min_word_length: float = Field(2.5, ge=0, description="mean length of its alphabetic words (characters)")
    max_word_length: float = Field(10.0, gt=0, description="mean length of its alphabetic words (characters)")
    max_symbols: float = Field(0.3, ge=0, description="hash signs, or ellipses, for each word")
    max_bullet_lines: Share = Field(0.9, description="share of lines that begin with a bullet")
    max_ellipsis_lines: Share = Field(0.5, description="share of lines that end in an ellipsis")

    repetition: bool = Field(True, description="check for repeated lines, paragraphs and phrases (Gopher, table A1)")
    max_duplicate_lines: Share = Field(0.55, description="share of the lines, and of their characters, that repeat one")
    max_duplicate_paragraphs: Share = Field(0.55, description="the same for paragraphs")
    repetition_scale: float = Field(1.0, gt=0, description="multiplies Gopher's thresholds of repeated phrases")

    refusals: bool = Field(True, description="reject refusals and answers that speak as an assistant about itself")

    language: bool = Field(True, description="check the languages of answer and query")
    languages: list[Literal["en", "zh"]] = Field(["en", "zh"], min_length=1, description="allowed languages")
    detector: Literal["py3langid", "fasttext", "script"] = Field(
        "py3langid",
        description="who tells English from other languages in Latin letters; fasttext downloads a model, script does "
        "not try",
    )
    detector_min_words: Positive = Field(20, description="shorter texts are judged by their script alone (words)")
    allow_mixed_languages: bool = Field(False, description="query and answer may be in different languages")

    harm: bool = Field(True, description="reject harmful pairs by lexicon")
    harm_categories: list[str] = Field(list(HARM_CATEGORIES), description="categories of the lexicon that count")
    harm_lexicon: str | None = Field(None, description="a lexicon file of your own (TOML, see docs/cleaning.md)")
    harm_lexicon_mode: Literal["add", "replace"] = Field(
        "add", description="whether it stands beside the bundled lexicon or in its place"
    )
    harm_model: str | None = Field(None, description="a text-classification model besides: local folder or Hub id")
    harm_model_labels: list[str] = Field(default_factory=list, description="labels of the model that reject a pair")
    harm_model_threshold: Share = Field(0.5, description="probability of such a label from which a pair is rejected")
    harm_model_batch: Positive = Field(16, description="pairs classified together")

    pii: bool = Field(True, description="replace personal data in query and answer by placeholders")
    pii_kinds: list[Literal["email", "ip", "phone", "card", "handle"]] = Field(
        ["email", "ip", "phone", "card", "handle"], description="kinds of personal data that are replaced"
    )

    classify_requests: bool = Field(
        False, description="ask the scorer where rules cannot say whether a chat asks for writing (else it is rejected)"
    )
    min_request_probability: Share = Field(0.5, description="probability of a writing request that lets a pair pass")

    @field_validator("languages", "harm_categories", "pii_kinds", "harm_model_labels")
    @classmethod
    def _once(cls, values: list[str]) -> list[str]:
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise ValueError(f"{twice} stand twice in {values}; name each once")
        return values

    @model_validator(mode="after")
    def _possible(self) -> CleaningSection:
        if self.max_words is not None and self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}")
        if self.min_word_length > self.max_word_length:
            raise ValueError(f"min_word_length {self.min_word_length} is above max_word_length {self.max_word_length}")
        if self.harm_lexicon_mode == "replace" and self.harm_lexicon is None:
            raise ValueError("harm_lexicon_mode is 'replace', but no harm_lexicon is given; allowed: add, or a file")
        if self.harm_model is not None and not self.harm_model_labels:
            raise ValueError(f"harm_model {self.harm_model!r} needs harm_model_labels: the labels that reject a pair")
        if self.harm:
            self._check_lexicon()
        return self

    def _check_lexicon(self) -> None:
        from deepwriting.cleaning.lexicon import load_lexicon

        known = {category.name for category in load_lexicon(self.harm_lexicon, self.harm_lexicon_mode).categories}
        missing = sorted(set(self.harm_categories) - known) if self.harm_lexicon_mode == "add" else []
        if missing:
            raise ValueError(f"harm_categories {missing} are in no lexicon; allowed: {', '.join(sorted(known))}")

    def overridden(self, overrides: dict[str, Any]) -> CleaningSection:
        """This section with some of its keys replaced.

        Raises:
            ValueError: if the combination is impossible.
        """
        if not overrides:
            return self
        try:
            return CleaningSection.model_validate(self.model_dump() | overrides)
        except ValidationError as error:
            raise ValueError("; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())) from None


def check_overrides(overrides: dict[str, Any]) -> None:
    """Check the names and the types of a source's own cleaning keys; their combination is checked with the section.

    Raises:
        ValueError: naming the key, the value and what is allowed.
    """
    fields = CleaningSection.model_fields
    if unknown := sorted(set(overrides) - set(fields)):
        raise ValueError(f"the keys {unknown} are unknown; allowed: {', '.join(fields)}")
    for name, value in overrides.items():
        field = fields[name]
        annotation: Any = field.annotation
        for constraint in field.metadata:
            annotation = Annotated[annotation, constraint]
        try:
            TypeAdapter(annotation).validate_python(value, strict=True)
        except ValidationError as error:
            problems = " or ".join(item["msg"][0].lower() + item["msg"][1:] for item in error.errors())
            raise ValueError(f"{name} = {short(value)} is not allowed: {problems}") from None
