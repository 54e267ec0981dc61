r"""Texts of r/WritingPrompts: titles with their tags, and Reddit's Markdown with HTML entities (``&gt;``, ``\*``)."""

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
    # Most texts hold few of these: to look whether one is there is much cheaper than a substitution that finds none.
    if "&" in text:
        text = html.unescape(text)
        text = _TWICE_ESCAPED.sub(lambda found: html.unescape(found[0]), text)
    if not text.isascii():
        text = _INVISIBLE.sub("", text).replace("\u00a0", " ")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\\" in text:
        text = _BACKSLASH.sub(r"\1", text)
    text = "\n".join([line.rstrip() for line in text.split("\n")])
    return _without_blank_runs(text).strip()


def without_author(text: str, author: str) -> str:
    """Drop the lines in which a writer names themselves (``More at r/name``, ``/u/name``): names never reach a row."""
    # A pattern is made for each author: only where the name occurs at all.
    if author.casefold() not in text.casefold():
        return text
    named = re.compile(rf"(?<![\w/])/?[ur]/{re.escape(author)}\b", re.IGNORECASE)
    if not named.search(text):
        return text
    kept = "\n".join(line for line in text.split("\n") if not named.search(line))
    return _BLANK_LINES.sub("\n\n", kept).strip()


def _without_blank_runs(text: str) -> str:
    return _BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text
