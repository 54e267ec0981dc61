from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.metrics import units
from deepwriting.metrics.units import _UNIT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, Café!", ["don't", "stop", "café"]),
        ("don’t ‘quote’ me", ["don't", "quote", "me"]),
        ("1,000 ships in 1999.", ["1,000", "ships", "in", "1999"]),
        ("她说：好的。", ["她", "说", "好", "的"]),
        ("用GPT写作2次", ["用", "gpt", "写", "作", "2", "次"]),
        ("ひらがなカタ", ["ひ", "ら", "が", "な", "カ", "タ"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("snake_case — and - dashes", ["snake", "case", "and", "dashes"]),
        ("𠮷野家", ["𠮷", "野", "家"]),
        ("🙂🙃 🎉 … !!", []),
        ("", []),
    ],
)
def test_units(text: str, expected: list[str]) -> None:
    assert units(text) == expected


def test_another_typesetting_of_the_same_words_makes_no_difference() -> None:
    assert units("ＦＵＬＬ ｗｉｄｔｈ １２") == units("full width 12")
    assert units("Cafe\u0301") == units("CAFÉ")


@given(st.text())
def test_any_text_has_units_without_space(text: str) -> None:
    assert all(unit and not any(character.isspace() for character in unit) for unit in units(text))


@given(st.lists(st.sampled_from(["tide", "don't", "山", "12", "été"])))
def test_units_survive_joining(words: list[str]) -> None:
    assert units(" ".join(words)) == words


@given(st.lists(st.sampled_from("aZ ß9.,:_-'’‘ʼ“”–—…éﬁ中ａ\n½²") | st.characters(), max_size=30).map("".join))
def test_the_way_for_english_typography_changes_nothing(text: str) -> None:
    apostrophes = text.translate({0x2019: "'", 0x2018: "'", 0x02BC: "'"})
    assert units(text) == _UNIT.findall(unicodedata.normalize("NFKC", apostrophes).lower())


@given(st.lists(st.sampled_from("aZ' .5\n\x1f"), max_size=30).map("".join))
def test_the_way_for_words_without_digits_changes_nothing(text: str) -> None:
    assert units(text) == _UNIT.findall(text.lower())
