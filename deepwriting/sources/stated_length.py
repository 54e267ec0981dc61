"""The length that a writing request states, in the usual phrasings of English and Chinese."""

from __future__ import annotations

import re

#: What is believed of a stated length (words or characters): less is a detail, more no answer of one turn.
MIN_WORDS, MAX_WORDS = 20, 200_000

_NUMBER = r"\d{1,3}(?:[,，]\d{3})+|\d+(?:\.\d+)?"
_RANGE = r"(?:\s*(?:-|–|—|to|and|~|～|至|到)\s*"
_ENGLISH = re.compile(
    rf"(?<![\w.,])(?P<low>{_NUMBER})(?P<thousand>\s*k\b|\s+thousand\b)?{_RANGE}(?P<high>{_NUMBER})(?P<more>\s*k\b)?)?"
    r"\s*\+?[\s-]*(?:english\s+)?words?\b",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    rf"(?P<low>{_NUMBER}|[一二两三四五六七八九十百千万]+)\s*(?P<thousand>[千万kK])?"
    rf"{_RANGE}(?P<high>{_NUMBER}|[一二两三四五六七八九十百千万]+)\s*(?P<more>[千万kK])?)?"
    r"\s*(?:多|余|左右)?(?:个)?(?:汉字|漢字|字(?!典|体|體|母|符串|面|眼))"
)
#: Written-out numbers of the usual requests ("a thousand words", "five hundred words").
_SPELT = re.compile(
    r"\b(?P<count>a|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty)\s+"
    r"(?P<scale>hundred|thousand)[\s-]+words?\b",
    re.IGNORECASE,
)
_SPELT_COUNTS = {
    "a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20,
}  # fmt: skip
_DIGITS = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_PLACES = {"十": 10, "百": 100, "千": 1_000, "万": 10_000}
_SCALES = {"k": 1_000, "千": 1_000, "万": 10_000}


def requested_words(query: str) -> int | None:
    """The length that a request states (words; characters in Chinese), or ``None``.

    Of a range the middle counts, and of several lengths the largest: "five chapters of 400 words, 2,000 words in all".

    Args:
        query: the request.
    """
    found = [
        *(_middle(match) for match in _ENGLISH.finditer(query)),
        *(_middle(match) for match in _CHINESE.finditer(query)),
        *(
            _SPELT_COUNTS[match["count"].lower()] * (1_000 if match["scale"].lower() == "thousand" else 100)
            for match in _SPELT.finditer(query)
        ),
    ]
    return max((round(length) for length in found if MIN_WORDS <= length <= MAX_WORDS), default=None)


def _middle(match: re.Match[str]) -> float:
    low, high = _value(match["low"], match["thousand"]), match["high"]
    if high is None:
        return low
    upper = _value(high, match["more"])
    if match["more"] and not match["thousand"]:  # "2-3k words", "两到三千字"
        low = _value(match["low"], match["more"])
    elif low < upper / 100 and not match["thousand"]:  # "一到两千字" has its scale in the second number only
        low *= _places_of(high)
    return (low + upper) / 2


def _value(number: str, scale: str | None) -> float:
    factor = _SCALES.get((scale or "").strip().lower()[:1], 1)
    if scale and scale.strip().lower() == "thousand":
        factor = 1_000
    if number[0].isdigit():
        return float(re.sub(r"[,，]", "", number)) * factor
    return _chinese_number(number) * factor


def _places_of(number: str) -> int:
    return next((value for place, value in reversed(_PLACES.items()) if place in number), 1)


def _chinese_number(number: str) -> int:
    total = section = digit = 0
    for char in number:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char == "万":
            total += (section + digit or 1) * _PLACES[char]
            section = digit = 0
        else:
            section += (digit or 1) * _PLACES[char]
            digit = 0
    return total + section + digit
