from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from deepwriting.builders.selection import Choice
from deepwriting.schema import CONFIG_COLUMNS
from deepwriting.sections.outcome import BuildSection


def test_a_recipe_that_says_nothing_gets_every_config_and_no_validation_split() -> None:
    section = BuildSection.model_validate({})
    assert section.configs == list(CONFIG_COLUMNS)
    assert not Choice.of(section).validates


def test_what_a_recipe_chooses_reaches_the_build() -> None:
    section = BuildSection.model_validate({"validation_share": 0.05, "downsample": 0.5})
    assert Choice.of(section) == Choice(validation_share=0.05, downsample=0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"configs": ["default", "all", "gold"]}, "'gold' is no config; allowed: default, all, steps"),
        ({"configs": ["default", "all", "sft", "sft"]}, r"\['sft'\] stand twice"),
        ({"configs": ["sft", "default"]}, "all is missing in"),
        ({"validation_share": 0.6}, "less than or equal to 0.5"),
        ({"validation_rows": -1}, "greater than or equal to 0"),
        ({"validation_share": 0.1, "validation_rows": 5}, "contradict each other"),
        ({"downsample": 2.0}, "less than or equal to 1"),
        ({"no_reflection": "plain", "configs": ["default", "all"]}, "lack no-reflection"),
    ],
)
def test_what_is_not_possible_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BuildSection.model_validate(values)
