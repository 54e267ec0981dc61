"""Personal data in query, answer and a given thinking, replaced by placeholders that read like words.

======  ===================================  ============  =============================================================
kind    placeholder                          in Chinese    what stays
======  ===================================  ============  =============================================================
email   [email]                              [邮箱]        addresses reserved for examples (RFC 2606: example.com …)
ip      [IP address]                         [IP地址]      private and reserved ones; numbers such as 1.2.3.4 (sections)
card    [card number]                        [卡号]        numbers that fail the Luhn check or begin like no card
phone   [phone number]                       [电话号码]    555-01xx, reserved for fiction; see ``phones.py``
handle  [username]                           [用户名]      decorators and style sheets, fenced code, a lone @
======  ===================================  ============  =============================================================

The expressions for e-mail and IPv4 addresses, and what makes an address public, are datatrove's (``PIIFormatter``). It
puts addresses that look real in their place; a model would learn those by heart, therefore ours are words.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

from datatrove.data import Document

from deepwriting.cleaning.phones import phone_numbers
from deepwriting.cleaning.step import CleaningStep
from deepwriting.cleaning.words import has_digit
from deepwriting.schema import GIVEN_THINKING
from deepwriting.sections.cleaning import CleaningSection

#: Kind -> placeholder, in the order in which the kinds are looked for.
PLACEHOLDERS = {
    "email": {"en": "[email]", "zh": "[邮箱]"},
    "ip": {"en": "[IP address]", "zh": "[IP地址]"},
    "card": {"en": "[card number]", "zh": "[卡号]"},
    "phone": {"en": "[phone number]", "zh": "[电话号码]"},
    "handle": {"en": "[username]", "zh": "[用户名]"},
}
KINDS = tuple(PLACEHOLDERS)

#: Longest parts of an address before and from the @ on (RFC 5321, characters).
_LOCAL_CHARS, _DOMAIN_CHARS = 64, 256
#: Names reserved for examples and tests (RFC 2606, RFC 6761).
_RESERVED = re.compile(r"(?:^|[@.])(?:example\.(?:com|org|net)|example|test|invalid|localhost)$", re.IGNORECASE)
_DOTTED = re.compile(r"\d\.\d{1,3}\.\d")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
#: 13 to 19 digits in one piece or in groups; the first digits are those of card schemes (3 to 6, and Mastercard's 2).
_CARD = re.compile(r"(?<![\d.,-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\d]|[.,-]\d)")
_CARD_START = re.compile(r"3[0-9]|4|5[0-9]|6|2[2-7]")
_AT_NAME = re.compile(
    r"(?<![A-Za-z0-9_@/.+=&%-])@(?:[A-Za-z_][A-Za-z0-9_]{1,29}(?:\.[A-Za-z0-9_]+)*(?![A-Za-z0-9_@/]|-\w)"
    r"|[\u4e00-\u9fff][\w\u4e00-\u9fff-]{1,11}(?=[\s:：,，]|$))"
)
_REDDIT_NAME = re.compile(r"(?<![\w/.])/?u/[A-Za-z0-9][A-Za-z0-9_-]{2,19}\b(?!/)")
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
#: What follows @ at the beginning of a line in programs, style sheets and their comments.
_CODE_NAMES = frozenset({
    "media", "import", "charset", "keyframes", "supports", "page", "font", "layer", "container", "namespace", "param",
    "params", "return", "returns", "throws", "override", "deprecated", "test", "see", "since", "author", "link", "type",
    "typedef", "property", "staticmethod", "classmethod", "dataclass",
})  # fmt: skip
_DECORATOR = re.compile(
    r"[ \t]*@[\w.]+(?:\(.*\))?[ \t]*\n(?:[ \t]*@.*\n)*[ \t]*(?:async |def |class |public |private |func)"
)
#: Without a stretch like this there is no card, phone number or IPv4 address.
_NUMBER = re.compile(r"\d[\d ().,:/\u2010-\u2013-]{5,}\d")
_HAN = re.compile(r"[\u4e00-\u9fff]")


@cache
def _email() -> re.Pattern[str]:
    """Datatrove's expression for addresses; ASCII, so that a Chinese character before one is no part of it."""
    return re.compile(_datatrove().emails_replacer.regex.pattern, re.ASCII)


@cache
def _datatrove() -> Any:
    from datatrove.pipeline.formatters import PIIFormatter

    return PIIFormatter()


def mask(text: str, kinds: Collection[str] = KINDS) -> tuple[str, Counter[str]]:
    """Replace personal data.

        >>> mask("Write to ada@lovelace.name or call.")
        ('Write to [email] or call.', Counter({'email': 1}))

    Args:
        text: any text.
        kinds: which kinds are replaced.

    Returns:
        The text, and how many pieces of each kind were replaced.
    """
    counts: Counter[str] = Counter()
    numbers = has_digit(text) and _NUMBER.search(text) is not None
    for kind, finder in _FINDERS.items():
        if kind in kinds and (numbers or kind not in _OF_NUMBERS):
            text = _replaced(text, kind, finder(text), counts)
    return text, counts


def _replaced(text: str, kind: str, spans: list[tuple[int, int]], counts: Counter[str]) -> str:
    if not spans:
        return text
    placeholder = PLACEHOLDERS[kind]["zh" if _HAN.search(text) else "en"]
    pieces, end = [], 0
    for start, stop in spans:
        pieces += [text[end:start], placeholder]
        end = stop
    counts[kind] += len(spans)
    return "".join([*pieces, text[end:]])


def _emails(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    end = 0
    at = text.find("@")
    while at >= 0:
        # Only around each @, no further than an address reaches: over a long text without spaces the expression would
        # start anew at every sign.
        first = max(end, at - _LOCAL_CHARS)
        for match in _email().finditer(text[first : at + _DOMAIN_CHARS]):
            start, stop = first + match.start(), first + match.end()
            if start <= at < stop:
                end = stop
                if not _RESERVED.search(match.group()):
                    spans.append((start, stop))
                break
        at = text.find("@", at + 1)
    return spans


def _addresses(text: str) -> list[tuple[int, int]]:
    spans = []
    if has_digit(text) and _DOTTED.search(text):
        replacer = _datatrove().ip_replacer
        for match in replacer.regex.finditer(text):
            start, end = match.span()
            # Part of a longer number, or a number of sections and versions: "1.2.3.4".
            longer = text[max(0, start - 2) : start].strip(" (").endswith((".", *"0123456789")) or re.match(
                r"\d|\.\d", text[end : end + 2]
            )
            if not longer and len(match.group()) > len("1.2.3.4") and replacer.validator(match.group()):
                spans.append((start, end))
    if "::" in text or text.count(":") >= 7:
        spans += [match.span() for match in _IPV6.finditer(text) if _public_ipv6(match.group())]
    return sorted(spans)


def _public_ipv6(address: str) -> bool:
    try:
        return ipaddress.IPv6Address(address).is_global and len(address) > 6
    except ValueError:
        return False


def luhn(digits: str) -> bool:
    """Whether a number of digits has the check digit of a payment card (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _cards(text: str) -> list[tuple[int, int]]:
    spans = []
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if _CARD_START.match(digits) and len(set(digits)) > 1 and luhn(digits):
            spans.append(match.span())
    return spans


def _handles(text: str) -> list[tuple[int, int]]:
    spans = []
    if "@" in text:
        fences = [match.span() for match in _FENCED.finditer(text)] if "```" in text else []
        for match in _AT_NAME.finditer(text):
            start, end = match.span()
            while text[end - 1] in "._":  # the full stop behind a name is the sentence's
                end -= 1
            fenced = any(begin <= start < stop for begin, stop in fences)
            if not fenced and not _is_code(text, start, match.group()[1:]):
                spans.append((start, end))
    if "u/" in text:
        spans += [match.span() for match in _REDDIT_NAME.finditer(text)]
    return sorted(spans)


def _is_code(text: str, start: int, name: str) -> bool:
    """Whether an @name opens a line of a program or a style sheet."""
    line = text.rfind("\n", 0, start) + 1
    if text[line:start].strip(" \t*/"):
        return False
    return name.split(".")[0].lower() in _CODE_NAMES or _DECORATOR.match(text, line) is not None


_FINDERS: dict[str, Callable[[str], list[tuple[int, int]]]] = {
    "email": _emails,
    "ip": _addresses,
    "card": _cards,
    "phone": phone_numbers,
    "handle": _handles,
}


#: Kinds that need a stretch of digits; an IPv6 address does not.
_OF_NUMBERS = ("card", "phone")


class MaskPersonalData(CleaningStep):
    """Replaces personal data in query and answer, and in the thinking that came with them.

    Writes ``pii_masked``, the number of replacements, and the numbers by kind as ``pii_masked`` in the provenance of a
    pair that has any. Counters: ``pii_EMAIL`` and so on for replacements, ``pii_rows`` and ``pii_none`` for pairs.
    """

    name = "🔏 Personal data"
    switch = "pii"

    def clean(self, doc: Document, settings: CleaningSection) -> None:
        """Mask one pair in place."""
        doc.text, counts = mask(doc.text, settings.pii_kinds)
        for key in ("query", GIVEN_THINKING):
            if text := doc.metadata.get(key):
                doc.metadata[key], more = mask(text, settings.pii_kinds)
                counts += more
        doc.metadata["pii_masked"] = counts.total()
        if not counts:
            self.count("pii_none")
            return
        provenance = json.loads(doc.metadata.get("provenance") or "{}")
        provenance["pii_masked"] = dict(sorted(counts.items()))
        doc.metadata["provenance"] = json.dumps(provenance, ensure_ascii=False, sort_keys=True)
        self.count("pii_rows")
        for kind, count in counts.items():
            self.count(f"pii_{kind}", count)
