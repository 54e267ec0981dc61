"""Phone numbers in prose, found with Google's ``phonenumbers``.

Its matcher alone takes 11 ms for a text of 400 words with years in it, and takes a bare number of ten digits for one of
the United States. So it is asked only about stretches that could be a number, and a stretch of bare digits counts only
behind a word such as "call", or if it is a Chinese mobile number. Numbers with a country code are known from any
country, others from the United States, Britain and, in a text with Chinese characters, China.

On ``tests/cleaning/test_phones.py``: 17 of 17 numbers found, none of 30 other numbers taken for one (years, ISBNs,
dates, sums, scores, coordinates, "1-2-3").

Left as they are: numbers reserved for fiction (555-01xx in North America; the ranges that Ofcom sets aside for drama),
and free-phone and service numbers, which belong to no person.
"""

from __future__ import annotations

import re

#: A stretch that could be a phone number: 7 to 15 digits with at most two separators between them.
_CANDIDATE = re.compile(
    r"(?<![\w.,/:#$£€¥-])[+(]{0,2}\d(?:[ ()./\u2010-\u2013-]{0,2}\d){6,14}(?![\w%]|[.,:]\d)", re.ASCII
)
_SEPARATOR = re.compile(r"[^\d]")
_GROUP = re.compile(r"\d\d")
_CUE = re.compile(
    r"(?:call|phone|tel|telephone|text|mobile|cell|contact|whatsapp|fax|dial|ring|reach|number|sms|no"
    r"|电话|手机|联系|致电|拨打|号码|热线|微信)\W{0,4}(?:\w+\W{1,3}){0,3}$",
    re.IGNORECASE,
)
_CHINESE_MOBILE = re.compile(r"(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}")
_HAN = re.compile(r"[\u4e00-\u9fff]")
#: National numbers reserved for fiction: North America; Ofcom's numbers for drama use.
_FICTION = re.compile(
    r"(?:\d{3})?55501\d{2}|7700900\d{3}|2079460\d{3}|(?:113|114|115|116|117|118|121|131|141|151|161)496\d{4}"
    r"|1632960\d{3}"
    r"|8081570\d{3}|3069990\d{3}"
)
#: Characters before a bare number in which a word such as "call" makes it a phone number.
_CUE_CHARS = 40


def phone_numbers(text: str) -> list[tuple[int, int]]:
    """Where phone numbers stand in a text: start and end of each, in order."""
    regions = ("CN", "US") if _HAN.search(text) else ("US", "GB")
    spans: list[tuple[int, int]] = []
    for match in _CANDIDATE.finditer(text):
        start = match.start()
        number = match.group()
        if _plausible(number, text[max(0, start - _CUE_CHARS) : start]):
            spans += _valid_spans(number, start, regions)
    return spans


def _plausible(number: str, before: str) -> bool:
    """Whether it is worth asking: digits in groups, or bare ones that are announced or those of a Chinese mobile."""
    if _SEPARATOR.search(number):
        return _GROUP.search(number) is not None
    return _CHINESE_MOBILE.fullmatch(number) is not None or _CUE.search(before) is not None


def _valid_spans(number: str, start: int, regions: tuple[str, ...]) -> list[tuple[int, int]]:
    for region in regions:
        if found := _valid(number, region):
            return [(start + found[0], start + found[1])]
    return []


def _valid(number: str, region: str) -> tuple[int, int] | None:
    """Where a valid and personal number stands in a stretch, or ``None``."""
    from phonenumbers import Leniency, PhoneNumberMatcher, PhoneNumberType, number_type

    service = {
        PhoneNumberType.TOLL_FREE, PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.UAN,
    }  # fmt: skip
    for found in PhoneNumberMatcher(number, region, leniency=Leniency.VALID):
        if _FICTION.fullmatch(str(found.number.national_number)) or number_type(found.number) in service:
            return None
        # A Chinese number without country code has the digits of many other numbers: it has to look like one.
        if region == "CN" and not number.startswith("+") and not _looks_chinese(found.raw_string):
            return None
        return found.start, found.end
    return None


def _looks_chinese(number: str) -> bool:
    return bool(_CHINESE_MOBILE.fullmatch(number) or re.fullmatch(r"\(?0\d{2,3}\)?[ -]?\d{7,8}", number))
