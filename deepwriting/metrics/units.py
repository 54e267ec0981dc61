"""The one tokeniser of the metrics: words for alphabetic scripts, characters for Chinese.

Model tokens would make the published numbers depend on a model; these units depend on nothing.
"""

from __future__ import annotations

import re
import string
import unicodedata

#: Inside of a regex class: Chinese characters and Japanese kana, which are written without spaces between words. Hangul
#: is not among them: Korean separates its words.
CJK = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

_LETTER = rf"[^\W\d_{CJK}]"
_UNIT = re.compile(rf"[{CJK}]|\d+(?:[.,:]\d+)*|{_LETTER}+(?:'{_LETTER}+)*")
#: The same for what is all ASCII, three times as fast.
_ASCII_UNIT = re.compile(r"\d+(?:[.,:]\d+)*|[a-z]+(?:'[a-z]+)*", re.ASCII)
#: For ASCII without digits, three times as fast again: letters in lower case, apostrophes, and spaces for the rest.
_LETTERS = bytes(
    ord(chr(code).lower()) if chr(code) in string.ascii_letters + "'" else ord(" ") for code in range(128)
) + bytes(128)
_NO_DIGIT = bytes(set(range(256)) - set(string.digits.encode()))
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
    plain = text if text.isascii() else without_typography(text)
    words = _words(plain)
    if words is not None:
        return words
    found: list[str] = []
    # No unit, and nothing that NFKC or lower-casing looks at, reaches over the end of a line.
    for line, original in zip(plain.split("\n"), text.split("\n"), strict=True):
        words = _words(line)
        found += _units(line, original) if words is None else words
    return found


def _units(plain: str, text: str) -> list[str]:
    if plain.isascii():
        return _ASCII_UNIT.findall(plain.lower())
    unified = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    return _UNIT.findall(unified)


def _words(plain: str) -> list[str] | None:
    """The units of a text of ASCII characters without digits; ``None`` for any other."""
    if not plain.isascii():
        return None
    data = plain.encode()
    if data.translate(None, _NO_DIGIT):
        return None
    data = data.translate(_LETTERS)
    if b"'" in data:
        # Apostrophes stay inside of words only. Two together part words, so that of each pair none is left.
        data = b" %b " % data.replace(b"''", b" ")
        data = data.replace(b" '", b" ").replace(b"' ", b" ")
    return data.decode("ascii").split()


def without_typography(text: str) -> str:
    """The text with plain apostrophes, and spaces for the punctuation that sets many English texts apart from ASCII."""
    text = text.replace("\u2019", "'").replace("\u2018", "'").replace("\u02bc", "'")
    for separator in _SEPARATORS:
        if separator in text:
            text = text.replace(separator, " ")
    return text
