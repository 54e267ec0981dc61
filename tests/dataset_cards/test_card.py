from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from deepwriting.dataset_cards.card import render_card
from deepwriting.dataset_cards.metadata import licence_fields, size_category
from deepwriting.dataset_cards.plots import Plot
from deepwriting.dataset_cards.statistics import summarise
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS

Row = Callable[..., dict[str, Any]]
PLOTS = [Plot(f"{name}.png", f"Title of {name}", f"Alt of {name}") for name in ("perplexity", "thinking_length")]


def render(rows: list[dict[str, Any]], infos: Any, settings: dict[str, Any] | None = None, **changes: Any) -> str:
    arguments = {"name": "my-set", "version": "1.2.0", "infos": infos} | changes
    return render_card(summarise(rows), settings or {}, **arguments)


def test_yaml_describes_every_config_and_round_trips(row: Row, infos: Callable[..., Any]) -> None:
    from huggingface_hub import DatasetCard

    text = render([row(1), row(2, language="zh")], infos(default=2))
    data = DatasetCard(text).data.to_dict()
    assert {config["config_name"] for config in data["configs"]} == set(CONFIG_COLUMNS)
    assert [config["config_name"] for config in data["configs"] if config.get("default")] == ["default"]
    sizes = {info["config_name"]: info["splits"][0]["num_examples"] for info in data["dataset_info"]}
    assert sizes["default"] == 2
    assert data["language"] == ["en", "zh"]
    assert data["license"] == "cc-by-4.0"
    assert {"reer", "deep-reasoning", "writing"} <= set(data["tags"])
    assert data["task_categories"] == ["text-generation"]
    assert data["pretty_name"] == "my-set"


def test_nothing_of_the_template_is_left_over(row: Row, infos: Callable[..., Any]) -> None:
    text = render([row(1)], infos())
    assert not re.search(r"\{\{|\}\}|\{%|None|Undefined|TODO|\n\n\n", text)
    assert text.endswith(".\n")


def test_score_and_perplexity_are_never_confused(row: Row, infos: Callable[..., Any]) -> None:
    rows = [row(1, score_before=1.11, perplexity_before=22.0, score_after=0.55, perplexity_after=13.0)]
    text = render(rows, infos())
    assert "| initial thinking | 1.110 | 1.110 | 22.00 | 22.00 |" in text
    assert "| final thinking | 0.550 | 0.550 | 13.00 | 13.00 |" in text
    assert "| score, mean (nats) | score, median (nats) | true perplexity, mean | true perplexity, median |" in text
    assert "It is not a perplexity." in text
    assert "median true perplexity of the answer 22.00 before the search and\n  13.00 after it" in text


def test_shares_are_given_for_kept_and_for_all_rows(row: Row, infos: Callable[..., Any]) -> None:
    rows = [row(n) for n in range(1, 4)]
    rows.append(row(4, keep=False, drop_reasons=["copying"], perplexity_after=500.0))
    text = render(rows, infos())
    assert "| true perplexity lower than with the initial thinking | 100.0% | 75.0% |" in text
    assert "leaves out 1 of 4 searched rows (25.0%)" in text
    assert "| `copying` | 1 | 25.0% |" in text


def test_nothing_dropped_and_nothing_flagged_is_said_plainly(row: Row, infos: Callable[..., Any]) -> None:
    text = render([row(1)], infos())
    assert "Nothing: every searched row is kept." in text
    assert "Flags are" not in text


def test_every_column_of_the_schema_is_documented(row: Row, infos: Callable[..., Any]) -> None:
    text = render([row(1)], infos())
    for columns in CONFIG_COLUMNS.values():
        for column in columns:
            assert f"| `{column.name}` |" in text
    assert "| `refusal` | string | Why the candidate was refused, or its scoring ended early. | yes |" in text


def test_configs_table_has_rows_and_sizes(row: Row, infos: Callable[..., Any]) -> None:
    text = render([row(1)], infos(steps=1234))
    assert re.search(r"\| `steps` \| [^|]+ \| 1,234 \| 1\.5 MB \|", text)
    assert "streaming=True` only" not in text
    assert "with `streaming=True` only: `steps`." in render([row(1)], infos(steps=0))


def test_settings_are_listed_flat_and_escaped(row: Row, infos: Callable[..., Any]) -> None:
    settings = {"models": {"generator": "a|b"}, "seeds": [1, 2], "stages": [{"name": "search"}]}
    text = render([row(1)], infos(), settings)
    for line in ("| `models.generator` | `a\\|b` |", "| `seeds` | `1, 2` |", "| `stages.0.name` | `search` |"):
        assert line in text
    assert "### Settings" not in render([row(1)], infos())


def test_settings_with_a_meaning_of_their_own(row: Row, infos: Callable[..., Any]) -> None:
    settings = {
        "pretty_name": "My Set",
        "repo_id": "me/my-set",
        "changes": ["More letters."],
        "source_datasets": ["a/b"],
    }
    text = render([row(1)], infos(), settings)
    assert "\n# My Set\n" in text
    assert 'load_dataset("me/my-set", split="train")' in text
    assert "- **1.2.0:** 1 rows in `default`, 1 in `all`" in text
    assert "  - More letters." in text
    assert "source_datasets:\n- a/b\n" in text
    assert "### Settings" not in text


def test_plots_stand_where_they_belong(row: Row, infos: Callable[..., Any]) -> None:
    text = render([row(1)], infos(), plots=PLOTS)
    assert "![Alt of perplexity](assets/perplexity.png)" in text.split("### Lengths")[0]
    assert "![Alt of thinking_length](assets/thinking_length.png)" in text.split("### Lengths")[1]
    assert "categories.png" not in text


@pytest.mark.parametrize(
    ("scored", "sentence"),
    [
        ((True, True), "counts in every row"),
        ((False, False), "is context only and does not count"),
        ((True, False), "counts in 50.0% of all rows"),
    ],
)
def test_card_says_whether_the_first_paragraph_counts(
    row: Row, infos: Callable[..., Any], scored: tuple[bool, bool], sentence: str
) -> None:
    text = render([row(n, first_segment_scored=value) for n, value in enumerate(scored)], infos())
    assert sentence in text


def test_card_without_kept_rows_is_refused(row: Row, infos: Callable[..., Any]) -> None:
    with pytest.raises(BuildError, match="at least one kept row"):
        render([row(1, keep=False, drop_reasons=["pii"])], infos())


@pytest.mark.parametrize(
    ("licences", "fields"),
    [
        (["MIT"], {"license": "mit"}),
        (["mit", "mit"], {"license": "mit"}),
        (["Public domain (US)"], {"license": "other", "license_name": "public-domain-us"}),
        (["odc-by", "Apache-2.0"], {"license": "other", "license_name": "apache-2.0-and-odc-by"}),
    ],
)
def test_licences(licences: list[str], fields: dict[str, str]) -> None:
    assert licence_fields(licences) == fields


@pytest.mark.parametrize(
    ("rows", "name"), [(24, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (20_000, "10K<n<100K"), (10**9, "100M<n<1B")]
)
def test_size_categories(rows: int, name: str) -> None:
    assert size_category(rows) == name


def test_the_clipping_is_the_one_of_the_run(row: Row, infos: Callable[..., Any]) -> None:
    text = render([row(1)], infos(), {"search": {"clip_logprob": -10.0}})
    assert "clipped to the range from −10 to 0 (nats per token)" in text
    assert "clipped to the range" not in render([row(1)], infos())


def test_the_funnel_names_every_reason(row: Row, infos: Callable[..., Any]) -> None:
    counts = [{"stage": "source", "in": 33, "out": 26, "rejected": 7, "reasons": {"deleted": 2, "toxic": 5}}]
    text = render([row(1)], infos(), {"counts": counts})
    assert "| `source` | `deleted` 2, `toxic` 5 | 33 | 26 | 7 |" in text
    assert "`counts" not in text
    assert "From candidates to rows" not in render([row(1)], infos())
