"""Phrases by which thinking shows itself: "hmm", "wait", "maybe"; 嗯, 等等, 也许 (paper, sections 2.3.1, 2.3.2, B.2).

Two kinds of pattern, because they need different care:

* *reflection*: the writer hesitates, doubts, branches or turns back. Only these tell that thinking goes on in the last
  tenth of a trajectory.
* *connective*: "but", "however", "actually", 但是, 其实. They join thoughts in thinking, and sentences in any prose.
  They count only where they open a sentence ("But the ending …", not "small but warm"), and never in the tail: a
  concluding "But the plan stands." is no sign of a loop.

Words with an everyday meaning beside the reflective one are told apart by their surroundings: "Wait, …" counts, "she
had to wait." does not; "等等，这不对" counts, "苹果、梨等等。" (and so on) does not. What remains is a heuristic: when
a character says "maybe" inside the thinking, it counts as well.

The patterns of both languages are tried on every text, since trajectories mix them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

#: The part of a trajectory, from its end, in which reflection must have stopped (paper, section 2.3.2: "final 10%").
TAIL_FRACTION = 0.1

PatternKind = Literal["reflection", "connective"]


@dataclass(frozen=True)
class Pattern:
    """One thinking pattern.

    Attributes:
        name: the phrase under which it is published.
        kind: reflection or connective, see the module's docstring.
        regex: compiled; the phrase itself is the group ``phrase``.
        needle: letters without which the regex cannot match, as ``_folded`` writes them; looking for them first spares
            most texts most of the patterns.
    """

    name: str
    kind: PatternKind
    regex: re.Pattern[str]
    needle: str = ""


# All repetitions are bounded: the prefixes are tried at every position, and a million spaces in a row must stay cheap.
_LINE_START = r"^[^\S\n]{0,8}(?:[>*#•-]{1,6}|\d{1,3}[.)、])?[^\S\n]{0,8}"
_SENTENCE_START = rf"(?:{_LINE_START}|[.!?…:;。！？：；][\"'”’)*_」』）]{{0,3}}\s{{0,4}})[\"'“‘(*_「『（]{{0,3}}"
# "…, wait, …", "— wait", "but wait": an interjection also opens a clause.
_CLAUSE_START = rf"(?:{_SENTENCE_START}|[,，—–(（-]\s{{0,4}}|(?<![a-z])(?:and|but|hmm|no|oh|so),?\s{{1,4}})"
_BREAK = r"(?=\s{0,2}(?:[,.!?…:;—–]|-[-\s]))"
_ZH_BREAK = r"(?=\s{0,2}[，,。.…！!？?；;—])"
_WAIT_FOLLOWERS = r"(?= (?:but|i|i'm|is|it|maybe|no|perhaps|that|this|what)\b)"
# 等等 after a list means "and so on"; after an interjection it means "wait".
_ZH_INTERJECTION = rf"(?:{_SENTENCE_START}|(?:嗯|哦|啊|呃|不对|但是?|不过)[，,…。！\s]{{0,3}})"


def _english(
    name: str, phrase: str, start: str = "", kind: PatternKind = "reflection", needle: str | None = None
) -> Pattern:
    # ASCII boundaries instead of \b: Chinese characters are word characters to \b, and mixed texts write 我maybe可以.
    # Apostrophes may be straight or curly.
    phrase = phrase.replace("'", "['’]")
    regex = rf"{start}(?<![a-z'’])(?P<phrase>{phrase})(?![a-z])"
    return Pattern(name, kind, re.compile(regex, re.IGNORECASE | re.MULTILINE), name if needle is None else needle)


def _chinese(
    name: str, phrase: str, start: str = "", kind: PatternKind = "reflection", needle: str | None = None
) -> Pattern:
    regex = re.compile(rf"{start}(?P<phrase>{phrase})", re.MULTILINE)
    return Pattern(name, kind, regex, name if needle is None else needle)


#: English patterns. The paper names the first six (sections 2.3.1, 2.3.2 and B.2); the others are of the same kind.
ENGLISH = (
    _english("hmm", r"hm+", needle="hm"),
    _english(
        "wait",
        rf"wait(?: a (?:minute|moment|second|sec))?(?:{_BREAK}|{_WAIT_FOLLOWERS})",
        _CLAUSE_START,
    ),
    _english("maybe", r"maybe"),
    _english("let me think", r"let(?: me|'s) (?:just )?(?:consider|reconsider|rethink|think)", needle="let"),
    _english("alternatively", r"alternatively"),
    _english("that's a bit", r"that(?: is|'s) a bit", needle=" a bit"),
    _english("perhaps", r"perhaps"),
    _english("hold on", rf"hold on(?: a (?:minute|moment|second|sec))?{_BREAK}", _CLAUSE_START),
    _english("let me see", rf"let(?: me|'s) see{_BREAK}", needle=" see"),
    _english("let me check", r"let(?: me|'s) (?:double-check|double check|re-?check|check|re-?read)", needle="let"),
    _english("what if", r"what if"),
    _english("how about", r"how about"),
    _english("i wonder", r"i wonder"),
    _english("not sure", r"i(?: a|')m (?:still )?not (?:entirely |quite |so )?sure", needle="sure"),
    _english("on second thought", r"on second thoughts?"),
    _english("scratch that", r"scratch that", _CLAUSE_START),
    _english("but", r"but", _SENTENCE_START, "connective"),
    _english("however", r"however", _SENTENCE_START, "connective"),
    _english("actually", r"actually", _SENTENCE_START, "connective"),
)

#: Chinese patterns. 不对 stands in 不对称 (asymmetric) and 对不对 (isn't it) as well.
CHINESE = (
    _chinese("嗯", r"嗯+"),
    _chinese("等等", rf"等等(?:{_ZH_BREAK}|(?=[这那我]))", _ZH_INTERJECTION),
    _chinese("等一下", rf"(?:等一下|等一等|稍等|且慢){_ZH_BREAK}", _ZH_INTERJECTION, needle=""),
    _chinese("也许", r"也许"),
    _chinese("或许", r"或许"),
    _chinese("说不定", r"说不定"),
    _chinese("不对", rf"(?<!对)不对(?:{_ZH_BREAK}|(?=\s|$))"),
    _chinese("让我想想", r"让我们?(?:再|先)?(?:好好|仔细)?(?:地)?(?:想想|想一想|想一下|思考|考虑|琢磨)", needle="让我"),
    _chinese("让我看看", r"让我们?(?:再|先)?(?:仔细)?(?:看看|看一下|检查|确认)", needle="让我"),
    _chinese("重新考虑", r"重新(?:考虑|思考|想想|想一想)", needle="重新"),
    _chinese("换个角度", r"换一?[个种](?:角度|思路|想法|方式|写法)", needle="换"),
    _chinese("会不会", r"会不会"),
    _chinese("如果…呢", r"(?:如果|要是|假如)[^。！？!?\n]{1,30}呢(?=\s?[？?])", needle="呢"),
    _chinese("但是", r"但是", _SENTENCE_START, "connective"),
    _chinese("不过", r"不过", _SENTENCE_START, "connective"),
    _chinese("其实", r"其实", _SENTENCE_START, "connective"),
    _chinese("另外", r"另外", _SENTENCE_START, "connective"),
)

#: All patterns; a published count names one of these.
PATTERNS = ENGLISH + CHINESE


def count_patterns(text: str) -> dict[str, int]:
    """Count every thinking pattern of both kinds in a text.

    Args:
        text: the thinking, in English, Chinese or both.

    Returns:
        Pattern name to number of occurrences, without the patterns that do not occur; in the order of ``PATTERNS``.
    """
    counts = {pattern.name: sum(1 for _ in _starts(pattern, text)) for pattern in _possible(text)}
    return {name: count for name, count in counts.items() if count}


def count_patterns_in_tail(text: str, fraction: float = TAIL_FRACTION) -> int:
    """Count the reflection patterns that start in the last part of a text.

    The last part is measured in characters, without the space around the text. A phrase that the cut divides starts
    before it and does not count.

    Args:
        text: the thinking.
        fraction: size of the last part (above 0, at most 1).

    Returns:
        Occurrences of reflection patterns; connectives do not count.

    Raises:
        ValueError: if ``fraction`` is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; above 0 and at most 1 is allowed")
    text = text.strip()
    cut = len(text) - math.ceil(len(text) * fraction)
    # The whole text is searched, so that a pattern next to the cut is read with what stands before it.
    reflections = (pattern for pattern in _possible(text) if pattern.kind == "reflection")
    return sum(start >= cut for pattern in reflections for start in _starts(pattern, text))


def _possible(text: str) -> Iterator[Pattern]:
    """The patterns whose needle is in a text."""
    folded = _folded(text)
    return (pattern for pattern in PATTERNS if pattern.needle in folded)


def _folded(text: str) -> str:
    """A text in lower case, with plain letters for all that ``re.IGNORECASE`` takes for them: ı, İ, ſ, K."""
    return text.lower().replace("\u0307", "").replace("ı", "i").replace("ſ", "s")


def _starts(pattern: Pattern, text: str) -> Iterator[int]:
    """Where the phrase of each occurrence starts (characters)."""
    return (match.start("phrase") for match in pattern.regex.finditer(text))
