from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from deepwriting.dataset_cards.card import render_card
from deepwriting.dataset_cards.metadata import size_category
from deepwriting.dataset_cards.plots import LENGTH, PATTERNS, PERPLEXITY
from deepwriting.dataset_cards.statistics import summarise
from deepwriting.errors import BuildError
from deepwriting.schema import CONFIG_COLUMNS

Row = Callable[..., dict[str, Any]]


def render(rows: list[dict[str, Any]], infos: Any, settings: dict[str, Any] | None = None, **changes: Any) -> str:
    arguments = {
        "name": "my-set",
        "version": "1.2.0",
        "deepwriting_version": "0.9.0",
        "infos": infos,
        "schema": CONFIG_COLUMNS,
    } | changes
    return render_card(summarise(rows), settings or {}, **arguments)


def test_yaml_describes_every_config_and_round_trips(row: Row, infos: Callable[..., Any]) -> None:
    from huggingface_hub import DatasetCard

    text = render([row(1), row(2, language="zh")], infos(default=2))
    data = DatasetCard(text).data.to_dict()
    assert {config["config_name"] for config in data["configs"]} == {"default", "all", "steps", "sft"}
    assert [config["config_name"] for config in data["configs"] if config.get("default")] == ["default"]
    sizes = {info["config_name"]: info["splits"][0]["num_examples"] for info in data["dataset_info"]}
    assert sizes["default"] == 2
    assert data["language"] == ["en", "zh"]
    assert data["license"] == "cc-by-4.0"
    assert {"reer", "deep-reasoning", "writing"} <= set(data["tags"])
    assert data["task_categories"] == ["text-generation"]
    assert data["pretty_name"] == "my-set"
    assert data["size_categories"] == ["n<1K"]


def test_splits_stand_in_the_yaml_and_in_the_prose(row: Row, infos: Callable[..., Any]) -> None:
    from huggingface_hub import DatasetCard

    text = render([row(1)], infos(("default", "all"), validation=2))
    data = DatasetCard(text).data.to_dict()
    (default,) = (config for config in data["configs"] if config["config_name"] == "default")
    assert default["data_files"] == [
        {"split": "train", "path": "data/default/train-*"},
        {"split": "validation", "path": "data/default/validation-*"},
    ]
    assert "share no request" in text
    assert 'split="validation"' in text
    assert "| config | what it holds | train | validation | download |" in text
    shared = render([row(1)], infos(("default", "all"), validation=2), shared_requests=3)
    assert "Careful: 3 requests stand in both splits." in shared
    assert 'split="validation"' not in render([row(1)], infos())


@pytest.mark.parametrize("configs", [("default", "all"), ("default",), ("all",), tuple(CONFIG_COLUMNS)])
def test_any_subset_of_configs_is_described(row: Row, infos: Callable[..., Any], configs: tuple[str, ...]) -> None:
    from huggingface_hub import DatasetCard

    text = render([row(1)], infos(configs))
    data = DatasetCard(text).data.to_dict()
    assert [config["config_name"] for config in data["configs"]] == sorted(configs)
    assert sum(bool(config.get("default")) for config in data["configs"]) == 1
    assert ('"sft"' in text) == ("sft" in configs)
    assert ("the config `all`" in text) == ("all" in configs)
    for config in configs:
        assert f"| `{config}` |" in text


def test_nothing_of_the_template_is_left_over(row: Row, infos: Callable[..., Any]) -> None:
    text = render([row(1)], infos())
    assert not re.search(r"\{\{ | \}\}|\{%|None|Undefined|TODO|\n\n\n", text)
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
    text = render([row(1)], infos(CONFIG_COLUMNS))
    for columns in CONFIG_COLUMNS.values():
        for column in columns:
            assert f"| `{column.name}` |" in text
    assert "| `refusal` | string | Why the candidate was refused, or its scoring ended early. | yes |" in text
    assert "| `messages` | list of {role, content} |" in text
    assert "<summary><code>default</code>, <code>initial</code>" in text
    assert "<summary><code>all</code>: the 40 of <code>default</code> and 4 more</summary>" in text


def test_configs_table_has_rows_and_sizes(row: Row, infos: Callable[..., Any]) -> None:
    text = render([row(1)], infos(steps=1234))
    assert re.search(r"\| `steps` \| [^|]+ \| 1,234 \| 1\.5 MB \|", text)


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
    assert (
        "- **1.2.0** (this version): 1 kept rows of 1 searched. Made with deepwriting 0.9.0.\n  - More letters." in text
    )
    assert "source_datasets:\n- a/b\n" in text
    assert "### Settings" not in text


def test_plots_stand_where_they_belong(row: Row, infos: Callable[..., Any]) -> None:
    text = render([row(1)], infos(), plots=(PERPLEXITY, LENGTH, PATTERNS))
    assert f"![{PERPLEXITY.alt}](assets/perplexity.png)" in text.split("### Lengths")[0]
    assert "(assets/thinking_length.png)" in text.split("### Lengths")[1].split("### Copying")[0]
    assert "(assets/thinking_patterns.png)" in text.split("### Thinking patterns")[1]
    assert "categories.png" not in text


def test_patterns_are_counted_by_rows_and_occurrences(row: Row, infos: Callable[..., Any]) -> None:
    none: dict[str, Any] = {"thinking_patterns": [], "thinking_pattern_count": 0}
    text = render([row(1), row(2), row(3, **none), row(4, **none)], infos())
    assert "At least one occurs in 50.0% of the kept rows." in text
    assert "| wait | 2 | 50.0% | 4 |\n| 也许 | 2 | 50.0% | 2 |" in text
    assert "None occurs in the kept rows." in render([row(1, **none)], infos())


def test_licences_are_told_for_each_source(row: Row, infos: Callable[..., Any]) -> None:
    rows = [row(1), row(2, source="essays", license="CC BY-NC-SA 4.0", keep=False, drop_reasons=["copying"])]
    settings = {"sources": [{"name": "letters", "kind": "pairs", "dataset": "me/letters"}]}
    text = render(rows, infos(), settings)
    assert "license:\n- cc-by-4.0\n- cc-by-nc-sa-4.0\n" in text
    letters = "| [letters](<https://huggingface.co/datasets/me/letters>) | [cc-by-4.0](<https://spdx.org/licenses/"
    assert f"{letters}CC-BY-4.0.html>) | name the author | 1 | 1 |" in text
    assert "| name the author; no commercial use; share under the same licence | 1 | 0 |" in text


def test_limits_are_computed(row: Row, infos: Callable[..., Any]) -> None:
    rows = [row(n, category="Speeches" if n < 3 else "Poems", domain="d") for n in range(1, 6)]
    rows[4] |= {"language": "zh", "category": "Poems"}
    text = " ".join(render(rows, infos()).split())
    assert "The largest category, Creative Writing," not in text
    assert "The largest category, Poems, has 60.0% of the kept rows, the largest source, `letters`, 100.0%" in text
    assert "languages: English (4), Chinese (1)" in text
    assert "placeholders in 1 kept rows (20.0%;" in text


def test_citation_has_what_is_known(row: Row, infos: Callable[..., Any]) -> None:
    settings = {
        "authors": ["Ada Lovelace", "王小明"],
        "date": "2026-11-26",
        "repo_id": "me/my-set",
        "pretty_name": "A {B}",
    }
    text = render([row(1)], infos(), settings)
    assert "@misc{myset,\n  title   = {{A (B)}},\n  author  = {Ada Lovelace and 王小明},\n  year    = {2026},\n" in text
    assert "  url     = {https://huggingface.co/datasets/me/my-set},\n" in text
    assert "author  =" not in render([row(1)], infos())


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
    ("rows", "name"), [(24, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (20_000, "10K<n<100K"), (10**9, "1B<n<10B")]
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
