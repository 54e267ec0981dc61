from __future__ import annotations

import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Callable
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.formatters import FTFYFormatter
from ftfy.badness import BADNESS_RE
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwriting.cleaning.fix_text import FixText, _suspicious, fix_text

STOCK = FTFYFormatter()
#: Texts of the kinds that decide: plain, typeset, Chinese, broken, with entities and control characters.
PIECES = (
    "The tide came in.", "“Wait,” she said — ‘now’…", "她说：“等一等，好吗？”", "wasnâ€™t", "cafÃ©", "Tom &amp; Ada",
    "a < b &lt; c", "\x00", "\x1b[31mred\x1b[0m", "\x85", "\ufeff", "é", "ﬁne", "Ｆｕｌｌ", "\n", "\r\n", " ", "Ã ",
    "\ufffd", "\u2019s", "œuvre", "ｱ", "Â£5", "ä½ å¥½", "\u200b", "\u202a", "\u2028", "\xa0", "\xad",
)  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "fixed"),
    [
        ("It wasnâ€™t there.", "It wasn’t there."),
        ("a cafÃ© in AlgÃ©rie", "a café in Algérie"),
        ("å¤§å®¶å¥½", "大家好"),
        ("Tom &amp; Ada said &quot;no&quot;", 'Tom & Ada said "no"'),
        ("one\x00two\x1b[31m three", "onetwo three"),
    ],
)
def test_what_is_broken_is_repaired(broken: str, fixed: str) -> None:
    assert fix_text(broken) == fixed


@pytest.mark.parametrize(
    "text",
    [
        "“Curly,” she said — ‘still’ curly…",
        "他说：“好，我们走吧！”（笑）",
        "Ｆｕｌｌ width",
        "ﬁne ligature",
        "a\r\nb",
        "naïve café",
        "",
    ],
)
def test_style_is_left_alone(text: str) -> None:
    assert fix_text(text) is text


@settings(max_examples=80)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join))
def test_the_shortcut_changes_nothing_about_datatroves_formatter(text: str) -> None:
    assert fix_text(text) == STOCK.format(text)


def test_nothing_looks_broken_without_a_character_that_the_shortcut_looks_for() -> None:
    _, alternatives = parser.parse(BADNESS_RE.pattern, BADNESS_RE.flags)[0][1]
    for alternative in alternatives:
        needed = [matched for item in alternative if (matched := characters_of(*item))]
        assert any(all(map(_suspicious().match, matched)) for matched in needed), alternative


def characters_of(kind: Any, value: Any) -> list[str]:
    """The characters of an item of a parsed expression that is a character or a plain class; none for another."""
    items = value if kind is parser.IN else [(kind, value)]
    found: list[str] = []
    for which, what in items:
        if which is parser.LITERAL:
            found.append(chr(what))
        elif which is parser.RANGE:
            found += map(chr, range(what[0], what[1] + 1))
        else:
            return []
    return found


def test_query_and_answer_are_repaired_and_a_missing_query_stays_missing(cleaned: Callable[..., Document]) -> None:
    doc = cleaned(FixText, "It wasnâ€™t.", "Donâ€™t.")
    assert (doc.text, doc.metadata["query"]) == ("It wasn’t.", "Don’t.")
    assert cleaned(FixText, "It wasnâ€™t.", None).metadata["query"] is None
    assert cleaned(FixText, "It wasnâ€™t.", fix_text=False).text == "It wasnâ€™t."


def test_a_thinking_that_came_with_the_pair_is_repaired() -> None:
    step = FixText()
    metadata = {"query": "Write it.", "given_thinking": "It wasnâ€™t there. "}
    (doc,) = step.run([Document(text="Fine.", id="own/1", metadata=metadata)])
    assert doc.metadata["given_thinking"] == "It wasn’t there. "
    assert step.stats.stats["text_fixed"].total == 1
