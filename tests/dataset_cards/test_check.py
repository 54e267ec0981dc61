from __future__ import annotations

from pathlib import Path

import pytest

from deepwriting.dataset_cards.check import check_card, parse_yaml
from deepwriting.errors import CardError


@pytest.fixture(scope="module")
def card(built: Path) -> str:
    return (built / "README.md").read_text(encoding="utf-8")


def test_a_built_card_passes(card: str, built: Path) -> None:
    check_card(card, built)
    assert parse_yaml(card)["license"] == ["cc-by-sa-4.0", "mit"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("---\n", "", "has no YAML block"),
        ("pretty_name: My Set", "pretty_name: My: Set", r"not valid: line \d+: mapping values are not allowed"),
        ("pretty_name: My Set", "pretty_name: [My Set", r"not valid: line \d+: "),
        ("pretty_name: My Set", "\tpretty_name: My Set", r"not valid: line \d+: "),
        ("pretty_name: My Set", "pretty_name: A\npretty_name: B", r"not valid: line \d+: 'pretty_name' stands twice"),
        ("pretty_name: My Set", "pretty_name: 3", "pretty_name is 3; expected a text"),
        ("pretty_name: My Set\n", "", "lacks pretty_name"),
        ("language:\n- en", "language:\n- no", "language holds False"),
        ("language:\n- en", "language:\n- English", "language is 'English'; expected ISO 639"),
        ("- mit", "- my-own", "license is 'my-own'; allowed are"),
        ("license:\n- cc-by-sa-4.0\n- mit", "license: other", "license has other and its license_name None"),
        ("n<1K", "few", "size_categories hold 'few'; allowed are n<1K"),
        ("config_name: sft", "config_name: ../sft", r"config_name '\.\./sft'"),
        ("- config_name: sft\n  data", "- config_name: all\n  data", "configs name 'all' twice"),
        ("- config_name: sft\n  data", "- config_name: tsf\n  data", "dataset_info describes all, default, sft"),
        ("- config_name: sft\n  data", "- config_name: sft\n  default: true\n  data", "2 defaults: default, sft"),
        ("path: data/sft/train-*", "path: ../sft/train-*", "which is not inside of the dataset's folder"),
        ("path: data/sft/train-*", "path: /etc/passwd", "which is not inside of the dataset's folder"),
        ("path: data/sft/train-*", "path: https://x/y", "which is not inside of the dataset's folder"),
        ("path: data/sft/train-*", "path: data/sft/test-*", "no file in .* matches 'data/sft/test-"),
        ("num_examples: 5", "num_examples: 0", "0 rows; expected at least 1"),
        (
            "  - name: thinking\n    dtype: string",
            "  - name: thinking\n    dtype: strings",
            "cannot be read by `datasets`",
        ),
    ],
)
def test_what_the_hub_or_datasets_would_stumble_over_is_named(
    card: str, built: Path, old: str, new: str, message: str
) -> None:
    assert old in card
    with pytest.raises(CardError, match=message):
        check_card(card.replace(old, new, 1), built)


@pytest.mark.parametrize("block", ["- a\n- b", "text"])
def test_a_block_without_keys_is_refused(block: str) -> None:
    with pytest.raises(CardError, match="expected keys with values"):
        parse_yaml(f"---\n{block}\n---\n# T\n")
