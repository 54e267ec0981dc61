from __future__ import annotations

import pytest

from deepwriting.sources.query_check import first_sentences, names_book, valid_query

PASSAGE = (
    "The lamp had gone out before midnight, and nobody on the quay had noticed. Marta sat on the lowest step with the "
    "letter in her lap. She had read it four times. It still said the same thing, in the same careful hand."
)
CHINESE = "半夜里灯已经灭了，码头上没有人注意到。她坐在最低的台阶上，膝上放着那封信，已经读了四遍。"


@pytest.mark.parametrize(
    ("query", "language", "problem"),
    [
        ("Write a quiet scene about a woman who reads one letter again and again.", "en", None),
        ("Write a scene.", "en", "query_too_short"),
        ("Write about how " + PASSAGE[:60], "en", "query_quotes_passage"),
        (
            "写一段故事，其中一个女人在深夜的码头上反复读同一封信，始终没有哭，也没有走开。",
            "en",
            "query_in_wrong_language",
        ),
        ("Write a quiet scene about a woman who reads one letter.", "zh", "query_in_wrong_language"),
        ("写一个码头上的夜晚，一个人在等待。", "zh", None),
        ("写一段故事", "zh", "query_too_short"),
        ("A quiet scene about a woman who reads one letter again and again.", "en", "query_is_no_request"),
        ("She should be tired. Describe how she reads one letter again.", "en", None),
        ("What does a woman do who has read one letter four times by night?", "en", None),
        ("Please, could you tell how a woman waits on a quay?", "en", None),
        ("Write a scene like the passage above, about a woman and a letter.", "en", "query_mentions_passage"),
        ("一个女人在码头上等待，没有人来看她。", "zh", "query_is_no_request"),
        ("请按照上述文字写一个女人等待的故事。", "zh", "query_mentions_passage"),
    ],
)
def test_what_makes_a_query_valid(query: str, language: str, problem: str | None) -> None:
    assert valid_query(query, PASSAGE if language == "en" else CHINESE, language) == problem


def test_a_chinese_query_must_not_quote_either() -> None:
    assert valid_query("请写一段故事，其中" + CHINESE[:20], CHINESE, "zh") == "query_quotes_passage"


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Write a scene. It is night! Who comes? Nobody.", "Write a scene. It is night!"),
        ("Write a scene in which it rains", ""),
        ("Write a scene. It is", "Write a scene."),
        ("Write 3.5 pages. Done.", "Write 3.5 pages. Done."),
        ("Write a\nscene. Use rain.\n\nOther text.", "Write a scene. Use rain."),
        ("\n\n  Write a scene.", "Write a scene."),
        ("请写一段故事，其中一个人在等待。要安静。不要解释。", "请写一段故事，其中一个人在等待。 要安静。"),
        ("", ""),
    ],
)
def test_the_first_sentences(text: str, sentences: str) -> None:
    assert first_sentences(text) == sentences


@pytest.mark.parametrize(
    ("query", "book", "named"),
    [
        ("Write the scene of The Long Quay in which a lamp goes out.", {"title": "The Long Quay"}, True),
        ("Write a scene of the Long Quay: or, a Lamp.", {"title": "The Long Quay: or, A Lamp"}, True),
        ("Write a scene on a long quay at night.", {"title": "The Long Quay"}, True),
        ("Write a scene on the quay at night.", {"title": "The Long Quay"}, False),
        ("Write a scene on the lowest step.", {"title": "The Lowest Step"}, False),
        ("Write a scene of The Lowest Step.", {"title": "The Lowest Step"}, True),
        ("Write about Marta on the quay.", {"title": "Marta"}, False),
        ("Write a scene of Ferrymen on the quay.", {"title": "Ferrymen"}, True),
        ("Write about ferrymen on the quay.", {"title": "Ferrymen"}, False),
        ("Write it in the manner of Anna Hallow.", {"author": "Anna Hallow"}, True),
        ("Write it as Hallow would.", {"author": "Hallow, Anna, 1850-1911"}, True),
        ("Write it in a hallow voice.", {"author": "Anna Hallow"}, False),
        ("Write it as Various people would.", {"author": "Various"}, False),
        ("Write a scene with Marta.", {"author": "John Marta"}, False),
        ("请写《长码头》里的一段故事。", {"title": "长码头"}, True),
        ("请写一段码头上的故事。", {"title": "码头"}, False),
        ("请以林雾的笔调写一段。", {"author": "林雾"}, True),
        ("Write a scene.", {}, False),
    ],
)
def test_naming_the_book(query: str, book: dict[str, str], named: bool) -> None:
    assert names_book(query, CHINESE if query.startswith("请") else PASSAGE, book) is named


def test_a_query_that_names_the_book_is_refused_only_if_the_book_is_given() -> None:
    query = "Write the scene of The Long Quay in which a lamp goes out."
    assert valid_query(query, PASSAGE, "en", {"title": "The Long Quay"}) == "query_names_book"
    assert valid_query(query, PASSAGE, "en", {}) is None
