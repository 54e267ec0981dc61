r"""Tables of r/WritingPrompts hold text that was split into tokens; here it becomes text again.

``[ WP ] You 're late , `` said Ann . <newline>`` is the form that was made for Fan et al. 2018: Penn Treebank tokens
with spaces between them. What splitting lost cannot all be known: dashes keep their spaces, and lone straight quotes
open and close in turn within a line. Text that was never split stays as it is.
"""

from __future__ import annotations

import html
import re

#: What only split text holds: a space before a full stop or comma, Treebank quotes, a lone n't, a line-break token.
_SPLIT = re.compile(r"\w [.,!?](?=\s|$)|``|\w n['’]t\b|<newline>", re.IGNORECASE)

_SPACES = re.compile(r"[ \t]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_NEWLINE_TOKEN = re.compile(r" ?(?:<newline>|<nl>) ?", re.IGNORECASE)
_BRACKET_TOKENS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
#: ``& gt ;`` and ``&amp; nbsp ;``: entities that were split like words, some escaped twice.
_ENTITY = re.compile(r"&(?:amp;)? ?(#x?[0-9a-f]{1,6}|amp|lt|gt|quot|nbsp) ?;", re.IGNORECASE)
_WEB_ADDRESS = re.compile(r"\b(https?) ?: ?//")
#: Joints that Moses and WikiText mark: ``well @-@ known``, ``1 @,@ 000``.
_JOINT = re.compile(r" @([-–,.:/])@ ")

_OPENING_TICKS = re.compile(r"(?<!\S)``(?: |$)")
_CLOSING_TICKS = re.compile(r" ?''(?=\s|$)")
_OPENING_TICK = re.compile(r"(?<![^\s\"“])` (?=\S)")
_OPENING_CURLY = re.compile(r"(?<![^\s(\[\"“‘])([“‘]) (?=\S)")
_CLOSING_CURLY = re.compile(r" ([”’])(?=\s|$)")

_NOT = re.compile(r"(?<=\w) (n['’]t)\b", re.IGNORECASE)
_CLITIC = re.compile(r"(?<=[\w.)*]) (['’](?:s|re|ve|ll|d|m))\b", re.IGNORECASE)
_PAIRS = ("gon na", "wan na", "got ta", "gim me", "lem me")
_TWO_WORDS = re.compile(r"\b(?:(gon|wan) (na)|(got) (ta)|(gim|lem) (me))\b", re.IGNORECASE)
#: Split only by rule: nobody's spelling but for emphasis.
_CANNOT = re.compile(r"\b(can) (not)\b", re.IGNORECASE)
_IT_IS = re.compile(r"(?<![^\s\"“‘(*])(['’]t) (is|was|were|will)\b", re.IGNORECASE)
_APOSTROPHE_INSIDE = re.compile(r"\b(o|y|d|ma) ?(['’]) (clock|all|ye|am)\b", re.IGNORECASE)
_INSIDE = {"o'clock", "y'all", "d'ye", "ma'am"}
_APOSTROPHE_BEFORE = re.compile(r"(?<!\S)(['’]) (em|cause|cuz|til|bout|tis|twas|\d0s)\b", re.IGNORECASE)

#: Not before what begins a word (``.5``), nor in a face (``:)``).
_BEFORE_CLOSING = re.compile(r" (?=[,.!?%)\]}…](?![\w(\[])|[;:](?![\w(\[)\-]))")
_OPENING = frozenset("([{$£€")
_AFTER_OPENING = re.compile(r"(?<![^\s(\[{\"'“‘*])([(\[{$£€]) (?=\S)")
#: Not at the beginning of a line, where it is a heading.
_NUMBER_SIGN = re.compile(r"(?<=[ (\[\"'“‘])# (?=\d)")
_LONE = {mark: re.compile(rf"(?<!\S){re.escape(mark)}(?!\S)") for mark in ('"', "'", "*", "**")}


def from_tokens(text: str) -> str:
    """Text as it was before it was split into tokens: ``You 're , they do n't`` becomes ``You're, they don't``.

    Args:
        text: a table's prompt or story, split or not.

    Returns:
        The text with its lines (``<newline>``), without runs of spaces and of more than one blank line.
    """
    # Runs of spaces first: the patterns below would look at a long run once for each of its spaces.
    text = _SPACES.sub(" ", text)
    split = _SPLIT.search(text) is not None
    if "<" in text:
        text = _NEWLINE_TOKEN.sub("\n", text)
    return _BLANK_LINES.sub(
        "\n\n", "\n".join([_line(line, split=split) if line else "" for line in text.split("\n")])
    ).strip()


def _line(line: str, *, split: bool) -> str:
    # A pattern is only tried where a mark that it needs stands: most lines hold few of them.
    if "B-" in line:
        for token, bracket in _BRACKET_TOKENS.items():
            line = line.replace(token, bracket)
    if "&" in line:
        line = _ENTITY.sub(lambda found: html.unescape(f"&{found[1]};").replace("\u00a0", " "), line)
        line = _SPACES.sub(" ", line)
    if "http" in line:
        line = _WEB_ADDRESS.sub(r"\1://", line)
    if split:
        line = _JOINT.sub(r"\1", line) if " @" in line else line
        line = _enclose(_enclose(line, "**"), "*")
    line = _quotes(_words(line, split=split))
    line = _BEFORE_CLOSING.sub("", line)
    if not _OPENING.isdisjoint(line):
        line = _AFTER_OPENING.sub(r"\1", line)
    if "# " in line:
        line = _NUMBER_SIGN.sub("#", line)
    return (_SPACES.sub(" ", line) if "  " in line else line).strip()


def _words(line: str, *, split: bool) -> str:
    """Join what belongs to one word."""
    lowered = line.lower()
    if split and "can not" in lowered:
        line = _CANNOT.sub(r"\1\2", line)
    if any(pair in lowered for pair in _PAIRS):
        line = _TWO_WORDS.sub(r"\1\3\5\2\4\6", line)
    if "'" not in line and "’" not in line:
        return line
    line = _NOT.sub(r"\1", line)
    line = _CLITIC.sub(r"\1", line)
    line = _IT_IS.sub(r"\1\2", line)
    line = _APOSTROPHE_INSIDE.sub(lambda m: m[1] + m[2] + m[3] if f"{m[1]}'{m[3]}".lower() in _INSIDE else m[0], line)
    if len(_LONE["'"].findall(line)) % 2:  # otherwise it is taken for a quote
        line = _APOSTROPHE_BEFORE.sub(r"\1\2", line, count=1)
    return line


def _quotes(line: str) -> str:
    """Attach quotes to what they enclose."""
    if "`" in line:
        line = _OPENING_TICKS.sub('"', line)
        line = _OPENING_TICK.sub("'", line)
    if "''" in line:
        line = _CLOSING_TICKS.sub('"', line)
    line = _close_quotes(_close_quotes(line, '"'), "'")
    if not line.isascii():
        line = _OPENING_CURLY.sub(r"\1", line)
        line = _CLOSING_CURLY.sub(r"\1", line)
    return line


def _close_quotes(line: str, quote: str) -> str:
    """Attach lone quotes to what they enclose; a lone one without a partner goes to the word before it."""
    if quote not in line:
        return line
    first, *pieces = _LONE[quote].split(line)
    result = [first]
    for index, piece in enumerate(pieces):
        opens = index % 2 == 0 and index + 1 < len(pieces)
        if opens:
            result += [quote, piece.lstrip()]
        else:
            result[-1] = result[-1].rstrip()
            result += [quote, piece]
    return "".join(result)


def _enclose(line: str, mark: str) -> str:
    """Attach pairs of emphasis marks: ``* sigh *`` becomes ``*sigh*``. Scene breaks (``* * *``) and lists stay."""
    if mark not in line:
        return line
    pieces = _LONE[mark].split(line)
    inside = pieces[1::2]
    if len(pieces) % 2 == 0 or not all(any(char.isalnum() for char in piece) for piece in inside):
        return line
    pieces[1::2] = [f"{mark}{piece.strip()}{mark}" for piece in inside]
    return "".join(pieces)
