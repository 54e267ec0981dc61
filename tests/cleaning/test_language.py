from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.cleaning.language import ENGLISH_SHARE, ENGLISH_WORDS, Language, detected_language
from deepwriting.cleaning.words import words_of
from deepwriting.errors import RecipeError

ROWS = [json.loads(line) for line in (Path(__file__).parent / "languages.jsonl").read_text("utf-8").splitlines()]
LONG = [row for row in ROWS if len(words_of(row["text"])) >= 20]
BY_LANGUAGE = {row["language"]: row["text"] for row in LONG}


@pytest.mark.parametrize("row", LONG, ids=lambda row: row["text"][:12])
def test_long_texts_in_ten_languages(row: dict[str, str]) -> None:
    text = row["text"]
    assert detected_language(text, words_of(text), "py3langid", 20) == row["language"]


def test_short_texts_are_judged_by_script_alone() -> None:
    text = "Bitte halten Sie die Tür nach zehn Uhr abends geschlossen."
    assert detected_language(text, words_of(text), "py3langid", 20) == "en"
    assert detected_language(text, words_of(text), "py3langid", 5) == "de"


def test_common_english_words_are_rare_in_the_other_languages() -> None:
    for row in ROWS:
        if row["language"] != "en":
            words = words_of(row["text"])
            assert sum(word in ENGLISH_WORDS for word in words) < ENGLISH_SHARE * len(words) / 2


EN, ZH, DE = BY_LANGUAGE["en"], BY_LANGUAGE["zh"], BY_LANGUAGE["de"]
CASES: list[tuple[str, str | None, dict[str, Any], str | None]] = [
    (EN, "Write a scene.", {}, None),
    (ZH, "写一段故事。", {}, None),
    (EN, None, {}, None),
    (EN, "写一段故事。", {}, "language_mismatch"),
    (ZH, "Write a scene.", {}, "language_mismatch"),
    (ZH, "Write a scene.", {"allow_mixed_languages": True}, None),
    (DE, "Write a scene in German.", {}, "unsupported_language"),
    (DE, "Write a scene in German.", {"detector": "script"}, None),
    (EN, DE, {}, "unsupported_language"),
    (ZH, "写一段故事。", {"languages": ["en"]}, "unsupported_language"),
    ("Лампа погасла ещё до полуночи, и никто этого не заметил.", "Write.", {}, "unsupported_language"),
    ("夜中にランプが消えたが、だれも気がつかなかった。", "写。", {}, "unsupported_language"),
    (DE, "Write a scene.", {"language": False}, None),
]


@pytest.mark.parametrize(("answer", "query", "settings", "reason"), CASES)
def test_pairs(
    cleaned: Callable[..., Document], answer: str, query: str | None, settings: dict[str, Any], reason: str | None
) -> None:
    assert cleaned(Language, answer, query, **settings).metadata.get("reject") == reason


def test_a_detector_that_is_not_installed_is_refused_when_the_step_is_built(section: Callable[..., Any]) -> None:
    from importlib.util import find_spec

    if find_spec("fasttext") is not None:
        pytest.skip("fasttext is installed here")
    with pytest.raises(RecipeError, match=r"cleaning.detector = 'fasttext' needs the package fasttext, which is not"):
        Language({"own": section(detector="fasttext")})
