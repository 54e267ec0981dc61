"""The last line of a task's log."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

#: How much of a log's end is read (bytes): a line that is longer is cut at its beginning.
TAIL_BYTES = 16384
#: Longest line that is told (characters).
LINE_CHARS = 300

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def last_line(*files: Path) -> str:
    """The last line with something on it, of the first file that has one; empty if none has."""
    for file in files:
        with contextlib.suppress(OSError):
            with file.open("rb") as log:
                log.seek(0, 2)
                log.seek(max(log.tell() - TAIL_BYTES, 0))
                text = log.read().decode("utf-8", errors="replace")
            lines = [line.strip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]
            if lines:
                line = lines[-1]
                return line if len(line) <= LINE_CHARS else line[: LINE_CHARS - 1] + "…"
    return ""
