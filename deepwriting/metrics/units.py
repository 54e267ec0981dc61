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
    unified = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    return _UNIT.findall(unified)
