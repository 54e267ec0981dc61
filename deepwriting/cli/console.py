"""The two consoles, and whether somebody is looking."""

from __future__ import annotations

import sys

from rich.console import Console

#: Width of tables where nobody looks (columns); in a terminal its own width counts.
PLAIN_WIDTH = 100


def out() -> Console:
    """Console for data: stdout."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False, emoji=False, markup=False)


def err() -> Console:
    """Console for everything else: stderr."""
    return Console(
        file=sys.stderr,
        stderr=True,
        width=None if sys.stderr.isatty() else PLAIN_WIDTH,
        highlight=False,
        emoji=False,
        markup=False,
    )


def duration(seconds: float) -> str:
    """A duration for people: ``8.3 s``, ``2 min 05 s``, ``3 h 20 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
