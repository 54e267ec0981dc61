from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepwriting.sources.reddit_tokens import from_tokens


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        # contractions
        ("You 're late , she said .", "You're late, she said."),
        ("I do n't know ; ca n't we wo n't ?", "I don't know; can't we won't?"),
        ("It 's Ann 's , I 'd say we 've won and I 'll go !", "It's Ann's, I'd say we've won and I'll go!"),
        ("You ’re sure she ’d come , are n’t you ?", "You’re sure she’d come, aren’t you?"),
        ("He should n't 've come .", "He shouldn't've come."),
        ("DO N'T . I 'M HERE .", "DON'T. I'M HERE."),
        ("We 're gon na win and you got ta wan na", "We're gonna win and you gotta wanna"),
        ("Gim me that . Lem me see it .", "Gimme that. Lemme see it."),
        ("I can not stay .", "I cannot stay."),
        ("'T was late . 't is over .", "'Twas late. 'tis over."),
        ("At six o ' clock , y' all , ma ' am .", "At six o'clock, y'all, ma'am."),
        ("Get ' em out , she said .", "Get 'em out, she said."),
        ("The ' 90s were kind .", "The '90s were kind."),
        ("the boys ' house", "the boys' house"),
        ("rock ' n ' roll , baby", "rock 'n' roll, baby"),
        # quotes
        ("`` Go , '' he said . `` Now ! ''", '"Go," he said. "Now!"'),
        ("`` Is that so ? '' , she asked .", '"Is that so?", she asked.'),
        ('" Go , " he said . " Now ! "', '"Go," he said. "Now!"'),
        ("He said , ' Stop , ' and left", "He said, 'Stop,' and left"),
        ("`` She said ` no ' , '' he sighed .", "\"She said 'no',\" he sighed."),
        ("“ No , ” she said , “ the ‘ end ’ . ”", "“No,” she said, “the ‘end’.”"),
        # punctuation
        ("What ? ! No ... not that ; never : not once .", "What?! No... not that; never: not once."),
        ("... and then", "... and then"),
        ("`` ... and then ... ''", '"... and then..."'),
        ("Wait - no -- yes", "Wait - no -- yes"),
        ("to .5 miles , he said", "to .5 miles, he said"),
        # brackets
        ("a ( small -RRB- thing : $ 5 , 20 % off ...", "a (small) thing: $5, 20% off..."),
        ("He left -LRB- at last -RRB- . -LSB- sic -RSB-", "He left (at last). [sic]"),
        ("`` ( Quiet . ) '' [ he nodded ]", '"(Quiet.)" [he nodded]'),
        # signs and numbers
        ("It cost $ 5 or £ 4 , 10 % of it .", "It cost $5 or £4, 10% of it."),
        ("`` $ 5 ? ''", '"$5?"'),
        ("You are # 1 , No. 2 is not .", "You are #1, No. 2 is not."),
        ("At 10:30 it was 1,000 .", "At 10:30 it was 1,000."),
        ("a well @-@ known 1 @,@ 000 .", "a well-known 1,000."),
        ("See https : //x.org/a , he said .", "See https://x.org/a, he said."),
        ("salt & pepper , R & amp ; D , 3 & lt ; 4 & nbsp ; .", "salt & pepper, R & D, 3 < 4."),
        # lines, tags, marks
        ("One . <newline> <newline> Two .", "One.\n\nTwo."),
        ("One .<newline>Two .", "One.\nTwo."),
        ("One . <newline> <newline> <newline> <newline> Two .", "One.\n\nTwo."),
        ("One . <newline> * * * <newline> Two .", "One.\n* * *\nTwo."),
        ("[ WP ] You 're a lamp .", "[WP] You're a lamp."),
        ("* Sigh * , it was ** very ** late .", "*Sigh*, it was **very** late."),
        ("* milk , eggs . <newline> * bread .", "* milk, eggs.\n* bread."),
        ("   One  .   ", "One."),
        ("", ""),
    ],
)
def test_tokens(tokens: str, text: str) -> None:
    assert from_tokens(tokens) == text


@pytest.mark.parametrize(
    "text",
    [
        '"Don\'t," she said. "You\'ll wake the cat."',
        "It cost $5 (about 4%); nobody's perfect... right?",
        "One.\n\nTwo - and three: four -- five!",
        "You can not only sing :) but dance ;-)",
        "2 * 3 * 4 makes 24.",
        "# 1 The Beginning",
        "Il a dit « non ».",
        "See https://x.org, page 3.",
    ],
)
def test_text_that_was_never_split_stays_as_it_is(text: str) -> None:
    assert from_tokens(text) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_restoring_never_raises_and_never_loses_letters(text: str) -> None:
    def letters(value: str) -> str:
        return "".join(char for char in value if char.isalpha())

    text = text.replace("&", "").replace("-", "")  # entities and -LRB- are written in letters
    assert letters(from_tokens(text)) == letters(text.replace("<newline>", "").replace("<nl>", ""))


@pytest.mark.parametrize("filler", [" ", "\n", "\t", "'' ", '" ', "[ ", "` ", "* ", "& ", ". ", "<newline> ", "' em "])
def test_long_runs_take_no_longer_than_their_length(filler: str) -> None:
    start = time.perf_counter()
    from_tokens("x" + filler * 100_000 + "x , y")
    assert time.perf_counter() - start < 5


_TREEBANK = [
    (r'(^|(?<=[\s(\[]))"', " `` "),
    (r'"', " '' "),
    (r"\.\.\.", " ... "),
    (r"(?<!\.)([.?!])(?=\s*(?:''|[)\]]|$|\n|\s+(?:``|[A-Z(])))", r" \1 "),
    (r"([,;:?!%$#()\[\]])", r" \1 "),
    (r"(?i)(\w)(n't)\b", r"\1 \2 "),
    (r"(?i)(?<=\w)('(?:s|re|ve|ll|d|m))\b", r" \1 "),
    (r"(?<=s)'(?=\s)", " ' "),
    (r"(?i)\b(gon|wan)(na)\b|\b(got)(ta)\b|\b(can)(not)\b", r"\1\3\5 \2\4\6"),
]


def treebank(text: str) -> str:
    """Split text into tokens after the Penn Treebank's rules, with a line-break token as in the tables."""
    lines = []
    for line in text.split("\n"):
        for pattern, split in _TREEBANK:
            line = re.sub(pattern, split, line)
        lines.append(" ".join(line.split()))
    return " <newline> ".join(lines)


_SPELLED = """lamp river nobody isn't can't won't you're she'd we've Ann's it's I'll I'm don't cannot gonna gotta
old-fashioned café naïve 10% $5 #1 1918 mother's home"""
_WORDS = st.sampled_from(_SPELLED.split())
_PLAIN = st.lists(_WORDS, min_size=1, max_size=6).map(" ".join)
_CLAUSE = st.one_of(
    _PLAIN,
    st.tuples(_PLAIN, st.sampled_from([", ", "; ", ": ", "... ", " -- "]), _PLAIN).map("".join),
    st.tuples(_PLAIN, _PLAIN, _PLAIN).map(lambda t: f"{t[0]} ({t[1]}) {t[2]}"),
)
_SENTENCE = st.tuples(_CLAUSE, st.sampled_from([".", "?", "!", "..."])).map(lambda t: f"The {t[0]}{t[1]}")
_SPEECH = st.one_of(
    _SENTENCE,
    _SENTENCE.map(lambda said: f'"{said}"'),
    st.tuples(_PLAIN, _SENTENCE).map(lambda t: f'"The {t[0]}," she said. "{t[1]}"'),
)
_PROSE = st.lists(st.lists(_SPEECH, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=3).map("\n\n".join)


@given(_PROSE)
@example('"The boys\' lamp isn\'t here," she said. "The end..."')
def test_prose_that_was_split_comes_back_and_restoring_twice_changes_nothing(text: str) -> None:
    assert from_tokens(treebank(text)) == text
    assert from_tokens(text) == text
