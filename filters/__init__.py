"""Annotating filters: they measure and flag, and never drop. What the default config keeps is decided in the build.

    Reader → Repetition → ThinkingPatterns → EndOfThinking → Copying → WriteShard

Each reads ``Document.metadata["thinking"]`` (and ``Document.text``, the answer) and writes the columns named in
``schema.ANNOTATION_COLUMNS``. The folder lies at the top of the repository and installs as ``deepwriting.filters``.

The thresholds are the ones that a recipe starts from; where each comes from stands at its definition.
"""

from __future__ import annotations

from deepwriting.filters.copying import Copying
from deepwriting.filters.end_of_thinking import MAX_END_PATTERNS, EndOfThinking
from deepwriting.filters.repetition import Repetition
from deepwriting.filters.thinking_patterns import ThinkingPatterns
from deepwriting.metrics.copying import MAX_COPIED_RUN, MAX_COPY_RATIO, MIN_RUN
from deepwriting.metrics.repetition import MAX_TOP_SHARE, NGRAM_SIZE
from deepwriting.metrics.thinking_patterns import TAIL_FRACTION

#: Defaults of ``Repetition``: units in an n-gram, largest share that is not flagged.
DEFAULT_NGRAM_SIZE = NGRAM_SIZE
DEFAULT_MAX_SHARE = MAX_TOP_SHARE
#: Defaults of ``EndOfThinking``: size of the tail, most reflection patterns in it that are not flagged.
DEFAULT_TAIL_FRACTION = TAIL_FRACTION
DEFAULT_MAX_END_PATTERNS = MAX_END_PATTERNS
#: Defaults of ``Copying``: shortest run that counts, largest ratio and longest run that are not flagged.
DEFAULT_MIN_RUN = MIN_RUN
DEFAULT_MAX_COPY_RATIO = MAX_COPY_RATIO
DEFAULT_MAX_COPIED_RUN = MAX_COPIED_RUN

__all__ = [
    "DEFAULT_MAX_COPIED_RUN",
    "DEFAULT_MAX_COPY_RATIO",
    "DEFAULT_MAX_END_PATTERNS",
    "DEFAULT_MAX_SHARE",
    "DEFAULT_MIN_RUN",
    "DEFAULT_NGRAM_SIZE",
    "DEFAULT_TAIL_FRACTION",
    "Copying",
    "EndOfThinking",
    "Repetition",
    "ThinkingPatterns",
]
