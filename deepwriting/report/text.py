"""Texts of rows made safe to show.

Rows hold whatever people wrote: escape sequences that would move a terminal's cursor, marks that turn the reading
direction of everything behind them, invisible characters. Here they become visible; nothing is left that a terminal or
a page acts on.
"""

from __future__ import annotations

import re

#: Controls (C0, DEL, C1), marks of direction, invisible separators and fillers, lone surrogates, byte order marks and
#: the tag characters. The joiners U+200C and U+200D stay: scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_SPACE = re.compile(r"[ \t\r\n]+")
#: Where the pictures of the control characters begin: ␀ is U+2400.
_PICTURES = 0x2400
_DELETE = 0x7F


def visible(text: str) -> str:
    """One line in which escapes show as ``␛``, other unseen characters by their number; blanks in a row become one."""
    return _INVISIBLE.sub(_shown, _SPACE.sub(" ", text))


def cut(text: str, limit: int) -> str:
    """The beginning of a text as one visible line.

    Args:
        text: any text.
        limit: most characters, the ellipsis included.
    """
    # Far more than is shown is not looked at: a reject may hold 20,000 characters.
    line = visible(text[: 4 * limit]).strip()
    if len(line) <= limit and len(text) <= 4 * limit:
        return line
    return line[: limit - 1].rstrip() + "…"


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < ord(" "):
        return chr(_PICTURES + code)
    if code == _DELETE:
        return "␡"
    # Brackets turn with the text around them, which a backslash does not.
    return f"⟨U+{code:04X}⟩"
