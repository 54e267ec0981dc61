from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from deepwriting.recipe import PairSection, TransformersSection
from deepwriting.sources.write_query import WriteQuery, first_sentences, valid_query

pytestmark = pytest.mark.usefixtures("closing_engines")

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


def passage(text: str = PASSAGE, query: str | None = None, source_id: str = "1") -> Document:
    metadata = {"query": query, "source": "book", "source_id": source_id}
    return Document(text=text, id=f"book/{source_id}", metadata=metadata)


def step(model: Path | str, *, seed: int = 1, pairs: dict[str, Any] | None = None, **engine: Any) -> WriteQuery:
    section = TransformersSection.model_validate({"model": str(model), "device": "cpu", "dtype": "float32", **engine})
    sampling = {"temperature": 0.8, "top_p": 0.85, "top_k": 40}
    settings = PairSection.model_validate(pairs or {})
    return WriteQuery(section, settings, prompts="compact", sampling=sampling, seed=seed, concurrency=4)


def test_pairs_with_a_query_need_no_model() -> None:
    docs = [passage(query="Write it."), passage(query=""), passage(query=None)]
    docs[2].metadata["reject"] = "licence_text"
    assert list(step("no-such-model").run(docs)) == docs
    assert [doc.metadata["query"] for doc in docs] == ["Write it.", "", None]


def test_a_passage_gets_a_query_that_depends_on_seed_and_passage_only(pocket_model: Path) -> None:
    texts = [PASSAGE.replace("Marta", name) for name in ("Marta", "Ines", "Ruth", "Vera", "Nora")]

    def queries(seed: int, order: int = 1) -> dict[str, str]:
        docs = [passage(text, source_id=str(index)) for index, text in enumerate(texts)][::order]
        found = list(step(pocket_model, seed=seed).run(docs))
        assert found == docs
        assert all(doc.metadata["query_writer"] == str(pocket_model) for doc in found if doc.metadata["query"])
        return {doc.id: doc.metadata["query"] or doc.metadata["reject"] for doc in found}

    first = queries(seed=1)
    written = [query for query in first.values() if query.startswith("Write ")]
    assert len(written) >= 3
    assert all(valid_query(query, PASSAGE, "en") is None for query in written)
    assert queries(seed=1, order=-1) == first
    assert queries(seed=2) != first


def test_a_passage_without_a_valid_query_is_rejected_with_what_was_wrong(pocket_model: Path) -> None:
    writer = step(pocket_model, pairs={"query_max_tokens": 1, "query_attempts": 3})
    (doc,) = writer.run([passage()])
    assert doc.metadata["reject"] == "query_not_written"
    assert doc.metadata["reject_detail"] == "3 tries: query_too_short"
    assert doc.metadata["query"] is None


def test_a_passage_that_does_not_fit_the_context_is_rejected_not_fatal(pocket_model: Path) -> None:
    docs = list(step(pocket_model, context_tokens=600).run([passage(PASSAGE * 20), passage(source_id="2")]))
    assert docs[0].metadata["reject"] == "context_overflow"
    assert "do not fit into 600" in docs[0].metadata["reject_detail"]
    assert docs[1].metadata.get("reject") != "context_overflow"


def test_a_passage_in_another_script_is_rejected_before_any_model_is_asked() -> None:
    (doc,) = step("no-such-model").run([passage("Лампа погасла ещё до полуночи, и никто этого не заметил.")])
    assert doc.metadata["reject"] == "unsupported_language"
