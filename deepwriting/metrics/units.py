"""The one tokeniser of the metrics: words for alphabetic scripts, characters for Chinese.

Model tokens would make the published numbers depend on a model; these units depend on nothing.
"""

from __future__ import annotations

import re
import unicodedata

#: Inside of a regex class: Chinese characters and Japanese kana, which are written without spaces between words. Hangul
#: is not among them: Korean separates its words.
CJK = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

_LETTER = rf"[^\W\d_{CJK}]"
_UNIT = re.compile(rf"[{CJK}]|\d+(?:[.,:]\d+)*|{_LETTER}+(?:'{_LETTER}+)*")
#: The same for what is all ASCII, three times as fast.
_ASCII_UNIT = re.compile(r"\d+(?:[.,:]\d+)*|[a-z]+(?:'[a-z]+)*", re.ASCII)
#: Punctuation beyond ASCII that most English texts have; it separates units like a space.
_SEPARATORS = "\u201c\u201d\u2013\u2014\u2026"
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})


def units(text: str) -> list[str]:
    """Split a text into the units that all metrics count.

    A unit is a lower-cased word with its inner apostrophes ("don't"), a number ("1,000"), or one Chinese or Japanese
    character. Punctuation, emoji and underscores are dropped. Compatibility forms are unified (NFKC, curly
    apostrophes), so that full-width letters or another typesetting of the same words make no difference.

    Args:
        text: any text.

    Returns:
        The units in order; empty when the text holds none.
    """
    plain = text if text.isascii() else _without_typography(text)
    if plain.isascii():
        return _ASCII_UNIT.findall(plain.lower())
    unified = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    return _UNIT.findall(unified)


def _without_typography(text: str) -> str:
    text = text.replace("\u2019", "'").replace("\u2018", "'").replace("\u02bc", "'")
    for separator in _SEPARATORS:
        if separator in text:
            text = text.replace(separator, " ")
    return text
