"""Loops in the thinking: the share of its n-grams that the three most frequent ones take (paper, section 2.3.2).

The paper gives neither n nor a threshold; both were chosen with ``benchmarks/calibrate_repetition.py``, whose figures
stand at the constants. A text that repeats a block of p units for a share s of its length reaches about 3 s / p, so
that a looped sentence of 20 words shows clearly (0.15), and a looped paragraph of 100 words does not (0.03): this is
a measure of looping phrases and sentences.
"""

from __future__ import annotations

from collections import Counter

from deepwriting.metrics.units import units

#: Units in an n-gram. Shorter ones catch what is no loop: of windows of 400 units, 29 % of Chinese and 10 % of
#: English instructions are beyond the threshold with n = 3, 1.3 % and 1.4 % with n = 6, 0.2 % and 0 % with
#: n = 8 (calibrate_repetition.py, seed 1). Not longer all the same: every word in which one round of a loop differs
#: from the next breaks n n-grams, so that loops with variations escape a longer n sooner.
NGRAM_SIZE = 6

#: How many of the most frequent n-grams are added up (paper, section 2.3.2).
TOP_NGRAMS = 3

#: An n-gram that occurs less often takes no part. Without such a limit the three "most frequent" n-grams of a text
#: without any repetition still take 3 / length, which grows beyond every threshold as texts get shorter; and a phrase
#: said twice is a refrain or a quotation, not a loop.
MIN_OCCURRENCES = 3

#: Largest share that is not flagged. Of 800 windows of 200 to 600 words of two books none comes near (p99 0.015,
#: highest 0.031), nor does planning with lists and recurring phrases (0.000). Found in every window: a sentence of 20
#: words looped over the last third (0.050 to 0.053) or over all of the text (0.15), 40 words looped all through
#: (0.076). Not found: 40 words looped over the last half only (0.04), a paragraph of 100 words (0.03). Forms and
#: tables can be beyond it: 1.3 % of Chinese windows of 400 characters of pasted documents are
#: (calibrate_repetition.py, seed 1).
MAX_TOP_SHARE = 0.05


def top_ngram_share(text: str, n: int = NGRAM_SIZE, top: int = TOP_NGRAMS) -> float:
    """Share of all n-grams of a text that its ``top`` most frequent ones take.

    Only n-grams that occur at least ``MIN_OCCURRENCES`` times are added up; the share is of all n-grams of the text.

    Args:
        text: the thinking; words count in alphabetic scripts, characters in Chinese (``metrics/units.py``).
        n: units in an n-gram.
        top: how many of the most frequent n-grams to add up.

    Returns:
        0 (nothing repeats) to 1 (nothing else is said); 0 for a text shorter than ``n`` units.

    Raises:
        ValueError: if ``n`` or ``top`` is below 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; at least 1 unit is allowed")
    if top < 1:
        raise ValueError(f"top is {top}; at least 1 n-gram is allowed")
    words = units(text)
    total = len(words) - n + 1
    if total < 1:
        return 0.0
    counts = Counter(zip(*(words[start:] for start in range(n)), strict=False))
    return sum(count for _, count in counts.most_common(top) if count >= MIN_OCCURRENCES) / total
