from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from datatrove.data import Document

from deepwriting.engines import get_engine
from deepwriting.engines.base import Completion, EngineInfo
from deepwriting.errors import JournalError, RequestError
from deepwriting.recipe import PairSection, TransformersSection
from deepwriting.reer.prompts import load_prompts
from deepwriting.sources.query_check import valid_query
from deepwriting.sources.write_query import WriteQuery

pytestmark = pytest.mark.usefixtures("closing_engines")

PASSAGE = (
    "The lamp had gone out before midnight, and nobody on the quay had noticed. Marta sat on the lowest step with the "
    "letter in her lap. She had read it four times. It still said the same thing, in the same careful hand."
)
NAMES = ("Marta", "Ines", "Ruth", "Vera", "Nora", "Olga", "Edda", "Lena")


def passage(text: str = PASSAGE, query: str | None = None, source_id: str = "1", **provenance: str) -> Document:
    metadata = {"query": query, "source": "book", "source_id": source_id, "provenance": json.dumps(provenance)}
    return Document(text=text, id=f"book/{source_id}", metadata=metadata)


def passages(count: int = len(NAMES)) -> list[Document]:
    return [passage(PASSAGE.replace("Marta", name), source_id=name) for name in NAMES[:count]]


def step(
    model: Path | str, folder: Path, *, seed: int = 1, pairs: dict[str, Any] | None = None, **engine: Any
) -> WriteQuery:
    section = TransformersSection.model_validate({"model": str(model), "device": "cpu", "dtype": "float32", **engine})
    sampling = {"temperature": 0.8, "top_p": 0.85, "top_k": 40}
    settings = PairSection.model_validate(pairs or {})
    return WriteQuery(
        section, settings, prompts="compact", sampling=sampling, seed=seed, concurrency=4, journal_folder=str(folder)
    )


def outcome(docs: list[Document]) -> dict[str, str]:
    return {doc.id: doc.metadata["query"] or doc.metadata["reject"] for doc in docs}


@pytest.fixture
def asked(pocket_model: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the pocket model is asked, prompt by prompt."""
    prompts: list[str] = []
    kind = type(get_engine(TransformersSection.model_validate(
        {"model": str(pocket_model), "device": "cpu", "dtype": "float32"}
    )))  # fmt: skip
    sample = kind.sample

    async def noting(self: Any, prompt: str, **options: Any) -> Any:
        prompts.append(prompt)
        return await sample(self, prompt, **options)

    monkeypatch.setattr(kind, "sample", noting)
    return prompts


def test_pairs_with_a_query_need_neither_model_nor_journal(tmp_path: Path) -> None:
    docs = [passage(query="Write it."), passage(query=""), passage(query=None)]
    docs[2].metadata["reject"] = "licence_text"
    assert list(step("no-such-model", tmp_path / "journal").run(docs)) == docs
    assert [doc.metadata["query"] for doc in docs] == ["Write it.", "", None]
    assert not (tmp_path / "journal").exists()


def test_a_passage_gets_a_query_that_depends_on_seed_and_passage_only(pocket_model: Path, tmp_path: Path) -> None:
    texts = [PASSAGE.replace("Marta", name) for name in ("Marta", "Ines", "Ruth", "Vera", "Nora")]

    def queries(seed: int, order: int = 1) -> dict[str, str]:
        docs = [passage(text, source_id=str(index)) for index, text in enumerate(texts)][::order]
        found = list(step(pocket_model, tmp_path / f"{seed}-{order}", seed=seed).run(docs))
        assert found == docs
        assert all(doc.metadata["query_writer"] == str(pocket_model) for doc in found if doc.metadata["query"])
        return {doc.id: doc.metadata["query"] or doc.metadata["reject"] for doc in found}

    first = queries(seed=1)
    written = [query for query in first.values() if query.startswith("Write ")]
    assert len(written) >= 3
    assert all(valid_query(query, PASSAGE, "en") is None for query in written)
    assert queries(seed=1, order=-1) == first
    assert queries(seed=2) != first


def test_a_passage_without_a_valid_query_is_rejected_with_what_was_wrong(pocket_model: Path, tmp_path: Path) -> None:
    writer = step(pocket_model, tmp_path, pairs={"query_max_tokens": 1, "query_attempts": 3})
    (doc,) = writer.run([passage()])
    assert doc.metadata["reject"] == "query_not_written"
    assert doc.metadata["reject_detail"] == "3 tries: query_too_short"
    assert doc.metadata["query"] is None


def test_a_passage_that_does_not_fit_the_context_is_rejected_not_fatal(pocket_model: Path, tmp_path: Path) -> None:
    docs = list(step(pocket_model, tmp_path, context_tokens=600).run([passage(PASSAGE * 20), passage(source_id="2")]))
    assert docs[0].metadata["reject"] == "context_overflow"
    assert "do not fit into 600" in docs[0].metadata["reject_detail"]
    assert docs[1].metadata.get("reject") != "context_overflow"


def test_a_passage_in_another_script_is_rejected_before_any_model_is_asked(tmp_path: Path) -> None:
    (doc,) = step("no-such-model", tmp_path).run([passage("Лампа погасла ещё до полуночи, и никто этого не заметил.")])
    assert doc.metadata["reject"] == "unsupported_language"


def test_a_request_that_fails_costs_its_passage_and_no_other(
    pocket_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    writer = step(pocket_model, tmp_path)
    engine = get_engine(writer.generator)
    sample = engine.sample

    async def fails(prompt: str, **options: Any) -> Any:
        if "Ines" in prompt:
            raise RequestError("no memory for this one")
        return await sample(prompt, **options)

    monkeypatch.setattr(engine, "sample", fails)
    found = outcome(list(writer.run(passages(3))))
    assert found["book/Ines"] == "request_failed"
    assert "request_failed" not in (found["book/Marta"], found["book/Ruth"])


def test_what_the_journal_knows_is_not_asked_again(pocket_model: Path, tmp_path: Path, asked: list[str]) -> None:
    whole = outcome(list(step(pocket_model, tmp_path / "whole").run(passages())))
    calls = list(asked)
    assert len(calls) == len(NAMES)
    lines = (tmp_path / "whole" / "00000.jsonl").read_bytes().splitlines(keepends=True)
    for kept in (0, 1, 4, len(lines) - 1, len(lines)):
        folder = tmp_path / f"cut-{kept}"
        folder.mkdir()
        torn = lines[kept][: len(lines[kept]) // 2] if kept < len(lines) else b""
        (folder / "00000.jsonl").write_bytes(b"".join(lines[:kept]) + torn)
        asked.clear()
        resumed = step(pocket_model, folder)
        assert outcome(list(resumed.run(passages()))) == whole
        known = max(kept - 1, 0)  # the header stands for no query
        assert len(asked) == len(NAMES) - known
        assert sorted((folder / "00000.jsonl").read_bytes().splitlines(keepends=True)) == sorted(lines)
    assert "query_not_written" in whole.values() or all(query.startswith("Write") for query in whole.values())


def test_failures_are_not_tried_again_either(pocket_model: Path, tmp_path: Path, asked: list[str]) -> None:
    hopeless = {"query_max_tokens": 1, "query_attempts": 2}
    for life in range(2):
        docs = list(step(pocket_model, tmp_path, pairs=hopeless).run(passages(3)))
        assert set(outcome(docs).values()) == {"query_not_written"}
        assert docs[0].metadata["reject_detail"] == "2 tries: query_too_short"
        assert len(asked) == 3, life


def test_a_journal_of_another_configuration_is_refused_by_name(pocket_model: Path, tmp_path: Path) -> None:
    list(step(pocket_model, tmp_path).run(passages(1)))
    before = (tmp_path / "00000.jsonl").read_bytes()
    for changed, name in [
        (step(pocket_model, tmp_path, seed=2), "seed 1, this run has 2"),
        (step("other", tmp_path), "generator.model .*, this run has 'other'"),
        (step(pocket_model, tmp_path, pairs={"query_may_name_book": True}), "pairs.query_may_name_book False, .* True"),
    ]:
        with pytest.raises(JournalError, match=rf"00000\.jsonl was written under {name}"):
            list(changed.run(passages(1)))
    assert (tmp_path / "00000.jsonl").read_bytes() == before


def test_the_same_id_with_another_text_is_another_passage(pocket_model: Path, tmp_path: Path, asked: list[str]) -> None:
    list(step(pocket_model, tmp_path).run([passage()]))
    list(step(pocket_model, tmp_path).run([passage(), passage(PASSAGE + " It rained.")]))
    assert len(asked) == 2


class SlowWriter:
    """Says the same of every passage, and is killed with its process at a given call."""

    info = EngineInfo("none", "slow", "1", "float32", "cpu", 4096)

    def __init__(self, dies_at: int = 0):
        self.calls, self.dies_at = 0, dies_at

    def render(self, user: str, assistant: str = "") -> str:
        return user + assistant

    async def sample(self, prompt: str, **options: Any) -> list[Completion]:
        self.calls += 1
        if self.calls == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return [Completion(" somebody waits for the morning boat.", 9, "eos")]


def killable(folder: Path, engine: SlowWriter) -> WriteQuery:
    writer = step("slow", folder)
    writer._tools = cast("Any", engine), load_prompts("compact")
    return writer


def test_a_run_that_was_killed_goes_on_behind_its_last_query(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path; "
        "import test_write_query as t; "
        f"list(t.killable(Path({str(tmp_path)!r}), t.SlowWriter(dies_at=6)).run(t.passages()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    engine = SlowWriter()
    found = list(killable(tmp_path, engine).run(passages()))
    assert engine.calls == len(NAMES) - 5
    assert [doc.metadata["query_writer"] for doc in found] == ["slow"] * len(NAMES)


def test_a_query_must_not_name_the_book_unless_the_recipe_lets_it(pocket_model: Path, tmp_path: Path) -> None:
    """The pocket model's requests are about lamps, captains and letters: a book of such a title is always named."""
    plain = list(step(pocket_model, tmp_path / "plain").run(passages()))
    named = next(doc.metadata["query"] for doc in plain if doc.metadata["query"])
    title = " ".join(named.split()[8:11]).strip(".").title()  # behind "Write a passage of a story in which"
    told = [passage(doc.text, source_id=doc.metadata["source_id"], title=title) for doc in passages()]
    refused = outcome(list(step(pocket_model, tmp_path / "told", pairs={"query_attempts": 1}).run(told)))
    free = {"query_attempts": 1, "query_may_name_book": True}
    told = [passage(doc.text, source_id=doc.metadata["source_id"], title=title) for doc in passages()]
    allowed = outcome(list(step(pocket_model, tmp_path / "free", pairs=free).run(told)))
    assert any(allowed[name] == named and refused[name] == "query_not_written" for name in allowed)
