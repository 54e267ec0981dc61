from __future__ import annotations

import pytest

from deepwriting.sources.stated_length import requested_words


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Write 3,000 words about ferries.", 3000),
        ("Write a 500-word essay.", 500),
        ("Write an essay of about 110 words.", 110),
        ("It should be 2000+ words long.", 2000),
        ("in 800 to 1,200 words", 1000),
        ("between 800 and 1200 words", 1000),
        ("800–1200 words", 1000),
        ("a 10k word novel", 10_000),
        ("2-3k words", 2500),
        ("2.5k words", 2500),
        ("ten thousand words at least", 10_000),
        ("a thousand words", 1000),
        ("five hundred words", 500),
        ("10 thousand words", 10_000),
        ("five chapters of 400 words each, 2000 words in all", 2000),
        ("Use 5 key words and write 300 words.", 300),
        ("Describe 3 words that rhyme.", None),
        ("Write 1000 lines.", None),
        ("in other words, be short", None),
        ("写一篇3000字的文章。", 3000),
        ("写一篇不少于3,000字的文章。", 3000),
        ("写一篇800到1200字的游记", 1000),
        ("写800～1000字左右", 900),
        ("写一万字的小说", 10_000),
        ("字数在1万字以上", 10_000),
        ("两千字左右", 2000),
        ("大约一百二十字", 120),
        ("一到两千字", 1500),
        ("三千五百字", 3500),
        ("5千字", 5000),
        ("一万二千字", 12_000),
        ("用500个汉字", 500),
        ("查100字典", None),
        ("写一个字", None),
        ("", None),
    ],
)
def test_stated_lengths(query: str, words: int | None) -> None:
    assert requested_words(query) == words
