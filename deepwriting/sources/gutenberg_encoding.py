"""From the bytes of a book to its text: UTF-8, a Western code page, or both in one file."""

from __future__ import annotations

from dataclasses import dataclass

from deepwriting.sources.fields import RecordError

#: Share of control bytes in the beginning of a file above which it is no text; texts have form feeds at most.
_MAX_CONTROL_SHARE = 0.01
_BEGINNING_BYTES = 2**16
#: Control bytes that old files hold besides tab and line ends: form feed, and DOS's end of file.
_FORM_FEED, _DOS_END = b"\x0c", b"\x1a"
_CONTROL_BYTES = bytes(byte for byte in range(0x20) if byte not in b"\t\n\r" + _FORM_FEED + _DOS_END) + b"\x7f"
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Decoded:
    r"""A decoded file.

    Attributes:
        text: its text, lines ending in ``\n``, without byte-order marks.
        encoding: ``utf-8``, ``iso-8859-1``, ``windows-1252``, or ``utf-8+`` one of these for a mixed file.
        foreign_lines: lines of a mixed file that are not UTF-8.
    """

    text: str
    encoding: str
    foreign_lines: int = 0


def decode(raw: bytes) -> Decoded:
    """The text of a file: UTF-8 with or without byte-order mark, else a Western code page.

    Files that volunteers have patched hold both: then each line is read for itself. Files announced as ISO-8859-1 that
    use the code points it leaves empty are Windows-1252.

    Args:
        raw: the whole file.

    Raises:
        RecordError: ``wrong_encoding`` for UTF-16 and for binary data.
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RecordError("wrong_encoding", "UTF-16; books are UTF-8 or ISO-8859-1")
    if b"\0" in raw:
        raise RecordError("wrong_encoding", f"NUL byte at {raw.index(0)}; books are plain text")
    beginning = raw[:_BEGINNING_BYTES]
    control = len(beginning) - len(beginning.translate(None, _CONTROL_BYTES))
    if control > _MAX_CONTROL_SHARE * len(beginning):
        raise RecordError("wrong_encoding", f"{control} control bytes in {len(beginning)}; books are plain text")
    raw = raw.replace(_DOS_END, b"").replace(_FORM_FEED, b"\n")
    try:
        return Decoded(_plain(raw.decode("utf-8")), "utf-8")
    except UnicodeDecodeError:
        return _by_line(raw)


def _by_line(raw: bytes) -> Decoded:
    western = "windows-1252" if _is_windows(raw) else "iso-8859-1"
    lines: list[str] = []
    unicode_lines = foreign = 0
    for line in raw.split(b"\n"):
        try:
            lines.append(line.decode("utf-8"))
            unicode_lines += not line.isascii()
        except UnicodeDecodeError:
            lines.append(line.decode(western))
            foreign += 1
    if unicode_lines:
        return Decoded(_plain("\n".join(lines)), f"utf-8+{western}", foreign)
    return Decoded(_plain(raw.decode(western)), western)


def _is_windows(raw: bytes) -> bool:
    foreign = b"\n".join(line for line in raw.split(b"\n") if not _is_unicode(line))
    if not any(0x80 <= byte < 0xA0 for byte in foreign):
        return False
    try:
        foreign.decode("windows-1252")
    except UnicodeDecodeError:
        return False
    return True


def _is_unicode(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _plain(text: str) -> str:
    return text.replace(_BYTE_ORDER_MARK, "").replace("\r\n", "\n").replace("\r", "\n")
