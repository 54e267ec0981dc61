"""Measurements of a trajectory: plain functions of texts and log-probabilities, without datatrove.

    >>> from deepwriting.metrics import copied, count_patterns, top_ngram_share
    >>> count_patterns("Hmm, maybe the letter comes first.")
    {'hmm': 1, 'maybe': 1}
    >>> copied(answer="The tide came in.", thinking="End on: the tide came in, slowly.", min_run=3)
    Copying(ratio=1.0, longest_run=4)
    >>> top_ngram_share("round and round " * 50, n=3)
    1.0

The search minimises ``clipped_mean_nll``; the rows publish it beside ``perplexity``. The filters in ``filters/`` write
the other measurements into the rows. Only ``perplexity_given_thinking`` needs a model; it scores a row as the search
does. ``load`` gives the same measurements as modules of Hugging Face's `evaluate`, see ``loading.py``.
"""

from __future__ import annotations

from deepwriting.metrics.copying import Copying, copied, copy_ratio, longest_copied_run
from deepwriting.metrics.given_thinking import perplexity_given_thinking
from deepwriting.metrics.loading import MODULES, load, module_path
from deepwriting.metrics.perplexity import clipped_mean_nll, perplexity
from deepwriting.metrics.repetition import top_ngram_share
from deepwriting.metrics.thinking_patterns import PATTERNS, Pattern, count_patterns, count_patterns_in_tail
from deepwriting.metrics.units import units

__all__ = [
    "MODULES",
    "PATTERNS",
    "Copying",
    "Pattern",
    "clipped_mean_nll",
    "copied",
    "copy_ratio",
    "count_patterns",
    "count_patterns_in_tail",
    "load",
    "longest_copied_run",
    "module_path",
    "perplexity",
    "perplexity_given_thinking",
    "top_ngram_share",
    "units",
]
