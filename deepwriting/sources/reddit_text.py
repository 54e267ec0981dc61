r"""Turning the two written forms of r/WritingPrompts back into plain text: Reddit's Markdown, and tokenised tables.

Dumps hold Markdown with HTML entities (``&gt;``, ``\*``); the tables on the Hub hold text that was split into tokens
(``[ WP ] You 're late , `` said Ann . <newline>``), as made for Fan et al. 2018.
"""

from __future__ import annotations

import html
import re

#: How a prompt becomes a request; the prompt follows (after the paper's Figure 2, in our own words).
STORY_REQUEST = "Please write a compelling short story that takes up this writing prompt:\n\n"

#: Tags that r/WritingPrompts puts in front of a title, or behind it; ``None`` of them is part of the prompt.
_TAG = r"[\[(]\s*([A-Za-z]{2,8})\s*[\])]"
_TAG_BEFORE = re.compile(rf"^\s*{_TAG}\s*[:\-–—]?\s*")
_TAG_AFTER = re.compile(r"\[ ?([A-Za-z]{2}) ?\]$")
#: Round brackets open many ordinary titles; only these count as tags there.
_KNOWN_TAGS = frozenset(
    {"WP", "SP", "EU", "CW", "TT", "RF", "IP", "MP", "PM", "PI", "OT", "CC", "CM", "MOD", "MODPOST", "META", "SATCHAT"}
)
#: Tags of threads whose top-level comments are not stories written for the title: discussion, feedback on the poster's
#: own story, announcements (the subreddit's own list of tags).
NOT_PROMPTS = ("OT", "PI", "CC", "MOD", "MODPOST", "META", "SATCHAT")

#: Entities that old dumps escaped twice.
_TWICE_ESCAPED = re.compile(r"&(?:#x200B|#8203|nbsp|amp|lt|gt|quot|#39);", re.IGNORECASE)
_BACKSLASH = re.compile(r"\\([\\`*_{}\[\]()#+\-.!~>^|&\"'])")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")
_BLANK_LINES = re.compile(r"\n{3,}")

_SPACES = re.compile(r"[ \t]+")
_NEWLINE_TOKEN = re.compile(r" ?(?:<newline>|<nl>) ?", re.IGNORECASE)
_BRACKET_TOKENS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_NOT = re.compile(r"(?<=\w) (n['’]t)\b", re.IGNORECASE)
_CLITIC = re.compile(r"(?<=[\w.)]) (['’](?:s|re|ve|ll|d|m))\b", re.IGNORECASE)
_TWO_WORDS = re.compile(r"\b(gon|wan|got|gim|lem) (na|ta|me)\b", re.IGNORECASE)
_JOINED = {"gonna", "wanna", "gotta", "gimme", "lemme"}
_BEFORE_CLOSING = re.compile(r" (?=(?:[,.;:!?%)\]}…]|\.\.\.)(?![\w(\[]))")
_AFTER_OPENING = re.compile(r"(?<![^\s(\[{])([(\[{$£€]) (?=\S)")


def split_tag(title: str) -> tuple[str | None, str]:
    """Take the tag off a title: ``[WP] A lamp wakes up.`` becomes ``("WP", "A lamp wakes up.")``.

    Args:
        title: a submission's title, or a table's prompt.

    Returns:
        The tag in capitals, or ``None``, and the title without it. Brackets that are part of the prompt stay.
    """
    before = _TAG_BEFORE.match(title)
    if before and (title.lstrip()[0] == "[" or before[1].upper() in _KNOWN_TAGS):
        return before[1].upper(), title[before.end() :].strip()
    after = _TAG_AFTER.search(title.rstrip())
    if after and after[1].upper() in _KNOWN_TAGS:
        return after[1].upper(), title[: after.start()].strip()
    return None, title.strip()


def from_markdown(text: str) -> str:
    """Reddit's text without HTML entities, backslash escapes, invisible characters and padding blank lines.

    Emphasis marks stay: they belong to the writing.
    """
    text = html.unescape(text)
    text = _TWICE_ESCAPED.sub(lambda found: html.unescape(found[0]), text)
    text = _INVISIBLE.sub("", text).replace("\u00a0", " ")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _BACKSLASH.sub(r"\1", text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip()


def without_author(text: str, author: str) -> str:
    """Drop the lines in which a writer names themselves (``More at r/name``, ``/u/name``): names never reach a row."""
    named = re.compile(rf"(?<![\w/])/?[ur]/{re.escape(author)}\b", re.IGNORECASE)
    if not named.search(text):
        return text
    kept = "\n".join(line for line in text.split("\n") if not named.search(line))
    return _BLANK_LINES.sub("\n\n", kept).strip()


def from_tokens(text: str) -> str:
    """Text as it was before it was split into tokens: ``You 're , they do n't`` becomes ``You're, they don't``.

    What splitting lost cannot all be known; lone straight quotes open and close in turn within a line.
    """
    # Runs of spaces first: the patterns below would look at a long run once for each of its spaces.
    text = _NEWLINE_TOKEN.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", "\n".join(_line_from_tokens(line) for line in text.split("\n"))).strip()


def _line_from_tokens(line: str) -> str:
    for token, bracket in _BRACKET_TOKENS.items():
        line = line.replace(token, bracket)
    line = re.sub(r"(?:^|(?<=\s))`` ?", '"', line)
    line = re.sub(r" ?''(?=\s|$)", '"', line)
    line = _NOT.sub(r"\1", line)
    line = _CLITIC.sub(r"\1", line)
    line = _TWO_WORDS.sub(lambda m: m[1] + m[2] if (m[1] + m[2]).lower() in _JOINED else m[0], line)
    line = _close_quotes(line, '"')
    line = _close_quotes(line, "'")
    line = _BEFORE_CLOSING.sub("", line)
    line = _AFTER_OPENING.sub(r"\1", line)
    return re.sub(r" {2,}", " ", line).strip()


def _close_quotes(line: str, quote: str) -> str:
    """Attach lone quotes to what they enclose; a lone one without a partner goes to the word before it."""
    lone = re.compile(rf"(?:^|(?<=\s)){quote}(?=\s|$)")
    count = len(lone.findall(line))
    if not count:
        return line
    first, *pieces = lone.split(line)
    result = [first]
    for index, piece in enumerate(pieces):
        opens = index % 2 == 0 and index + 1 < count
        if opens:
            result += [quote, piece.lstrip()]
        else:
            result[-1] = result[-1].rstrip()
            result += [quote, piece]
    return "".join(result)
