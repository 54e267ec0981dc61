"""Section about selection: which category a pair has, and which pairs are searched."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from deepwriting.sections.base import Positive, Section, Share
from deepwriting.select.taxonomy import CATEGORIES

#: Weights; 0 leaves out.
Weight = Annotated[float, Field(ge=0)]
#: What speaks for a pair among others of its category.
Quality = Literal["score", "length", "probability", "chance"]


def _default_quality() -> dict[Quality, Weight]:
    # Chance counts as much as probability: else only the most typical queries of a category would be chosen.
    return {"score": 1.0, "length": 0.5, "probability": 0.5, "chance": 0.5}


class SelectSection(Section):
    """Categories of the pairs, and the choice of those that are searched (paper, section 2.3.2)."""

    classifier: Literal["fast", "cascade", "likelihood"] = Field(
        "fast",
        description="fast: a linear model; likelihood: the scorer; cascade: the scorer where the fast one is not sure",
    )
    sure_probability: Share = Field(
        0.8, description="cascade: from this probability on the fast classifier decides (see docs/selection.md)"
    )
    calibrate: bool = Field(True, description="likelihood: divide by each category name's likelihood without a query")
    max_query_chars: Positive = Field(1_000, description="the classifiers read this much of the query (characters)")
    min_probability: Share = Field(0.0, description="less probable categories: rejected as unclear_category")
    pairs: Positive | None = Field(None, description="how many pairs to choose; null keeps all")
    category_weights: dict[str, Weight] = Field(
        default_factory=dict,
        description="shares of the pairs by category: 2 takes twice as many as 1, 0 none (rest: 1)",
    )
    category_targets: dict[str, Positive] = Field(
        default_factory=dict, description="numbers of pairs by category, filled first; the weights share out the rest"
    )
    source_weights: dict[str, Weight] = Field(
        default_factory=dict, description="shares of the pairs by source; empty: whatever is best (rest: 1)"
    )
    source_limits: dict[str, Positive] = Field(
        default_factory=dict, description="at most this many pairs of a source, whatever else is asked"
    )
    redistribute: bool = Field(True, description="what a category cannot fill goes to the others in proportion")
    quality: dict[Quality, Weight] = Field(
        default_factory=_default_quality,
        description="what speaks for a pair inside its category, with weights (rest: 0)",
    )
    preferred_chars: list[Positive] = Field(
        default_factory=lambda: [800, 12_000],
        min_length=2,
        max_length=2,
        description="quality by length is full from the first to the second (characters of the answer)",
    )

    @field_validator("category_weights", "category_targets")
    @classmethod
    def _known_categories(cls, value: dict[str, float]) -> dict[str, float]:
        check_names("", value, CATEGORIES, "category")
        return value

    @field_validator("quality")
    @classmethod
    def _some_quality(cls, value: dict[str, float]) -> dict[str, float]:
        if not any(value.values()):
            raise ValueError(
                f"{value} gives nothing a weight; give one of score, length, probability, chance one above 0"
            )
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> SelectSection:
        if self.preferred_chars[0] > self.preferred_chars[1]:
            raise ValueError(f"preferred_chars {self.preferred_chars} begins above its end")
        keys = ("category_weights", "category_targets", "source_weights", "source_limits")
        if self.pairs is None:
            if given := [key for key in keys if getattr(self, key)]:
                raise ValueError(f"{given[0]} has nothing to share out while pairs is null; set pairs")
            return self
        if twice := sorted(self.category_weights.keys() & self.category_targets.keys()):
            raise ValueError(f"{twice[0]!r} has both a weight and a target; give one of them")
        if (asked := sum(self.category_targets.values())) > self.pairs:
            raise ValueError(f"category_targets add up to {asked}, more than pairs {self.pairs}")
        return self


def check_names(key: str, given: Iterable[str], known: Sequence[str], what: str) -> None:
    """Refuse names that do not exist.

    Args:
        key: the recipe's key, for the message; empty where the message names it anyway.
        given: names in the recipe.
        known: names that exist.
        what: what they name.

    Raises:
        ValueError: naming the first unknown one and those that look like it, or all if none does.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known
            raise ValueError(f"{key + ': ' if key else ''}there is no {what} {name!r}; allowed: {', '.join(near)}")
