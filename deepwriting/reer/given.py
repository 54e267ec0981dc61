"""A thinking that came with a pair: the search begins with it instead of sampling one.

Readers of existing releases put it into the metadata (``schema.GIVEN_THINKING``). Cleaning
repairs it and masks personal data in it as in query and answer; then it is scored as it stands, to the last space. With
``max_steps: 0`` that is all, and the row is the old one with new scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deepwriting.recipe import SearchSection
from deepwriting.schema import GIVEN_GENERATOR, GIVEN_REVISION, GIVEN_THINKING

#: What stands for the model, and for its revision, where a release does not name them.
UNKNOWN_GENERATOR = "given"
UNKNOWN_REVISION = "unknown"


@dataclass(frozen=True)
class Given:
    """A thinking that came with a pair.

    Attributes:
        thinking: the text, unchanged.
        generator: model that wrote it, as the release names it.
        revision: that model's revision.
    """

    thinking: str
    generator: str = UNKNOWN_GENERATOR
    revision: str = UNKNOWN_REVISION


def given_thinking(metadata: Mapping[str, Any], settings: SearchSection) -> Given | None:
    """The thinking that a pair brings, if it brings one and the recipe wants it."""
    thinking = metadata.get(GIVEN_THINKING)
    if settings.given_thinking == "ignore" or thinking is None:
        return None
    return Given(
        thinking,
        metadata.get(GIVEN_GENERATOR) or UNKNOWN_GENERATOR,
        metadata.get(GIVEN_REVISION) or UNKNOWN_REVISION,
    )
