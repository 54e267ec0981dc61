from __future__ import annotations

import random
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.metrics.units import units
from deepwriting.select.benchmarks import BenchmarkQuery
from deepwriting.select.overlap import Overlap, OverlapIndex, comparable

LONG = (
    "Write a 600-word letter from a retired lighthouse keeper to the young engineer who will replace her lamp with a "
    "silent machine, and let her describe the three storms she remembers best."
)
SHORT = "Should harbour cats be allowed inside libraries?"
TINY = "The Walled Garden"
CHINESE = "请以一位退休灯塔管理员的口吻写一封信，回忆她最难忘的三场风暴，字数六百字左右。"
FRAME = "You should write a detailed response to the following question on {}. Question: {} The answer should be long."
FILLER = "the rope lay where nobody had looked for it since the autumn before last and it smelled of tar "


def index(*texts: str, **settings: float) -> OverlapIndex:
    queries = [BenchmarkQuery("own", str(number), text) for number, text in enumerate(texts, start=1)]
    return OverlapIndex(queries, **({"min_run": 8, "min_whole": 6, "min_similarity": 0.4} | settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def four() -> OverlapIndex:
    return index(LONG, SHORT, TINY, CHINESE)


def kind(found: Overlap | None) -> tuple[str, str] | None:
    return (found.query.row, found.kind) if found else None


def test_case_punctuation_and_numbers_make_no_difference(four: OverlapIndex) -> None:
    for text, row in ((LONG, "1"), (SHORT, "2"), (TINY, "3"), (CHINESE, "4")):
        changed = re.sub(r"[,.，。]", " -- ", text).upper().replace("600", "six hundred").replace("六百", "1,200")
        assert kind(four.find(changed)) == (row, "equal")


def test_a_query_inside_of_a_longer_request(four: OverlapIndex) -> None:
    for text, row in ((LONG, "1"), (SHORT, "2"), (CHINESE, "4")):
        assert kind(four.find(f"My teacher asked for this. {text} Thank you so much.")) == (row, "run")
    # Three words can stand in any request.
    assert four.find(f"Write about {TINY} for my niece.") is None


def test_few_changed_words_are_noticed_and_many_are_not(four: OverlapIndex) -> None:
    words = LONG.split()
    for at in range(3, len(words), 6):
        words[at] = "other"
    found = four.find(" ".join(words))
    assert found is not None
    assert (found.query.row, found.kind) == ("1", "similar")
    assert 0.4 <= found.similarity < 0.8
    for at in range(2, len(words), 3):
        words[at] = "more"
    assert four.find(" ".join(words)) is None


def test_the_similarity_is_jaccard_of_word_pairs() -> None:
    first, second = "aa bb cc dd ee ff gg hh", "aa bb cc xx ee ff gg hh"
    found = index(first, min_run=20, min_whole=20, min_similarity=0.1).find(second)
    assert found is not None
    assert found.similarity == pytest.approx(5 / 9)


def test_a_query_quoted_in_an_answer_wherever_it_stands(four: OverlapIndex) -> None:
    for before in range(12):
        answer = FILLER * 3 + "so " * before + LONG + " " + FILLER * 3
        assert kind(four.find("Tell me more.", answer)) == ("1", "run")
        assert four.find("Tell me more.") is None
    # Shorter than ten words: a phrase, not a quotation.
    assert four.find("Tell me more.", FILLER + SHORT + FILLER) is None


def test_what_many_queries_share_condemns_nobody() -> None:
    topics = ["tides", "moss", "clocks", "bread", "snow"]
    questions = [f"why did {topic} matter so much to the people of the old {topic} coast?" for topic in topics]
    framed = index(*(FRAME.format(topic, question) for topic, question in zip(topics, questions, strict=True)))
    assert framed.find(FRAME.format("wool", "how is a blanket woven by hand on an upright loom?")) is None
    found = framed.find(f"Please explain: {questions[1]}")
    assert found is not None
    assert found.query.row == "2"


def test_columns_of_one_row_are_no_boilerplate() -> None:
    rows = [BenchmarkQuery("own", "1", text) for text in (SHORT, f"Essay. {SHORT}", f"{SHORT} Explain.")]
    found = OverlapIndex(rows, min_run=8, min_whole=6, min_similarity=0.4).find(f"Please discuss: {SHORT} Thanks.")
    assert found is not None


def test_the_sentence_names_benchmark_row_and_overlap(four: OverlapIndex) -> None:
    found = four.find(f"Please do this for me: {LONG}")
    assert found is not None
    assert found.sentence() == (
        "the query shares a run of 31 words with own, row 1: 'write a word letter from a retired lighthouse keeper to "
        "the young'"
    )


def test_clean_texts_and_empty_ones(four: OverlapIndex) -> None:
    for text in ("", "!", "Write a letter to a lighthouse.", "给灯塔管理员写一封信。", FILLER * 5):
        assert four.find(text, text) is None
    assert index().find(LONG, LONG) is None
    assert kind(index("one").find("1")) is None


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF) | st.sampled_from("’“”—'字"), max_size=60))
def test_the_fast_way_gives_the_units_of_the_slow_one(text: str) -> None:
    plain = unicodedata.normalize("NFKC", re.sub(r"[’‘ʼ']", "", re.sub(r"[“”—–]", " ", text)))
    numbers = comparable("one hundred") == []
    expected = [unit for unit in units(re.sub(r"\d[\d.,:]*", " ", plain)) if comparable(unit)]
    assert numbers
    assert comparable(text) == expected


@given(st.integers(0, 10_000))
def test_the_longest_run_is_found_as_by_comparing_everything(seed: int) -> None:
    rng = random.Random(seed)
    words = [f"w{chr(97 + number)}" for number in range(8)]
    query, text = (" ".join(rng.choices(words, k=30)) for _ in range(2))
    a, b = query.split(), text.split()
    longest = max(
        next((n for n in range(30) if i + n >= 30 or j + n >= 30 or a[i + n] != b[j + n]), 30 - max(i, j))
        for i in range(30)
        for j in range(30)
    )
    found = index(query, min_run=6, min_similarity=1.0).find(text)
    if longest < 6:
        assert found is None
    else:
        assert found is not None
        assert found.words == longest
