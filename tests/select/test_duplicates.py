from __future__ import annotations

from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st

from deepwriting.schema import pair_id
from deepwriting.select.duplicates import MarkDuplicates


def pair(text: str, source_id: str, source: str = "own") -> Document:
    return Document(text=text, id=pair_id("q", text), metadata={"source": source, "source_id": source_id})


def marks(*docs: Document) -> list[str | None]:
    return [doc.metadata.get("reject") for doc in MarkDuplicates().run(docs)]


def test_the_first_of_equal_pairs_stays_and_the_others_name_it() -> None:
    docs = [pair("a", "1"), pair("b", "2"), pair("a", "3"), pair("a", "1", "other")]
    assert marks(*docs) == [None, None, "duplicate_pair", "duplicate_pair"]
    assert docs[2].metadata["reject_detail"] == docs[3].metadata["reject_detail"] == "duplicate of own/1"


def test_a_second_text_under_one_id_of_the_same_source() -> None:
    docs = [pair("a", "1"), pair("b", "1"), pair("c", "1", "other")]
    assert marks(*docs) == [None, "duplicate_source_id", None]
    assert docs[1].metadata["reject_detail"] == f"own/1 stands for pair {docs[0].id} already"


def test_the_same_record_twice_is_a_duplicate_pair() -> None:
    assert marks(pair("a", "1"), pair("a", "1")) == [None, "duplicate_pair"]


def test_a_pair_dropped_for_its_source_id_does_not_stand_in_the_way_of_its_text() -> None:
    assert marks(pair("a", "1"), pair("b", "1"), pair("b", "2")) == [None, "duplicate_source_id", None]


def test_rejected_documents_pass_and_do_not_count() -> None:
    bad = pair("a", "1")
    bad.metadata["reject"] = "short_answer"
    assert marks(bad, pair("a", "2")) == ["short_answer", None]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123")), max_size=12))
def test_what_stays_has_no_text_and_no_id_twice_and_covers_every_text(items: list[tuple[str, str]]) -> None:
    docs = list(MarkDuplicates().run([pair(text, source_id) for text, source_id in items]))
    kept = [doc for doc in docs if "reject" not in doc.metadata]
    assert len(docs) == len(items)
    assert len({doc.id for doc in kept}) == len({doc.metadata["source_id"] for doc in kept}) == len(kept)
    for doc in docs:
        if doc.metadata.get("reject") == "duplicate_pair":
            assert doc.id in {other.id for other in kept}
