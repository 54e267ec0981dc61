from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.metrics.units import units
from deepwriting.select.shingles import jaccard, shingles, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The ferry,  at SIX!\n\nLate.", b"the ferry at six late"),
        ("Don't — she said “wait…”", b"dont she said wait"),
        ("It cost 1,000.50 crowns", b"it cost 1 000 50 crowns"),
        ("Café at 1,5", "café at 1 5".encode()),
        ("渡船，六点。", "渡 船 六 点".encode()),
        ("?!  …", b""),
        ("", b""),
    ],
)
def test_words(text: str, expected: bytes) -> None:
    assert words(text) == expected


@given(st.text(alphabet=st.sampled_from("abcXYZ .,!?-\n\t\"'"), max_size=60))
def test_plain_text_has_the_words_of_the_metrics(text: str) -> None:
    assert words(text).split() == [unit.replace("'", "").encode() for unit in units(text.replace("'", ""))]


def test_typography_makes_no_difference() -> None:
    plain = '"I don\'t know", he said - and that was all... of it'
    curly = "“I don’t know”, he said — and that was all… of it"
    assert (shingles(plain, 3) == shingles(curly, 3)).all()


@given(st.lists(st.sampled_from(["a", "b", "cc", "d1", "渡", "é"]), min_size=1, max_size=30), st.integers(1, 6))
def test_equal_runs_of_words_have_equal_hashes_and_others_have_others(items: list[str], size: int) -> None:
    kept = " ".join(items)
    split = [word.decode() for word in words(kept).split()]
    runs = {tuple(split[start : start + size]) for start in range(max(1, len(split) - size + 1))}
    found = shingles(kept, size)
    assert len(found) == len(runs)
    assert (np.diff(found) > 0).all()
    # The same runs behind another beginning have the same hashes.
    longer = shingles(f"zz yy {kept}", size)
    if len(split) >= size:
        assert np.isin(found, longer).all()


def test_a_short_text_is_one_shingle_and_an_empty_one_none() -> None:
    assert len(shingles("two words", 5)) == 1
    assert len(shingles("…", 5)) == 0
    assert shingles("two words", 5) == shingles("Two, words.", 5)


def test_jaccard_is_the_common_part() -> None:
    first, second = shingles("a b c d e f", 1), shingles("c d e f g h", 1)
    assert jaccard(first, second) == pytest.approx(4 / 8)
    assert jaccard(first, first) == 1
    assert jaccard(first, shingles("", 1)) == jaccard(shingles("", 1), shingles("", 1)) == 0
