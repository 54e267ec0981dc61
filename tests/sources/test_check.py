from __future__ import annotations

import pytest
from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.schema import pair_id
from deepwriting.sources.check import CheckPair, RejectGiants, language_of
from deepwriting.steps import REJECT_TEXT_LIMIT

QUERY = "Write a note to the baker."
ANSWER = "The bread was good this week, and the rolls were better still. Thank you."


def checked(query: str | None = QUERY, answer: str = ANSWER, **limits: int) -> Document:
    settings = {"min_answer_chars": 20, "max_answer_chars": 1000, "max_query_chars": 200} | limits
    doc = Document(text=answer, id="own/1", metadata={"query": query, "source": "own", "source_id": "1"})
    CheckPair(**settings).annotate(doc)
    return doc


def reason(doc: Document) -> str | None:
    return doc.metadata.get("reject")


def test_a_good_pair_gets_its_id_and_language() -> None:
    doc = checked()
    assert reason(doc) is None
    assert doc.id == pair_id(QUERY, ANSWER)
    assert doc.metadata["language"] == "en"


def test_newlines_and_space_are_made_alike() -> None:
    doc = checked(f"  {QUERY}\r\n", f"\n{ANSWER}  \r\n\r\nYours,\r\nAda\n")
    assert doc.text == f"{ANSWER}\n\nYours,\nAda"
    assert doc.metadata["query"] == QUERY
    assert doc.id == checked(QUERY, f"{ANSWER}\n\nYours,\nAda").id


@pytest.mark.parametrize("query", [None, "", "  \n\t", "\u3000"])
def test_empty_query(query: str | None) -> None:
    assert reason(checked(query)) == "empty_query"


@pytest.mark.parametrize("answer", ["", " \r\n ", "\u00a0"])
def test_empty_answer(answer: str) -> None:
    assert reason(checked(answer=answer)) == "empty_answer"


def test_lengths() -> None:
    assert reason(checked(answer="a" * 19 + "  \n")) == "short_answer"
    assert reason(checked(answer="a" * 20)) is None
    assert reason(checked(answer="a" * 1000)) is None
    assert reason(checked(answer="a" * 1001)) == "giant_answer"
    assert reason(checked("a" * 200)) is None
    assert reason(checked("a" * 201)) == "giant_query"
    assert checked(answer="a" * 1001).metadata["reject_detail"] == "1001 characters, 1000 are allowed"


def test_a_giant_text_does_not_fill_the_rejects() -> None:
    doc = checked("q" * 3_000_000, "a" * 5_000_000)
    assert len(doc.text) == len(doc.metadata["query"]) == REJECT_TEXT_LIMIT


def test_a_rejected_pair_keeps_the_id_it_came_with() -> None:
    assert checked(answer="short").id == "own/1"


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x0b", "\x0c", "\x1b", "\x1f", "\x7f", "\x80", "\x85", "\x9f"])
def test_control_characters(character: str) -> None:
    assert reason(checked(answer=f"{ANSWER}{character}")) == "control_characters"
    doc = checked(f"Write{character} a note.")
    assert reason(doc) == "control_characters"
    assert doc.metadata["reject_detail"] == f"{character!r} at character 5 of the query"


@pytest.mark.parametrize("character", ["\t", "\n", "\r", "\u00a0", "\u200b", "\ufeff", "é", "🜁", "\u2028"])
def test_characters_that_texts_may_hold(character: str) -> None:
    assert reason(checked(f"Write a{character}note to the baker.", f"{ANSWER}{character}{ANSWER}")) is None


@pytest.mark.parametrize("name", ["think", "answer", "analyze", "refine", "replace"])
@pytest.mark.parametrize("form", ["<{}>", "</{}>"])
def test_tags_of_prompts_and_rows(name: str, form: str) -> None:
    tag = form.format(name)
    assert reason(checked(answer=f"{ANSWER} {tag}")) == "reserved_tag"
    assert reason(checked(answer=f"{ANSWER} {tag.upper()}")) == "reserved_tag"
    assert reason(checked(f"Explain {tag} to me.")) == "reserved_tag"


CHAT_TOKENS = [
    "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<s>", "</s>", "<bos>", "<eos>",
    "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<｜end▁of▁sentence｜>",
]  # fmt: skip


@pytest.mark.parametrize("token", CHAT_TOKENS)
def test_control_tokens_of_chat_layouts(token: str) -> None:
    assert reason(checked(answer=f"{ANSWER}{token}")) == "chat_token"
    assert reason(checked(f"{token}{QUERY}")) == "chat_token"


HARMLESS = ["<b>bold</b>", "a < b > c", "[1]", "think> twice", "</ think>", "<thinking aloud>", "||", "<|", "|>", "<3"]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_tag(text: str) -> None:
    assert reason(checked(answer=f"{ANSWER} {text}")) is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Write a poem.", "en"),
        ("Écris à ta mère, s'il te plaît.", "en"),  # Latin script counts as English
        ("写一首关于秋天的诗。", "zh"),
        ("請寫一首關於秋天的詩。", "zh"),
        ("用 Shakespeare 的风格写一首诗", "zh"),
        ("Explain the character 永 and how to write it with a brush, please.", "en"),
        ("秋についての短い詩を書いてください。", None),
        ("カタカナデカイテクダサイ", None),
        ("가을에 대한 시를 써 주세요.", None),
        ("Напиши стихотворение об осени.", None),
        ("اكتب قصيدة عن الخريف", None),
        ("12345 !? 🙂", None),
        ("", None),
    ],
)
def test_language_by_script(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_a_query_in_another_script_is_rejected() -> None:
    assert reason(checked("Напиши стихотворение об осени.")) == "unsupported_language"
    assert checked("写一首关于秋天的诗。").metadata["language"] == "zh"


@given(st.text(max_size=120), st.text(max_size=120))
def test_every_pair_is_either_fit_or_has_a_reason(query: str, answer: str) -> None:
    doc = checked(query, answer)
    if reason(doc) is None:
        assert doc.id == pair_id(query, answer)
        again = checked(doc.metadata["query"], doc.text)
        assert (again.id, again.text, again.metadata) == (doc.id, doc.text, doc.metadata)
    else:
        assert doc.metadata["reject_detail"]


@pytest.mark.parametrize(
    ("query", "answer", "expected"),
    [
        (QUERY, "a" * 100, None),
        (None, "a" * 100, None),
        (QUERY, "a" * 101, "giant_answer"),
        (None, "a" * 50_000, "giant_answer"),
        ("q" * 51, "a", "giant_query"),
        (QUERY, " " * 101, None),  # empty, says the check at the end
    ],
)
def test_giants_are_rejected_before_anything_reads_them(query: str | None, answer: str, expected: str | None) -> None:
    doc = Document(text=answer, id="own/1", metadata={"query": query, "source": "own", "source_id": "1"})
    RejectGiants(max_answer_chars=100, max_query_chars=50).annotate(doc)
    assert reason(doc) == expected
    assert len(doc.text) <= REJECT_TEXT_LIMIT
