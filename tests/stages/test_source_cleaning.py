"""The source stage with its cleaning steps: bundled samples stay whole, settings hold, nothing personal is written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deepwriting.cleaning import cleaning_steps
from deepwriting.pipeline import run_recipe
from deepwriting.recipe import Recipe, load_recipe, parse_recipe
from deepwriting.rundir import RunFolder
from deepwriting.sources import SOURCE_KINDS
from deepwriting.stages.rows import stage_documents
from deepwriting.stages.source import SourceStage

BASE: dict[str, Any] = {"name": "mine", "engines": {"generator": {"model": "no-such-model"}}}


def recipe_of(*sources: dict[str, Any], **sections: Any) -> tuple[Recipe, str]:
    text = yaml.safe_dump(BASE | {"sources": list(sources)} | sections)
    return parse_recipe(text), text


def test_no_bundled_pair_is_rejected_or_changed() -> None:
    recipe = load_recipe("quickstart")[0]
    count = 0
    for source in recipe.sources:
        reader = SOURCE_KINDS[source.kind](source.path, name=source.label, license="CC0-1.0", **source.options)
        docs = [doc for doc in reader.run() if "reject" not in doc.metadata]
        before = [(doc.text, doc.metadata["query"]) for doc in docs]
        stream: Any = docs
        for step in cleaning_steps(recipe.cleaning_by_source):
            stream = step.run(stream)
        cleaned = list(stream)
        assert [doc.metadata.get("reject") for doc in cleaned] == [None] * len(docs)
        assert [(doc.text, doc.metadata["query"]) for doc in cleaned] == before
        assert all(doc.metadata["pii_masked"] == 0 for doc in cleaned)
        count += len(docs)
    assert count == 26


ANSWER = "The lamp went out before midnight, and nobody on the quay had noticed it until the boat came in again."


def test_each_source_has_its_own_thresholds(tmp_path: Path, write_lines: Callable[..., Path]) -> None:
    for name in ("a", "b"):
        write_lines(tmp_path / f"{name}.jsonl", {"query": f"Write to x@{name}.fr now.", "answer": f"{ANSWER} {name}"})
    sources = [
        {"kind": "pairs", "path": str(tmp_path / "a.jsonl"), "name": "a", "cleaning": {"min_words": 30}},
        {"kind": "pairs", "path": str(tmp_path / "b.jsonl"), "name": "b"},
    ]
    recipe, text = recipe_of(*sources)
    run_recipe(recipe, text, tmp_path / "run", until="source")
    run = RunFolder(tmp_path / "run")
    (row,) = stage_documents(run, "source")
    (rejected,) = stage_documents(run, "source", "rejects")
    assert (row["metadata"]["source"], row["metadata"]["query"]) == ("b", "Write to [email] now.")
    assert row["metadata"]["pii_masked"] == 1
    assert rejected["metadata"]["reject"] == "too_few_words"


PRIVATE = ("hashed_ip", "header", "state", "country")


def marked(*, query: str, number: int, **changes: Any) -> dict[str, Any]:
    private = {name: f"MARKER-{name}" for name in PRIVATE[:1] + PRIVATE[2:]} | {"header": {"agent": "MARKER-header"}}
    turn = {"language": "English", "toxic": False, "redacted": False, "timestamp": "MARKER-time", **private}
    return {
        "conversation_hash": f"c{number}", "model": "gpt-4", "timestamp": "MARKER-time", "turn": 1,
        "conversation": [turn | {"role": "user", "content": query},
                         turn | {"role": "assistant", "content": f"{ANSWER} {number}"}],
        "language": "English", "toxic": False, "redacted": False, "openai_moderation": [{"MARKER-mod": 1}],
        "detoxify_moderation": [{"MARKER-mod": 1}], **private,
    } | changes  # fmt: skip


def test_no_personal_column_of_a_chat_is_written_anywhere(tmp_path: Path) -> None:
    rows = [
        marked(query="Write a short story about a lamp.", number=1),
        marked(query="What is the capital of Mongolia?", number=2),
        marked(query="The quick brown fox jumps over it", number=3),
        marked(query="Write a story for a@b.fr and @ada_k.", number=4),
        marked(query="Write a story.", number=5, toxic=True),
        marked(query="Give me step by step instructions on how to make a pipe bomb and write a letter.", number=6),
        marked(query="Write a story.", number=7, conversation=[{"role": "user", "content": {"hashed_ip": "MARKER"}}]),
        marked(query="写一个故事。", number=8),
    ]
    lines = [json.dumps(row).encode() for row in rows] + [json.dumps(rows[0]).encode()[:-1]]
    (tmp_path / "chats.jsonl").write_bytes(b"\n".join(lines))
    recipe, text = recipe_of({"kind": "wildchat", "path": str(tmp_path / "chats.jsonl")})
    run_recipe(recipe, text, tmp_path / "run", until="source")
    run = RunFolder(tmp_path / "run")
    assert [row["metadata"]["pii_masked"] for row in stage_documents(run, "source")] == [0, 2]
    reasons = sorted(row["metadata"]["reject"] for row in stage_documents(run, "source", "rejects"))
    assert reasons == [
        "harm_instructions", "language_mismatch", "malformed_json", "no_assistant_turn", "not_a_writing_request",
        "not_a_writing_request", "toxic",
    ]  # fmt: skip
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert any("logs" in file.parts for file in files)
    for file in files:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        assert b"MARKER" not in data, file


def settings_of(**sections: Any) -> dict[str, Any]:
    source = {"kind": "pairs", "path": "x"} | sections.pop("source", {})
    return SourceStage().settings(recipe_of(source, **sections)[0])


def test_settings_hold_what_decides_and_a_lexicon_by_its_contents(tmp_path: Path) -> None:
    lexicon = '[categories.plums]\nrules = [{terms = ["plum"]}]'
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(lexicon)
    one, two = (settings_of(cleaning={"harm_lexicon": str(tmp_path / f"{name}.toml")}) for name in ("one", "two"))
    assert one == two != settings_of()
    (tmp_path / "two.toml").write_text(lexicon.replace("plum", "pear"))
    assert settings_of(cleaning={"harm_lexicon": str(tmp_path / "two.toml")}) != one
    assert settings_of(cleaning={"min_words": 3}) == settings_of(source={"cleaning": {"min_words": 3}})
    assert settings_of(cleaning={"min_words": 3}) != settings_of()
    assert "scorer" not in settings_of()
    asked = settings_of(cleaning={"classify_requests": True})
    assert asked["scorer"]["model"] == "no-such-model"
    assert set(asked["request_prompts"]) == {"en/request.txt", "zh/request.txt"}


REFUSED = [
    (
        {},
        {"min_word": 3},
        r"sources.0.cleaning: the keys \['min_word'\] are unknown; allowed: fix_text, quality, min_words",
    ),
    (
        {},
        {"min_words": -1},
        "sources.0.cleaning: min_words = -1 is not allowed: input should be greater than or equal to 0",
    ),
    ({}, {"languages": ["de"]}, "sources.0.cleaning: languages = .* is not allowed: input should be 'en' or 'zh'"),
    ({"max_words": 20}, {"min_words": 30}, "sources.0.cleaning with cleaning: min_words 30 is above max_words 20"),
    ({"min_words": 30, "max_words": 20}, {}, "cleaning: min_words 30 is above max_words 20"),
    ({"min_word": 3}, {}, "cleaning.min_word = 3 is an unknown key; allowed: fix_text, quality"),
    ({"pii_kinds": ["name"]}, {}, "cleaning.pii_kinds.0 = 'name' is not allowed: input should be 'email', 'ip'"),
    ({"languages": ["en", "en"]}, {}, r"cleaning.languages: \['en'\] stand twice"),
    ({"harm_categories": ["rude"]}, {}, r"cleaning: harm_categories \['rude'\] are in no lexicon; allowed: hate"),
    ({"harm_lexicon": "no-such.toml"}, {}, "cleaning: harm lexicon 'no-such.toml' cannot be read"),
    ({"harm_lexicon_mode": "replace"}, {}, "cleaning: harm_lexicon_mode is 'replace', but no harm_lexicon is given"),
    ({"harm_model": "m"}, {}, "cleaning: harm_model 'm' needs harm_model_labels"),
]


@pytest.mark.parametrize(("cleaning", "own", "message"), REFUSED)
def test_a_wrong_key_or_value_is_refused_when_the_recipe_is_read(
    cleaning: dict[str, Any], own: dict[str, Any], message: str
) -> None:
    from deepwriting.errors import RecipeError

    with pytest.raises(RecipeError, match=message):
        recipe_of({"kind": "pairs", "path": "x", "cleaning": own}, cleaning=cleaning)
