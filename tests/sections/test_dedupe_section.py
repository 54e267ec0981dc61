from __future__ import annotations

from typing import Any

import pytest
import yaml

from deepwriting.errors import RecipeError
from deepwriting.recipe import parse_recipe
from deepwriting.sections.dedupe import chance_of_comparison
from deepwriting.stages.dedupe import DedupeStage


def recipe(**dedupe: Any) -> Any:
    data = {
        "name": "mine", "sources": [{"kind": "pairs", "path": "in"}], "engines": {"generator": {"model": "m"}},
        "dedupe": dedupe,
    }  # fmt: skip
    return parse_recipe(yaml.safe_dump(data))


@pytest.mark.parametrize(
    ("dedupe", "message"),
    [
        ({"answers": 3}, "dedupe.answers = 3 is an unknown key; allowed: near_duplicate_answers, answer_similarity"),
        ({"answer_similarity": 0}, "dedupe.answer_similarity = 0 is not allowed: input should be greater than 0"),
        ({"query_similarity": 1.1}, "dedupe.query_similarity = 1.1 is not allowed: input should be less than or equal"),
        ({"max_answers_per_query": 0}, "dedupe.max_answers_per_query = 0 is not allowed: input should be greater than"),
        ({"answer_shingle": 0}, "dedupe.answer_shingle = 0 is not allowed"),
        ({"earlier_release": "v1"}, "dedupe.earlier_release = 'v1' is not allowed: input should be a valid list"),
        ({"earlier_release": ["v1", " "]}, "dedupe.earlier_release: an empty path stands in "),
        ({"earlier_release": ["v1", "v2", "v1"]}, "dedupe.earlier_release: ['v1'] stand twice in ['v1', 'v2', 'v1']"),
        (
            {"buckets": 100, "hashes_per_bucket": 11},
            "dedupe: buckets 100 of hashes_per_bucket 11 are 1100 hashes a text; allowed: up to 1024",
        ),
        (
            {"hashes_per_bucket": 20},
            "dedupe: buckets 20 of hashes_per_bucket 20 would find 21% of the pairs that are as similar as "
            "answer_similarity 0.8; allowed: settings that find 50%",
        ),
        (
            {"near_duplicate_answers": False, "query_similarity": 0.5},
            "dedupe: buckets 20 of hashes_per_bucket 6 would find 27% of the pairs that are as similar as query_simil",
        ),
    ],
)
def test_what_cannot_be_is_refused(dedupe: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as error:
        recipe(**dedupe)
    assert f"recipe: {message}" in str(error.value)


def test_thresholds_that_nothing_uses_are_not_looked_at() -> None:
    assert not recipe(query_similarity=0.5, max_answers_per_query=None).dedupe.compares_queries
    assert not recipe(query_similarity=0.5, near_duplicate_queries=False).dedupe.compares_queries
    assert recipe(answer_similarity=0.1, near_duplicate_answers=False).dedupe.compares_queries


@pytest.mark.parametrize(("similarity", "chance"), [(0.8, 0.998), (0.9, 1.0), (0.5, 0.27), (0.3, 0.014), (0.0, 0.0)])
def test_what_the_default_buckets_compare(similarity: float, chance: float) -> None:
    settings = recipe().dedupe
    found = chance_of_comparison(similarity, settings.buckets, settings.hashes_per_bucket)
    assert found == pytest.approx(chance, abs=0.001)


def test_every_setting_and_the_order_of_the_sources_decide_the_stage() -> None:
    settings = DedupeStage().settings(recipe(max_answers_per_query=2))
    assert settings["dedupe"].keys() == type(recipe().dedupe).model_fields.keys()
    assert settings["sources"] == ["pairs"]
